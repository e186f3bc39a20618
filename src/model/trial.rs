//! Work to look at and to time: what a token, a prompt and a picture take of a device, over a model's own weights.

use super::decoder::{Decoder, Workspace};
use super::forward::{Model, no_pass, no_pictures};
use super::kv_cache::KvCache;
use super::step::{StepHeader, StepShape};
use super::vision::{Layer, Pixels};
use super::vision_work;
use crate::error::Result;
use crate::gpu::{Gpu, KernelConfig, Prepared, Recording};
use crate::kernels::TuningGroup;

/// Bytes of weights that a step's trial reads: more than caches hold, some milliseconds for a small GPU.
const STEP_BYTES: u64 = 256 << 20;
/// Tokens of a prompt's trial at most.
const PROMPT_TOKENS: usize = 64;

impl Model {
    /// What the step at `position` launches on a device that computes in these ways.
    ///
    /// # Errors
    /// As [`Gpu::alloc`].
    pub fn list_step(&mut self, cache: &KvCache, position: usize, kernel_config: KernelConfig) -> Result<Recording> {
        self.ready_work()?;
        let work = self.work.as_ref().ok_or_else(no_pass)?;
        let mut recording = Recording::on(kernel_config);
        self.decoder.record_step(&self.gpu, &mut recording, work, cache, StepShape::at(position, 1))?;
        Ok(recording)
    }

    /// What the first layer launches for a chunk of `tokens` tokens behind those in the cache.
    ///
    /// # Errors
    /// As [`Gpu::alloc`].
    pub fn list_layer(&mut self, cache: &KvCache, tokens: usize, kernel_config: KernelConfig) -> Result<Recording> {
        self.ready_work()?;
        let work = self.work.as_ref().ok_or_else(no_pass)?;
        let mut recording = Recording::on(kernel_config);
        self.decoder.record_layers(&mut recording, work, cache, 0..1, tokens)?;
        Ok(recording)
    }

    /// What a layer of the tower launches for all patches of a picture.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if the model reads no pictures, or as [`Gpu::alloc`].
    pub fn list_picture_layer(
        &self,
        layer: &Layer,
        pixels: &Pixels<'_>,
        kernel_config: KernelConfig,
    ) -> Result<Recording> {
        let config = self.config.vision().ok_or_else(no_pictures)?;
        let text_hidden = self.config.text().hidden_size;
        let work = vision_work::Workspace::new(&self.gpu, config, pixels, self.rows.vision, text_hidden)?;
        let mut recording = Recording::on(kernel_config);
        layer.record(&mut recording, &work)?;
        Ok(recording)
    }

    /// Readies work that tells ways of `family` apart, over this model's weights. It may be run any number of times, between passes
    /// and with an empty `cache`.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub async fn trial(
        &mut self,
        cache: &mut KvCache,
        family: TuningGroup,
        kernel_config: KernelConfig,
    ) -> Result<Prepared> {
        let tokens = PROMPT_TOKENS.min(self.rows.text.prompt).min(cache.context());
        cache.reserve(tokens).await?;
        self.start_steps(StepHeader { token: 0, position: 0, drawn: 0 })?;
        let work = self.work.as_ref().ok_or_else(no_pass)?;
        let recording = self.decoder.record_trial(&self.gpu, (work, cache), (family, tokens), kernel_config)?;
        self.gpu.compile(&recording, &mut |_, _| ()).await?;
        self.gpu.prepare("trial", &recording)
    }
}

impl Decoder {
    /// Records what tells ways of `family` apart: some layers of a step, or one of a prompt of so many tokens. What they compute is of no meaning, and
    /// is overwritten by the next pass.
    pub(super) fn record_trial(
        &self,
        gpu: &Gpu,
        (work, cache): (&Workspace, &KvCache),
        (family, tokens): (TuningGroup, usize),
        kernel_config: KernelConfig,
    ) -> Result<Recording> {
        let mut recording = Recording::on(kernel_config);
        match family {
            TuningGroup::Gemv | TuningGroup::AttentionStep => {
                let shape = StepShape::at(0, 1);
                let layers = (STEP_BYTES / self.layer_bytes().max(1)).clamp(1, self.layers.len().max(1) as u64);
                self.record_step_layers(gpu, &mut recording, (work, cache), 0..layers as usize, shape)?;
            }
            TuningGroup::Matmul | TuningGroup::Attention => {
                self.record_layers(&mut recording, work, cache, 0..1, tokens)?;
            }
        }
        Ok(recording)
    }

    /// Bytes of the matrices of the first layer.
    fn layer_bytes(&self) -> u64 {
        let Some(layer) = self.layers.first() else { return 0 };
        let matrices = layer.qkv_proj.weights().iter().chain(layer.gate_up_proj.weights());
        let parts = matrices.chain([&layer.o_proj, &layer.down_proj]).flat_map(|weight| &weight.parts);
        parts.flat_map(|part| &part.planes).map(|plane| plane.bytes).sum()
    }
}
