//! The forward pass from top to bottom: a picture to features, tokens and features to hidden rows, hidden rows to logits.

use std::ops::Range;

use super::decoder::{self, Decoder, Workspace};
use super::kv_cache::KvCache;
use super::projector::{Features, Projector};
use super::vision::{self, Pixels, VisionTower};
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Purpose, Recording, Slice};
use crate::kernels::embed_rows::FEATURE;
use crate::weights::upload::WeightStore;

/// Tokens of a prompt computed at a time.
pub const CHUNK: usize = 256;
/// Rows of logits computed at a time.
const HEAD_ROWS: usize = 32;
/// Layers of the tower between two looks at the clock.
const VISION_LAYERS: usize = 4;

/// What starts one row of the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The embedding of a token.
    Token(u32),
    /// A row of the features given along.
    Feature(u32),
}

/// A model on the GPU.
#[derive(Debug)]
pub struct Model {
    gpu: Gpu,
    config: ModelConfig,
    vision: Option<(VisionTower, Projector)>,
    decoder: Decoder,
    work: Workspace,
    logits: Slice, // [HEAD_ROWS, vocab]
}

/// Matrices that one launch can compute, for [`crate::weights::upload::Uploader`].
pub fn joins(config: &ModelConfig) -> Vec<Vec<String>> {
    let vision = config.vision.iter().flat_map(vision::joins);
    vision.chain(decoder::joins(&config.text)).collect()
}

impl Model {
    /// Takes a model's weights and allocates what a forward pass needs.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`] if a weight is missing, or as [`Gpu::alloc`].
    pub fn new(gpu: &Gpu, config: &ModelConfig, mut weights: WeightStore) -> Result<Self> {
        let vision = match &config.vision {
            None => None,
            Some(vision) => {
                let tower = VisionTower::new(vision, &mut weights)?;
                Some((tower, Projector::new(config, vision, &mut weights)?))
            }
        };
        let logits_bytes = (HEAD_ROWS * config.text.vocab_size * size_of::<f32>()) as u64;
        Ok(Self {
            vision,
            decoder: Decoder::new(&config.text, &mut weights)?,
            work: Workspace::new(gpu, &config.text, CHUNK)?,
            logits: gpu.alloc("logits", Purpose::Activations, logits_bytes)?.all(),
            gpu: gpu.clone(),
            config: config.clone(),
        })
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Runs a picture through the tower and the projector. `progress` is told layers done and layers in all, and stops the
    /// work by returning an error.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if the model reads no pictures; what `progress` returns; what the device complains about.
    pub async fn encode_picture(
        &self,
        pixels: Pixels<'_>,
        progress: &mut dyn FnMut(usize, usize) -> Result<()>,
    ) -> Result<Features> {
        let (Some((tower, projector)), Some(config)) = (&self.vision, &self.config.vision) else {
            return Err(Error::request("messages", "this model reads no pictures"));
        };
        let side = config.patch_size * config.spatial_merge_size;
        let work = tower.workspace(&self.gpu, &pixels)?;
        let mut recording = Recording::new();
        tower.record_patches(&self.gpu, &mut recording, &work, &pixels)?;
        for layer in 0..tower.depth() {
            tower.record_layer(&mut recording, &work, layer)?;
            if (layer + 1).is_multiple_of(VISION_LAYERS) {
                self.gpu.run("vision", &std::mem::take(&mut recording))?;
                self.settle().await?;
                progress(layer + 1, tower.depth())?;
            }
        }
        let grid = (pixels.height / side, pixels.width / side);
        let features = projector.record(&self.gpu, &mut recording, &work, grid)?;
        self.gpu.run("vision", &recording)?;
        self.settle().await?;
        progress(tower.depth(), tower.depth())?;
        Ok(features)
    }

    /// Runs up to [`CHUNK`] inputs behind those in the cache. Their hidden rows are then what [`Self::logits`] reads.
    /// `features` are the rows that [`Input::Feature`] counts.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a token outside the vocabulary, [`Error::ContextOverflow`], or what the device complains
    /// about.
    pub async fn forward(&self, cache: &mut KvCache, inputs: &[Input], features: Option<&Features>) -> Result<()> {
        let sources = self.sources(inputs, features)?;
        cache.reserve(inputs.len()).await?;
        self.decoder.upload_inputs(&self.gpu, &self.work, &sources, cache.len())?;
        // The kernel binds some buffer even if no source names a feature.
        let rows = features.map_or(&self.work.gathered, |features| &features.buffer).all();
        let mut recording = Recording::new();
        self.decoder.record(&mut recording, &self.work, cache, &rows, inputs.len())?;
        self.gpu.run("decoder", &recording)?;
        cache.advance(inputs.len());
        Ok(())
    }

    fn sources(&self, inputs: &[Input], features: Option<&Features>) -> Result<Vec<u32>> {
        if inputs.is_empty() || inputs.len() > CHUNK {
            return Err(Error::Internal { detail: format!("a chunk of {} inputs", inputs.len()) });
        }
        let rows = features.map_or(0, |features| features.rows);
        let source = |input: &Input| match *input {
            Input::Token(id) if (id as usize) < self.config.text.vocab_size => Ok(id),
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
        let (hidden, vocab) = (self.config.text.hidden_size, self.config.text.vocab_size);
        let mut all = Vec::with_capacity(rows.len() * vocab);
        for first in rows.clone().step_by(HEAD_ROWS) {
            let count = HEAD_ROWS.min(rows.end - first);
            let row_bytes = (hidden * size_of::<f32>()) as u64;
            let mut recording = Recording::new();
            // Bindings start at multiples of 256 bytes, rows may not: gather them at the start of a buffer first.
            let range = first as u64 * row_bytes..(first + count) as u64 * row_bytes;
            let gathered = self.work.gathered.slice(0..count as u64 * row_bytes);
            recording.copy(self.work.x.slice(range), gathered.clone());
            self.decoder.record_head(&mut recording, &self.work, &gathered, count, &self.logits)?;
            self.gpu.run("head", &recording)?;
            let bytes = (count * vocab * size_of::<f32>()) as u64;
            let logits: Vec<f32> = self.gpu.read_as(&Slice { bytes, ..self.logits.clone() }).await?;
            all.extend_from_slice(&logits);
        }
        Ok(all)
    }

    /// Waits until everything submitted has run.
    ///
    /// # Errors
    /// What the device complains about.
    pub async fn settle(&self) -> Result<()> {
        self.gpu.read(&self.work.x.slice(0..4)).await.map(|_| ())
    }
}
