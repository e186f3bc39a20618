//! Work to look at and to time: what a token and a prompt take of a device, over a model's own weights.

use super::forward::{Model, no_pass};
use crate::error::Result;
use crate::gpu::{Allocator, KernelConfig, Prepared, Recording};
use crate::kernels::TuningGroup;
use crate::layers::step::{StepHeader, StepShape};
use crate::layers::{Form, Pass};
use crate::state::State;

/// Bytes of weights that a step's trial reads: more than caches hold, some milliseconds for a small GPU.
const STEP_BYTES: u64 = 256 << 20;
/// Tokens of a prompt's trial at most.
const PROMPT_TOKENS: usize = 64;

impl Model {
    fn record_layers(
        &self,
        state: &State,
        (rows, form): (usize, Form),
        layers: usize,
        config: KernelConfig,
    ) -> Result<Recording> {
        let (work, max_bindings) = (self.work.as_ref().ok_or_else(no_pass)?, self.gpu.max_bindings());
        let mut recording = Recording::on(config);
        let mut pass = Pass { recording: &mut recording, work, rows, form, max_bindings };
        self.decoder.record_layers(&mut pass, state, 0..layers)?;
        Ok(recording)
    }

    /// Readies work that tells variants of `group` apart, over this model's weights: some layers of a step, or one of a prompt. It may
    /// be run any number of times. What it computes means nothing and stays in `state`, which must be of no conversation.
    ///
    /// # Errors
    /// As [`super::LanguageModel::forward`].
    pub async fn trial(&mut self, state: &mut State, group: TuningGroup, config: KernelConfig) -> Result<Prepared> {
        let tokens = PROMPT_TOKENS.min(self.rows.prompt).min(state.context());
        state.reserve(&self.gpu, tokens).await?;
        self.start_steps(state, StepHeader { token: 0, entry: 0, drawn: 0 })?;
        let recording = match group {
            TuningGroup::Gemv | TuningGroup::AttentionStep => {
                let (shape, depth) = (StepShape::at(0, 1), self.config().layers.len().max(1) as u64);
                let layers = (STEP_BYTES / self.decoder.layer_bytes().max(1)).clamp(1, depth) as usize;
                self.record_layers(state, (shape.rows, Form::Step { splits: shape.splits }), layers, config)?
            }
            TuningGroup::Matmul | TuningGroup::Attention => {
                self.record_layers(state, (tokens, Form::Chunk { first_entry: 0 }), 1, config)?
            }
        };
        self.gpu.compile(recording.dispatches().map(|dispatch| &dispatch.kernel), &mut |_, _| ()).await?;
        self.gpu.prepare("trial", &recording)
    }
}
