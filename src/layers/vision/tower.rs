//! A tower in stages, whose weights need not all be on the device at once.

use std::fmt;
use std::rc::Rc;

use super::block::Block;
use super::options::TowerOptions;
use super::picture::{FeatureRows, Pixels, RowCount, TowerMemory, Views};
use super::stage::Stage;
use super::workspace::{Workspace, no_picture};
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

    /// The views of a picture; the other methods are called for one of them.
    fn views(&self, pixels: &Pixels<'_>) -> Views {
        Views { count: 1, width: pixels.width, height: pixels.height }
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
    work: Option<Workspace>,
}

impl Tower {
    /// A tower without its weights.
    pub fn new(options: TowerOptions, parts: impl TowerParts + 'static) -> Self {
        let stages = std::iter::repeat_with(|| None).take(options.layers + 2).collect();
        Self { options: Rc::new(options), parts: Box::new(parts), stages, work: None }
    }

    /// Number of stages.
    pub fn stages(&self) -> usize {
        self.stages.len()
    }

    /// Rows that a view of a picture takes in the residual stream.
    pub fn rows(&self, pixels: &Pixels<'_>) -> usize {
        let Views { width, height, .. } = self.parts.views(pixels);
        self.parts.rows(&self.options, &Pixels { width, height, ..*pixels }).all
    }

    /// Number of views of a picture.
    pub fn views(&self, pixels: &Pixels<'_>) -> usize {
        self.parts.views(pixels).count
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
        let Views { count, width, height } = self.parts.views(pixels);
        let pixels = &Pixels { width, height, ..*pixels };
        let (rows, tables) = (self.parts.rows(&self.options, pixels), self.parts.tables(gpu, pixels)?);
        self.work = Some(Workspace::new(gpu, &self.options, (pixels, count), memory, rows, tables)?);
        Ok(())
    }

    /// Records a stage for all views, so that its weights are needed once; the last one completes the features. [`crate::Error::Internal`] without [`Self::begin`] or the stage's weights.
    pub fn record(&self, stage: usize, recording: &mut Recording, features: FeatureRows<'_>) -> Result<()> {
        let (Some(work), Some(stage)) = (&self.work, &self.stages[stage]) else { return Err(no_picture()) };
        let of_view = work.rows.all / self.options.rows_per_token;
        (0..work.views).try_for_each(|view| {
            let features = FeatureRows { first: features.first + view * of_view, ..features };
            stage.record(recording, &work.view(view), features)
        })
    }

    /// Frees the memory that only the first stage reads. Recordings keep it as long as they need it.
    pub fn end_first_stage(&mut self) {
        if let Some(work) = &mut self.work {
            work.pixels = None;
        }
    }

    /// Frees the work memory.
    pub fn end(&mut self) {
        self.work = None;
    }
}
