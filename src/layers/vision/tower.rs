//! A tower in stages, whose weights need not all be on the device at once.

use std::fmt;
use std::rc::Rc;

use super::block::Block;
use super::options::TowerOptions;
use super::picture::{FeatureRows, Pixels, RowCount, TowerMemory, Views};
use super::stage::Stage;
use super::workspace::{Run, Scratch, Workspace, no_picture};
use crate::error::Result;
use crate::gpu::{Allocator, Buffer, Recording};
use crate::weights::WeightStore;

/// The parts of a tower that each family has of its own. Stages take their weights; [`crate::Error::InvalidPackage`] if one is missing.
pub trait TowerParts: fmt::Debug {
    /// The first stage: pixels to the input of the first layer.
    fn stem(&self, options: &TowerOptions, weights: &mut WeightStore) -> Result<Box<dyn Stage>>;

    /// A layer: a block, and whatever the family does before or after it.
    fn layer(&self, options: &TowerOptions, weights: &mut WeightStore, index: usize) -> Result<Box<dyn Stage>> {
        Ok(Box::new(Block::new(options, weights, index)?))
    }

    /// The last stage: the output of the last layer to features.
    fn projector(&self, options: &TowerOptions, weights: &mut WeightStore) -> Result<Box<dyn Stage>>;

    /// The views of a picture in the order of their pixels and features, those of equal size together; the other methods are called for one of them.
    fn views(&self, pixels: &Pixels<'_>) -> Vec<Views> {
        let Pixels { width, height, grid, .. } = *pixels;
        vec![Views { count: 1, width, height, grid }]
    }

    /// Rows of a picture in the residual stream: one for each patch, unless the family adds others.
    fn rows(&self, options: &TowerOptions, pixels: &Pixels<'_>) -> RowCount {
        let all = options.grid.patches(pixels).count();
        RowCount { all, present: all }
    }

    /// Allocates tables for a picture that stages of the family read.
    fn tables(&self, _gpu: &dyn Allocator, _pixels: &Pixels<'_>) -> Result<Vec<Buffer>> {
        Ok(Vec::new())
    }
}

/// The vision side of a model: pictures to rows of features, one picture at a time, at its own size. Its weights come in stages: the stem,
/// the layers, the projector. A picture needs one stage at a time, in this order; the caller decides which are on the device.
#[derive(Debug)]
pub struct Tower {
    options: Rc<TowerOptions>,
    parts: Box<dyn TowerParts>,
    stages: Vec<Option<Box<dyn Stage>>>,
    /// Work memory of the views of each size.
    work: Vec<Workspace>,
}

impl Tower {
    /// A tower without its weights.
    pub fn new(options: TowerOptions, parts: impl TowerParts + 'static) -> Self {
        let stages = std::iter::repeat_with(|| None).take(options.layers + 2).collect();
        Self { options: Rc::new(options), parts: Box::new(parts), stages, work: Vec::new() }
    }

    /// Number of stages.
    pub fn stages(&self) -> usize {
        self.stages.len()
    }

    /// Most rows that a view of a picture takes in the residual stream.
    pub fn rows(&self, pixels: &Pixels<'_>) -> usize {
        self.runs(pixels).iter().map(|run| run.rows.all).max().unwrap_or(0)
    }

    /// Number of views of a picture.
    pub fn views(&self, pixels: &Pixels<'_>) -> usize {
        self.parts.views(pixels).iter().map(|views| views.count).sum()
    }

    /// The views of each size.
    fn runs<'a>(&self, pixels: &Pixels<'a>) -> Vec<Run<'a>> {
        let mut rgb = pixels.rgb;
        let run = |Views { count, width, height, grid }: Views| {
            let (own, rest) = rgb.split_at(rgb.len().min(3 * width * height * count));
            rgb = rest;
            let pixels = Pixels { width, height, grid, rgb: own };
            Run { rows: self.parts.rows(&self.options, &pixels), pixels, count }
        };
        self.parts.views(pixels).into_iter().map(run).collect()
    }

    /// Rows computed at a time must be a multiple of this.
    pub fn row_alignment(&self) -> usize {
        self.options.row_alignment()
    }

    /// Numbers in the widest row of work memory.
    pub fn widest_row(&self) -> usize {
        self.options.widths().into_iter().max().unwrap_or(0)
    }

    /// Takes the weights of a stage; [`crate::Error::InvalidPackage`] if one is missing.
    pub fn load(&mut self, stage: usize, weights: &mut WeightStore) -> Result<()> {
        let (parts, options) = (&self.parts, &self.options);
        self.stages[stage] = Some(match stage.checked_sub(1) {
            None => parts.stem(options, weights)?,
            Some(index) if index < options.layers => parts.layer(options, weights, index)?,
            Some(_) => parts.projector(options, weights)?,
        });
        Ok(())
    }

    /// Frees the weights of a stage.
    pub fn unload(&mut self, stage: usize) {
        self.stages[stage] = None;
    }

    /// Returns whether the weights of a stage are loaded.
    pub fn is_loaded(&self, stage: usize) -> bool {
        self.stages[stage].is_some()
    }

    /// Allocates the work memory of a picture. Fails as [`Allocator::alloc`].
    pub fn begin(&mut self, gpu: &dyn Allocator, pixels: &Pixels<'_>, memory: TowerMemory) -> Result<()> {
        let runs = self.runs(pixels);
        let most = runs.iter().map(|run| run.rows.all).max().unwrap_or(0);
        let shared = Scratch::new(gpu, &self.options, memory, most)?;
        let work = runs.into_iter().map(|run| {
            let tables = self.parts.tables(gpu, &run.pixels)?;
            Workspace::new(gpu, &self.options, &run, &shared, tables)
        });
        self.work = work.collect::<Result<_>>()?;
        Ok(())
    }

    /// Records a stage for all views, so that its weights are needed once; the last one completes the features. [`crate::Error::Internal`] without [`Self::begin`] or the stage's weights.
    pub fn record(&self, stage: usize, recording: &mut Recording, features: FeatureRows<'_>) -> Result<()> {
        let Some(stage) = self.stages[stage].as_ref().filter(|_| !self.work.is_empty()) else {
            return Err(no_picture());
        };
        let mut first = features.first;
        for work in &self.work {
            for view in 0..work.views {
                stage.record(recording, &work.view(view), FeatureRows { first, ..features })?;
                first += work.rows.all / self.options.rows_per_token;
            }
        }
        Ok(())
    }

    /// Frees the memory that only the first stage reads. Recordings keep it as long as they need it.
    pub fn end_first_stage(&mut self) {
        self.work.iter_mut().for_each(|work| work.pixels = None);
    }

    /// Frees the work memory.
    pub fn end(&mut self) {
        self.work.clear();
    }
}
