//! A model on paper: what it allocates and launches, without a device. Memory plans, the kernels that are tested and compiled at start,
//! and the counts that tests hold it to are taken from these recordings, not written down again.

use std::ops::Range;

use super::record::{record_drafts, record_step};
use crate::config::{KvPrecision, TextConfig};
use crate::error::Result;
use crate::families::definition;
use crate::families::tower::{Pixels, Tower};
use crate::gpu::{Allocator, Kernel, KernelConfig, Paper, Purpose, Recording};
use crate::kernels::sample::Sampling;
use crate::layers::step::StepShape;
use crate::layers::{Decoder, Form, Pass, TextRows, Workspace};
use crate::sampling::SamplingOptions;
use crate::state::{PAGE, State};
use crate::weights::manifest::Manifest;
use crate::weights::upload::{Selection, WeightStore};

/// A decoder and a tower whose weights take no memory.
#[derive(Debug)]
pub struct DryModel {
    paper: Paper,
    decoder: Decoder,
    tower: Option<Box<dyn Tower>>,
    /// Edge of the smallest picture in pixels; 0 without a picture side.
    cell: usize,
    text_bytes: u64,
    stage_bytes: Vec<u64>,
    config: KernelConfig,
}

/// Bytes that a picture takes besides weights and features.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PictureBytes {
    /// Work memory of the first stage.
    pub begun: u64,
    /// What is written before the first stage.
    pub written: u64,
    /// Work memory of the stages behind it.
    pub layers: u64,
}

impl DryModel {
    /// The model of a package, whose shards are not needed, on a device with the limits of `paper` that computes as `config` says.
    ///
    /// # Errors
    /// [`crate::Error::LimitsTooSmall`] if a buffer cannot hold four rows of a matrix, [`crate::Error::InvalidPackage`] if a weight is
    /// missing.
    pub fn new(manifest: &Manifest, paper: Paper, config: KernelConfig) -> Result<Self> {
        let model = definition(&manifest.config);
        let mut weights = WeightStore::empty(&paper, manifest, &Selection::text(manifest))?;
        let (decoder, mut tower, mut stage_bytes) = (model.decoder(&mut weights)?, model.tower(), Vec::new());
        for (index, stage) in Selection::stages(manifest).iter().enumerate() {
            let before = paper.bytes(Purpose::VisionWeights);
            let mut weights = WeightStore::empty(&paper, manifest, stage)?;
            tower.as_mut().map_or(Ok(()), |tower| tower.load(index, &mut weights))?;
            stage_bytes.push(paper.bytes(Purpose::VisionWeights) - before);
        }
        let text_bytes = paper.bytes(Purpose::TextWeights);
        let cell = model.pictures().map_or(0, |pictures| pictures.cell());
        Ok(Self { paper, decoder, tower, cell, text_bytes, stage_bytes, config })
    }

    /// The device that is not there, whose ledger counts what is allocated on it.
    pub fn paper(&self) -> &Paper {
        &self.paper
    }

    /// The decoder's shape.
    pub fn text(&self) -> &TextConfig {
        self.decoder.config()
    }

    /// Bytes of the decoder's weights.
    pub fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    /// Bytes of the weights of each stage of the picture side.
    pub fn stage_bytes(&self) -> &[u64] {
        &self.stage_bytes
    }

    /// The kernels that answers launch on a device that computes as `config` says, with states of this precision: prompts, steps of one
    /// row, draws without filters, and pictures. Some come more than once.
    ///
    /// # Errors
    /// As [`Allocator::alloc`] and [`Recording::dispatch`].
    pub fn kernels(&mut self, config: KernelConfig, kv: KvPrecision) -> Result<Vec<Kernel>> {
        self.config = config;
        let (text, paper) = (self.decoder.config(), Paper::new(u64::MAX, self.paper.max_bindings()));
        let work = &Workspace::new(&paper, text, TextRows { prompt: 1, head: 1, step: 1 })?;
        let state = &State::with_room(&paper, text, 2 * PAGE, kv, 2 * PAGE)?;
        let mut recordings = vec![
            self.inputs(work, 1)?,
            self.chunk((work, state), (0, 1), 0..text.layers.len())?,
            self.head(work, 1)?,
            // Attention by one workgroup a head, and behind a page shared by several.
            self.step(work, state, 0, 1)?,
            self.step(work, state, PAGE, 1)?,
            self.draw(work, &SamplingOptions::default())?,
        ];
        let rows = self.tower.as_ref().map_or(0, |tower| tower.row_alignment());
        recordings.extend(self.picture(&Pixels { width: self.cell, height: self.cell, rgb: &[] }, rows)?);
        Ok(recordings.iter().flat_map(Recording::dispatches).map(|dispatch| dispatch.kernel.clone()).collect())
    }

    /// A pass of `rows` rows in some form, of which `with` records something.
    fn record(
        &self,
        work: &Workspace,
        (rows, form): (usize, Form),
        with: impl FnOnce(&mut Pass<'_>) -> Result<()>,
    ) -> Result<Recording> {
        let mut recording = Recording::on(self.config);
        let max_bindings = self.paper.max_bindings();
        with(&mut Pass { recording: &mut recording, work, rows, form, max_bindings })?;
        Ok(recording)
    }

    /// Some layers of a chunk of `rows` rows behind `first_entry` entries of `state`, from its inputs on where they are the first.
    ///
    /// # Errors
    /// As [`Recording::dispatch`].
    pub fn chunk(
        &self,
        (work, state): (&Workspace, &State),
        (first_entry, rows): (usize, usize),
        layers: Range<usize>,
    ) -> Result<Recording> {
        self.record(work, (rows, Form::Chunk { first_entry }), |pass| self.decoder.record_layers(pass, state, layers))
    }

    /// What starts a chunk of `rows` rows.
    ///
    /// # Errors
    /// As [`Recording::dispatch`].
    pub fn inputs(&self, work: &Workspace, rows: usize) -> Result<Recording> {
        self.record(work, (rows, Form::Chunk { first_entry: 0 }), |pass| {
            self.decoder.record_inputs(pass, &work.sources.all(), &work.gathered.all())
        })
    }

    /// The logits of `rows` rows of a chunk.
    ///
    /// # Errors
    /// As [`Recording::dispatch`].
    pub fn head(&self, work: &Workspace, rows: usize) -> Result<Recording> {
        self.record(work, (rows, Form::Chunk { first_entry: 0 }), |pass| {
            self.decoder.record_head(pass, (&work.gathered.all(), rows))
        })
    }

    /// A step of `rows` rows, the first at `entry`; of several rows with the verdict about drafts.
    ///
    /// # Errors
    /// As [`Recording::dispatch`].
    pub fn step(&self, work: &Workspace, state: &State, entry: usize, rows: usize) -> Result<Recording> {
        let mut recording = Recording::on(self.config);
        let shape = (StepShape::at(entry, rows), self.paper.max_bindings());
        record_step(&self.decoder, work, state, shape, &mut recording)?;
        if rows > 1 {
            record_drafts(work, self.text().vocab_size, rows, &mut recording)?;
        }
        Ok(recording)
    }

    /// The draw of a token behind a step.
    ///
    /// # Errors
    /// As [`Sampling::new`].
    pub fn draw(&self, work: &Workspace, options: &SamplingOptions) -> Result<Recording> {
        let mut recording = Recording::on(self.config);
        let sampling = Sampling::new(&self.paper, self.text().vocab_size, options, &[])?;
        sampling.record(&mut recording, &work.logits.all(), &work.step.all())?;
        Ok(recording)
    }

    /// The picture side.
    pub fn tower(&self) -> Option<&dyn Tower> {
        self.tower.as_deref()
    }

    /// What the work memory for a picture takes, `rows` patches being computed at a time; nothing without a picture side.
    ///
    /// # Errors
    /// As [`Allocator::alloc`].
    pub fn picture_bytes(&mut self, pixels: &Pixels<'_>, rows: usize) -> Result<PictureBytes> {
        let Some(tower) = &mut self.tower else { return Ok(PictureBytes::default()) };
        let before = self.paper.bytes(Purpose::Activations);
        tower.begin(&self.paper, pixels, rows)?;
        let (begun, written) = (self.paper.bytes(Purpose::Activations), self.paper.bytes(Purpose::Staging));
        tower.end_first_stage();
        let layers = self.paper.bytes(Purpose::Activations);
        tower.end();
        self.paper.wait_idle();
        Ok(PictureBytes { begun: begun - before, written, layers: layers - before })
    }

    /// Every stage of the tower for a picture; none without a picture side.
    ///
    /// # Errors
    /// As [`Allocator::alloc`] and [`Recording::dispatch`].
    pub fn picture(&mut self, pixels: &Pixels<'_>, rows: usize) -> Result<Vec<Recording>> {
        let Some(tower) = &mut self.tower else { return Ok(Vec::new()) };
        tower.begin(&self.paper, pixels, rows)?;
        let features = self.paper.alloc("features", Purpose::Features, 0)?;
        let mut stages = Vec::with_capacity(tower.stages());
        for stage in 0..tower.stages() {
            let mut recording = Recording::on(self.config);
            tower.record(stage, &mut recording, (&features, 0))?;
            stages.push(recording);
        }
        tower.end();
        self.paper.wait_idle();
        Ok(stages)
    }
}
