//! A model on paper: what it allocates and launches, without a device. Memory plans, the kernels that are tested and compiled at start,
//! and the counts that tests hold it to are taken from these recordings, not written down again.

use std::ops::Range;

use super::record::{record_drafts, record_step};
use crate::config::TextConfig;
use crate::error::Result;
use crate::families::network;
use crate::families::tower::{Pixels, Tower};
use crate::gpu::{Allocator, KernelConfig, Paper, Purpose, Recording};
use crate::kernels::sample::Sampling;
use crate::layers::decoder::joins;
use crate::layers::step::StepShape;
use crate::layers::{Decoder, Form, Pass, Workspace};
use crate::sampling::SamplingOptions;
use crate::state::State;
use crate::weights::manifest::Manifest;
use crate::weights::stage::VisionStage;
use crate::weights::upload::{Selection, WeightStore};

/// A decoder and a tower whose weights take no memory.
#[derive(Debug)]
pub struct DryModel {
    paper: Paper,
    decoder: Decoder,
    tower: Option<Box<dyn Tower>>,
    text_bytes: u64,
    stage_bytes: Vec<u64>,
    config: KernelConfig,
}

impl DryModel {
    /// The model of a package, whose shards are not needed, on a device with the limits of `paper` that computes as `config` says.
    ///
    /// # Errors
    /// [`crate::Error::LimitsTooSmall`] if a buffer cannot hold four rows of a matrix, [`crate::Error::InvalidPackage`] if a weight is
    /// missing.
    pub fn new(manifest: &Manifest, paper: Paper, config: KernelConfig) -> Result<Self> {
        let joins = joins(manifest.config.text());
        let selection = Selection { joins: &joins, wanted: &network::is_text, purpose: Purpose::TextWeights };
        let decoder = network::decoder(&manifest.config, &mut WeightStore::empty(&paper, manifest, &selection)?)?;
        let (mut tower, mut stage_bytes) = (network::tower(&manifest.config), Vec::new());
        let text_bytes = paper.ledger().total().0;
        let mut held = text_bytes;
        for (index, stage) in VisionStage::all(&manifest.config).enumerate() {
            let mut weights = stage.select(|selection| WeightStore::empty(&paper, manifest, selection))?;
            tower.as_mut().map_or(Ok(()), |tower| tower.load(index, &mut weights))?;
            let now = paper.ledger().total().0;
            stage_bytes.push(now - held);
            held = now;
        }
        Ok(Self { paper, decoder, tower, text_bytes, stage_bytes, config })
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

    /// Bytes that the tower's work memory for a picture takes, `rows` patches being computed at a time; 0 without a picture side.
    ///
    /// # Errors
    /// As [`Allocator::alloc`].
    pub fn picture_bytes(&mut self, pixels: &Pixels<'_>, rows: usize) -> Result<u64> {
        let Some(tower) = &mut self.tower else { return Ok(0) };
        let before = self.paper.ledger().total().0;
        tower.begin(&self.paper, pixels, rows)?;
        let after = self.paper.ledger().total().0;
        tower.end();
        Ok(after - before)
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
        Ok(stages)
    }
}
