//! A model on a dry device. Memory plans, the list of kernels to test and compile at start, and the counts asserted by tests are taken from
//! these recordings instead of being written down a second time.

use std::ops::Range;

use crate::config::{ImageGrid, KvPrecision};
use crate::error::Result;
use crate::families::definition;
use crate::gpu::{Allocator, DryDevice, Kernel, KernelConfig, Purpose, Recording};
use crate::kernels::attention_step::reach;
use crate::kernels::matmul;
use crate::kernels::sample::Sampling;
use crate::layers::vision::{FeatureRows, Pixels, Tower, TowerMemory};
use crate::layers::{Decoder, Form, Pass, TextRows, Workspace};
use crate::package::manifest::Manifest;
use crate::package::upload::{Selection, unfilled};
use crate::sampling::{Past, SamplingOptions};
use crate::state::{PAGE, State};

/// A decoder and a tower whose weights take no memory. Its methods fail like [`Allocator::alloc`] and [`Recording::dispatch`].
#[derive(Debug)]
pub struct DryModel {
    /// The device, which counts allocations.
    pub device: DryDevice,
    /// The decoder.
    pub decoder: Decoder,
    /// The picture side.
    pub tower: Option<Tower>,
    /// Bytes of the decoder's weights.
    pub text_bytes: u64,
    /// Bytes of the weights of each stage of the tower.
    pub stage_bytes: Vec<u64>,
    /// Edge of the smallest picture in pixels; 0 without a tower.
    cell: usize,
    config: KernelConfig,
    /// Precision of a picture's keys and values in the tower.
    vision_kv: KvPrecision,
    most_flops: Option<u64>,
}

impl DryModel {
    /// The model of a package, without its shards, on a device with the limits of `device` and the configuration `config`. Fails with
    /// [`crate::Error::LimitsTooSmall`] if a buffer cannot hold four rows of a matrix, and with [`crate::Error::InvalidPackage`] if a weight is
    /// missing.
    pub fn new(manifest: &Manifest, device: DryDevice, config: KernelConfig) -> Result<Self> {
        let model = definition(&manifest.config);
        let mut weights = unfilled(&device, config.class, manifest, &Selection::text(manifest))?;
        let (decoder, mut tower, mut stage_bytes) = (model.decoder(&mut weights)?, model.tower(), Vec::new());
        for (index, stage) in Selection::stages(manifest).iter().enumerate() {
            let before = device.bytes(Purpose::VisionWeights);
            let mut weights = unfilled(&device, config.class, manifest, stage)?;
            tower.as_mut().map_or(Ok(()), |tower| tower.load(index, &mut weights))?;
            stage_bytes.push(device.bytes(Purpose::VisionWeights) - before);
        }
        let text_bytes = device.bytes(Purpose::TextWeights);
        let cell = model.pictures().map_or(0, |pictures| pictures.cell());
        let vision_kv = KvPrecision::F16;
        Ok(Self { device, decoder, tower, cell, text_bytes, stage_bytes, config, vision_kv, most_flops: None })
    }

    /// Divides later launches like [`Recording::divided`].
    pub fn divide(&mut self, most_flops: Option<u64>) {
        self.most_flops = most_flops;
    }

    /// The kernels of answers on a device with the configuration `config`, and states and a tower in these precisions: prompts, single steps,
    /// draws without filters, and pictures. May contain duplicates.
    pub fn kernels(&mut self, config: KernelConfig, [kv, vision_kv]: [KvPrecision; 2]) -> Result<Vec<Kernel>> {
        (self.config, self.vision_kv) = (config, vision_kv);
        let (text, device) = (&self.decoder.config, DryDevice::new(u64::MAX, self.device.max_bindings()));
        let work = &Workspace::new(&device, text, TextRows { prompt: 1, head: 1, step: 1 }, 2 * PAGE)?;
        let state = &State::with_room(&device, text, kv, (2 * PAGE, 1))?;
        let mut recordings = vec![
            self.chunk((work, state), (0, 1), 0..text.own_layers())?,
            self.head((work, state), 1)?,
            // Attention by one workgroup for each head and, after the first page, by several.
            self.step(work, state, 0, 1)?,
            self.step(work, state, PAGE, 1)?,
            self.draw(work, &SamplingOptions::default())?,
        ];
        let rows = self.tower.as_ref().map_or(0, |tower| tower.row_alignment());
        recordings.extend(self.picture(&Pixels::blank(ImageGrid::new(1, 1), self.cell), rows)?);
        let kernels = recordings.iter().flat_map(Recording::dispatches).map(|dispatch| &dispatch.kernel);
        Ok(kernels.flat_map(|kernel| matmul::of_all_sizes(kernel, config)).collect())
    }

    /// Records a pass of `rows` rows.
    fn record(
        &self,
        work: &Workspace,
        (rows, form): (usize, Form),
        with: impl FnOnce(&mut Pass<'_>) -> Result<()>,
    ) -> Result<Recording> {
        let mut recording = Recording::on(self.config).divided(self.most_flops);
        let features = matches!(form, Form::Chunk { .. }).then(|| work.gathered.all());
        with(&mut Pass { features, ..Pass::new(&mut recording, work, rows, form) })?;
        Ok(recording)
    }

    /// Some layers of a chunk of `rows` rows after `first_entry` entries of `state`, including the inputs if they are the first layers.
    pub fn chunk(
        &self,
        (work, state): (&Workspace, &State),
        (first_entry, rows): (usize, usize),
        layers: Range<usize>,
    ) -> Result<Recording> {
        self.record(work, (rows, Form::Chunk { first_entry }), |pass| {
            if layers.start == 0 {
                self.decoder.record_inputs(pass, &work.sources.all(), &work.gathered.all())?;
            }
            self.decoder.record_layers(pass, state, layers)
        })
    }

    /// The logits of `rows` rows of a chunk, with the layers that other rows do not need.
    pub fn head(&self, (work, state): (&Workspace, &State), rows: usize) -> Result<Recording> {
        let (text, gathered) = (&self.decoder.config, work.gathered.all());
        self.record(work, (rows, Form::Chunk { first_entry: 0 }), |pass| {
            pass.x = gathered.clone();
            self.decoder.record_layers(pass, state, text.own_layers()..text.layers.len())?;
            self.decoder.record_head(pass, (&gathered, rows))
        })
    }

    /// A step of `rows` rows, the first at `entry`; several rows include the verification of drafts.
    pub fn step(&self, work: &Workspace, state: &State, entry: usize, rows: usize) -> Result<Recording> {
        self.record(work, (rows, Form::step(entry, rows)), |pass| self.decoder.record_step(pass, state))
    }

    /// A step of several conversations, each at `entry`.
    pub fn batch_step(&self, work: &Workspace, state: &State, entry: usize, count: usize) -> Result<Recording> {
        let form = Form::Step { reach: reach(entry + 1), apart: true };
        self.record(work, (count, form), |pass| self.decoder.record_step(pass, state))
    }

    /// The draw after a step.
    pub fn draw(&self, work: &Workspace, options: &SamplingOptions) -> Result<Recording> {
        let mut recording = Recording::on(self.config);
        let sampling = Sampling::new(&self.device, self.decoder.config.vocab_size, options, Past::default())?;
        sampling.record(&mut recording, &work.logits.all(), &work.step.all())?;
        Ok(recording)
    }

    /// FLOP of a picture with this grid, `vision_rows` patches at a time, and of its tokens at the beginning of a prompt, `prompt_rows` at a
    /// time.
    pub fn picture_flops(
        &mut self,
        (grid, tokens): (ImageGrid, usize),
        (vision_rows, prompt_rows): (usize, usize),
    ) -> Result<u64> {
        let pixels = Pixels::blank(grid, self.cell);
        let tower: u64 = self.picture(&pixels, vision_rows)?.iter().map(Recording::flops).sum();
        let (text, device) = (&self.decoder.config, DryDevice::new(u64::MAX, self.device.max_bindings()));
        let work = &Workspace::new(&device, text, TextRows { prompt: prompt_rows, head: 1, step: 1 }, tokens)?;
        // FLOP do not depend on the precision of the state.
        let state = &State::with_room(&device, text, KvPrecision::F32, (tokens, 1))?;
        let mut prompt = 0;
        for first in (0..tokens).step_by(prompt_rows) {
            let rows = prompt_rows.min(tokens - first);
            prompt += self.chunk((work, state), (first, rows), 0..text.own_layers())?.flops();
        }
        Ok(tower + prompt)
    }

    /// All stages of the tower for a picture; none without a tower.
    pub fn picture(&mut self, pixels: &Pixels<'_>, rows: usize) -> Result<Vec<Recording>> {
        let Some(tower) = &mut self.tower else { return Ok(Vec::new()) };
        tower.begin(&self.device, pixels, TowerMemory { rows, precision: self.vision_kv })?;
        let features = &self.device.alloc("features", Purpose::Features, 0)?;
        let mut stages = Vec::with_capacity(tower.stages());
        for stage in 0..tower.stages() {
            let mut recording = Recording::on(self.config).divided(self.most_flops);
            tower.record(stage, &mut recording, FeatureRows { buffer: features, first: 0 })?;
            stages.push(recording);
        }
        tower.end();
        self.device.wait_idle();
        Ok(stages)
    }
}
