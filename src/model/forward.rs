//! The forward pass from top to bottom: a picture to features, tokens and features to hidden rows, hidden rows to logits.

use std::ops::Range;
use std::rc::Rc;

use super::decoder::{Decoder, TextRows, Workspace};
use super::kv_cache::KvCache;
use super::projector::{Features, Projector};
use super::step::{self, StepHeader, StepShape, TABLE_ROWS};
use super::vision::{Layer, Pixels, Stem};
use super::{verify, vision_work};
use crate::error::{Error, Result};
use crate::families::ModelConfig;
use crate::gpu::{Buffer, Gpu, Prepared, Purpose, Recording, Slice};
use crate::kernels::embed_rows::FEATURE;
use crate::weights::upload::WeightStore;

/// Layers of the tower between two looks at the clock, where all of them are on the GPU.
pub const VISION_LAYERS: usize = 4;

/// Rows computed at a time: what the memory of a pass goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Rows {
    /// Of the decoder.
    pub text: TextRows,
    /// Patches of a picture; a multiple of [`vision_work::row_alignment`].
    pub vision: usize,
}

/// What starts one row of the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The embedding of a token.
    Token(u32),
    /// A row of the features given along.
    Feature(u32),
}

/// Where the weights of the picture side come from, in the order of their use.
#[allow(async_fn_in_trait, reason = "everything here runs on one thread")]
pub trait VisionWeights {
    /// The weights before the first layer.
    async fn stem(&mut self) -> Result<Rc<Stem>>;
    /// The weights of layer `index`.
    async fn layer(&mut self, index: usize) -> Result<Rc<Layer>>;
    /// The weights behind the last layer.
    async fn projector(&mut self) -> Result<Rc<Projector>>;
    /// Layers that may be on the GPU at once.
    fn layers_at_once(&self) -> usize;
}

/// A model on the GPU, but for its picture side.
#[derive(Debug)]
pub struct Model {
    pub(super) gpu: Gpu,
    pub(super) config: ModelConfig,
    pub(super) rows: Rows,
    pub(super) decoder: Decoder,
    /// What the decoder works in; not there while a picture is encoded.
    pub(super) work: Option<Workspace>,
    /// Steps of each count of rows.
    steps: Vec<(StepShape, Prepared)>,
}

impl Model {
    /// Takes a model's weights.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`] if a weight is missing.
    pub fn new(gpu: &Gpu, config: &ModelConfig, rows: Rows, mut weights: WeightStore) -> Result<Self> {
        let decoder = Decoder::new(config.text(), &mut weights)?;
        Ok(Self { decoder, work: None, steps: Vec::new(), rows, gpu: gpu.clone(), config: config.clone() })
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Rows computed at a time.
    pub fn rows(&self) -> Rows {
        self.rows
    }

    /// Runs a picture through the tower and the projector, into the rows of `into.0` from `into.1` on. `progress` is told layers
    /// done and layers in all, and stops the work by returning an error.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if the model reads no pictures; what `weights` and `progress` return; what the device complains
    /// about.
    pub async fn encode_picture<W: VisionWeights>(
        &mut self,
        weights: &mut W,
        pixels: Pixels<'_>,
        into: (&Buffer, usize),
        progress: &mut dyn FnMut(usize, usize) -> Result<()>,
    ) -> Result<()> {
        let Some(config) = self.config.vision() else {
            return Err(no_pictures());
        };
        // The decoder's work memory serves the tower meanwhile.
        (self.work, self.steps) = (None, Vec::new());
        let (gpu, depth, text_hidden) = (&self.gpu, config.num_hidden_layers, self.config.text().hidden_size);
        let work = vision_work::Workspace::new(gpu, config, &pixels, self.rows.vision, text_hidden)?;
        let mut recording = Recording::on(self.gpu.kernel_config());
        weights.stem().await?.record(gpu, &mut recording, &work, &pixels)?;
        gpu.run("vision", &recording.take())?;
        gpu.wait_idle().await?;

        let (ahead, group) =
            (weights.layers_at_once() > 1, if weights.layers_at_once() > 2 { VISION_LAYERS } else { 1 });
        let mut next = None;
        for index in 0..depth {
            let layer = match next.take() {
                Some(layer) => layer,
                None => weights.layer(index).await?,
            };
            layer.record(&mut recording, &work)?;
            gpu.run("vision", &recording.take())?;
            if ahead && index + 1 < depth {
                // Fetched and sent while the GPU works.
                next = Some(weights.layer(index + 1).await?);
            }
            if (index + 1).is_multiple_of(group) || index + 1 == depth {
                gpu.wait_idle().await?;
                progress(index + 1, depth)?;
            }
        }
        let side = config.patch_size * config.spatial_merge_size;
        let grid = (pixels.height / side, pixels.width / side);
        weights.projector().await?.record(&mut recording, &work, grid, into)?;
        gpu.run("vision", &recording)?;
        gpu.wait_idle().await
    }

    /// Takes the memory of a picture's pass for a moment, and that of `features` rows of features; computes nothing.
    ///
    /// # Errors
    /// As [`Self::encode_picture`].
    pub async fn preallocate_picture<W: VisionWeights>(
        &mut self,
        weights: &mut W,
        (width, height): (usize, usize),
        features: usize,
    ) -> Result<()> {
        let Some(config) = self.config.vision() else { return Ok(()) };
        (self.work, self.steps) = (None, Vec::new());
        let text_hidden = self.config.text().hidden_size;
        let pixels = Pixels { width, height, rgb: &[] };
        let _features = self.features(features)?;
        let _work = vision_work::Workspace::new(&self.gpu, config, &pixels, self.rows.vision, text_hidden)?;
        drop(weights.stem().await?);
        let mut layers = Vec::new();
        for index in 0..config.num_hidden_layers.min(weights.layers_at_once()) {
            layers.push(weights.layer(index).await?);
        }
        self.gpu.wait_idle().await?;
        drop(layers);
        drop(weights.projector().await?);
        self.gpu.wait_idle().await
    }

    /// Takes the memory of the decoder, of the step behind a full `cache`, and that of `features` rows of features, which are
    /// returned so that they are held as long as need be.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn preallocate_text(&mut self, cache: &KvCache, features: usize) -> Result<Buffer> {
        let features = self.features(features)?;
        self.rest();
        self.start_steps(StepHeader { token: 0, position: 0, drawn: 0 })?;
        self.ready_step(cache, cache.context().saturating_sub(1))?;
        let most = self.rows.text.step.min(cache.context());
        for rows in verify::ROWS.into_iter().filter(|&rows| rows <= most) {
            self.preallocate_verify(cache, rows)?;
        }
        Ok(features)
    }

    fn features(&self, rows: usize) -> Result<Buffer> {
        let bytes = (rows * self.config.text().hidden_size * size_of::<f32>()) as u64;
        self.gpu.alloc("features", Purpose::Features, bytes)
    }

    /// Runs up to [`TextRows::prompt`] inputs behind those in the cache. Their hidden rows are then what [`Self::logits`] reads.
    /// `features` are the rows that [`Input::Feature`] counts.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a token outside the vocabulary, [`Error::ContextOverflow`], or what the device complains
    /// about.
    pub async fn forward(&mut self, cache: &mut KvCache, inputs: &[Input], features: Option<&Features>) -> Result<()> {
        let sources = self.sources(inputs, features)?;
        cache.reserve(inputs.len()).await?;
        self.ready_work()?;
        let work = self.work.as_mut().ok_or_else(no_pass)?;
        self.decoder.upload_inputs(&self.gpu, work, &sources, cache.len())?;
        // The kernel binds some buffer even if no source names a feature.
        let rows = features.map_or(&work.gathered, |features| &features.buffer).all();
        let mut recording = Recording::on(self.gpu.kernel_config());
        self.decoder.record_inputs(&mut recording, work, &rows, inputs.len())?;
        let (depth, at_once) = (self.config.text().layers.len(), self.decoder.layers_at_once(inputs.len()));
        for first in (0..depth).step_by(at_once) {
            let layers = first..depth.min(first + at_once);
            self.decoder.record_layers(&mut recording, work, cache, layers, inputs.len())?;
            self.gpu.run("decoder", &recording.take())?;
        }
        cache.advance(inputs.len());
        Ok(())
    }

    fn sources(&self, inputs: &[Input], features: Option<&Features>) -> Result<Vec<u32>> {
        if inputs.is_empty() || inputs.len() > self.rows.text.prompt {
            return Err(Error::Internal { detail: format!("a chunk of {} inputs", inputs.len()) });
        }
        let rows = features.map_or(0, |features| features.rows);
        let source = |input: &Input| match *input {
            Input::Token(id) if (id as usize) < self.config.text().vocab_size => Ok(id),
            Input::Token(id) => Err(Error::request("input_ids", format!("token {id} is not in the vocabulary"))),
            Input::Feature(row) if (row as usize) < rows => Ok(row | FEATURE),
            Input::Feature(row) => Err(Error::Internal { detail: format!("feature {row} of {rows}") }),
        };
        inputs.iter().map(source).collect()
    }

    /// Logits of rows of the last [`Self::forward`]. `// [rows, vocab]`
    ///
    /// # Errors
    /// What the device complains about.
    pub async fn logits(&self, rows: Range<usize>) -> Result<Vec<f32>> {
        let work = self.work.as_ref().ok_or_else(no_pass)?;
        let vocab = self.config.text().vocab_size;
        let mut all = Vec::with_capacity(rows.len() * vocab);
        for first in rows.clone().step_by(self.rows.text.head) {
            let count = self.rows.text.head.min(rows.end - first);
            self.run_head(work, first..first + count)?;
            let bytes = (count * vocab * size_of::<f32>()) as u64;
            let logits: Vec<f32> = self.gpu.read_as(&Slice { bytes, ..work.logits.all() }).await?;
            all.extend_from_slice(&logits);
        }
        Ok(all)
    }

    /// Logits of `rows` rows of the last pass into the buffer of logits.
    fn run_head(&self, work: &Workspace, rows: Range<usize>) -> Result<()> {
        let row_bytes = (self.config.text().hidden_size * size_of::<f32>()) as u64;
        let mut recording = Recording::on(self.gpu.kernel_config());
        // Bindings start at multiples of 256 bytes, rows may not: gather them at the start of a buffer first.
        let range = rows.start as u64 * row_bytes..rows.end as u64 * row_bytes;
        let gathered = work.gathered.slice(0..rows.len() as u64 * row_bytes);
        recording.copy(work.x.slice(range), gathered.clone());
        self.decoder.record_head(&mut recording, work, &gathered, rows.len())?;
        self.gpu.run("head", &recording)
    }

    pub(super) fn ready_work(&mut self) -> Result<()> {
        if self.work.is_none() {
            self.work = Some(Workspace::new(&self.gpu, self.config.text(), self.rows.text)?);
        }
        Ok(())
    }

    /// Gives up work memory until the next pass.
    pub fn rest(&mut self) {
        (self.work, self.steps) = (None, Vec::new());
    }

    /// Has the logits of `row` of the last [`Self::forward`] computed for whoever draws the next token from
    /// [`Self::choice`].
    ///
    /// # Errors
    /// As [`Gpu::run`].
    pub fn head(&self, row: usize) -> Result<()> {
        self.run_head(self.work.as_ref().ok_or_else(no_pass)?, row..row + 1)
    }

    /// Where the next token is drawn: its logits `[vocab]`, and the step buffer that it is to be written to.
    ///
    /// # Errors
    /// [`Error::Internal`] before the first pass.
    pub fn choice(&self) -> Result<(Slice, Slice)> {
        let work = self.work.as_ref().ok_or_else(no_pass)?;
        let bytes = (self.config.text().vocab_size * size_of::<f32>()) as u64;
        Ok((work.logits.slice(0..bytes), work.step.all()))
    }

    /// States where the next step starts; its token may still be drawn before it.
    ///
    /// # Errors
    /// As [`Gpu::write`].
    pub fn start_steps(&mut self, header: StepHeader) -> Result<()> {
        self.ready_work()?;
        let work = self.work.as_mut().ok_or_else(no_pass)?;
        // A draw comes first, and counts the position up.
        if !(work.table.contains(&header.position) && work.table.contains(&(header.position + 1))) {
            work.table = header.position..header.position + TABLE_ROWS;
            let words = self.decoder.step_words(header, &work.table);
            return self.gpu.write(&work.step, 0, bytemuck::cast_slice(&words));
        }
        self.gpu.write(&work.step, 0, bytemuck::cast_slice(&header.words(&work.table)))
    }

    /// Readies the recording of the step at `position`, which the cache must have room for. It serves until its [`StepHeader`]
    /// names a position beyond, as the caller counts them.
    ///
    /// # Errors
    /// As [`Gpu::prepare`] and [`Gpu::write`].
    pub fn ready_step(&mut self, cache: &KvCache, position: usize) -> Result<&Prepared> {
        self.ready_table(position, 1)?;
        self.ready(cache, StepShape::at(position, 1), |_, _| Ok(()))
    }

    /// Has the rotations of these rows at hand.
    pub(super) fn ready_table(&mut self, position: usize, rows: usize) -> Result<()> {
        let work = self.work.as_mut().ok_or_else(no_pass)?;
        if !work.table.contains(&position) || work.table.end < position + rows {
            work.table = position..position + TABLE_ROWS;
            // The header stays: the GPU knows it better by now.
            let first = [work.table.start as u32];
            self.gpu.write(&work.step, step::TABLE_FIRST, bytemuck::cast_slice(&first))?;
            let rows = self.decoder.table_words(&work.table);
            self.gpu.write(&work.step, step::HEADER, bytemuck::cast_slice(&rows))?;
        }
        Ok(())
    }

    /// The recording of a step of this shape, and of what `then` adds to it.
    pub(super) fn ready(
        &mut self,
        cache: &KvCache,
        shape: StepShape,
        then: impl FnOnce(&Self, &mut Recording) -> Result<()>,
    ) -> Result<&Prepared> {
        self.steps.retain(|(made_for, step)| step.is_current() && (made_for.rows != shape.rows || *made_for == shape));
        let found = self.steps.iter().position(|(made_for, _)| *made_for == shape);
        let index = match found {
            Some(index) => index,
            None => {
                let mut recording = Recording::on(self.gpu.kernel_config());
                let work = self.work.as_ref().ok_or_else(no_pass)?;
                self.decoder.record_step(&self.gpu, &mut recording, work, cache, shape)?;
                then(self, &mut recording)?;
                self.steps.push((shape, self.gpu.prepare("step", &recording)?));
                self.steps.len() - 1
            }
        };
        Ok(&self.steps[index].1)
    }

    /// Waits until everything submitted has run.
    ///
    /// # Errors
    /// What the device complains about.
    pub async fn wait_idle(&self) -> Result<()> {
        self.gpu.wait_idle().await
    }
}

pub(super) fn no_pictures() -> Error {
    Error::request("messages", "this model reads no pictures")
}

pub(super) fn no_pass() -> Error {
    Error::Internal { detail: "logits before a forward pass".into() }
}
