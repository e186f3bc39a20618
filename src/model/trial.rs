//! Work for autotuning and benchmarks: steps and prompts over a model's own weights.

use super::forward::Model;
use crate::error::Result;
use crate::gpu::{KernelConfig, Recording};
use crate::kernels::TuningGroup;
use crate::layers::step::StepHeader;
use crate::layers::{Form, Pass};
use crate::state::State;

/// Bytes of weights that an autotune run of a step reads: more than caches hold, and some milliseconds on a small GPU.
const STEP_BYTES: u64 = 256 << 20;
/// Largest number of tokens in an autotune run of a prompt: the rows of the largest tile.
const PROMPT_TOKENS: usize = 128;
/// Largest number of entries in an autotune run of attention; attention to a short context is a small part of a token or a prompt.
const ENTRIES: usize = 1024;

impl Model {
    /// Records work over this model's weights that shows differences between variants of `group`: some layers of a step, one layer of a
    /// prompt, or their attention alone at the end of a long context, in launches of at most `most_flops`. Its kernels are compiled. It can be
    /// repeated any number of times. Its results are meaningless and stay in `state`, which must not belong to a conversation. Fails like [`super::LanguageModel::forward`].
    pub async fn trial(
        &mut self,
        state: &mut State,
        group: TuningGroup,
        config: KernelConfig,
        most_flops: u64,
    ) -> Result<Recording> {
        let tokens = PROMPT_TOKENS.min(self.rows.prompt).min(state.context());
        let kinds = &self.config().layers;
        let attends = kinds.iter().position(|kind| kind.is_self_attention()).unwrap_or(0);
        let enough = (STEP_BYTES / self.decoder.layer_bytes().max(1)) as usize;
        let (all, one) = (kinds.len(), attends..attends + 1);
        let long = ENTRIES.min(state.context());
        let (rows, entry, layers) = match group {
            TuningGroup::Gemv => (1, 0, 0..enough.max(attends + 1).min(all)),
            TuningGroup::Matmul => (tokens, 0, one),
            TuningGroup::AttentionStep => (1, long - 1, 0..all),
            TuningGroup::Attention => (tokens, long - tokens, one),
        };
        let is_step = matches!(group, TuningGroup::Gemv | TuningGroup::AttentionStep);
        let form = if is_step { Form::step(entry, 1) } else { Form::Chunk { first_entry: entry } };
        state.reserve(&self.gpu, entry + rows).await?;
        self.write_step(state, StepHeader { token: 0, entry, drawn: 0 }, rows)?;
        self.catch_up(state)?;
        let mut recording = Recording::on(config).divided(Some(most_flops));
        let mut pass = Pass::new(&mut recording, self.work()?, rows, form);
        self.decoder.record_layers(&mut pass, state, layers)?;
        if matches!(group, TuningGroup::AttentionStep | TuningGroup::Attention) {
            recording = recording.only(|dispatch| group.computes(&dispatch.kernel));
        }
        self.gpu.compile(recording.dispatches().map(|dispatch| &dispatch.kernel), &mut |_, _| ()).await?;
        Ok(recording)
    }

    /// A step at `entry` of `state`, which must not belong to a conversation; it can be repeated any number of times. Fails like
    /// [`super::LanguageModel::forward`].
    pub async fn record_step_at(&mut self, state: &mut State, entry: usize) -> Result<Recording> {
        let gpu = self.gpu.clone();
        state.reserve(&gpu, entry + 1).await?;
        self.start_steps(state, StepHeader { token: 0, entry, drawn: 0 })?;
        self.catch_up(state)?;
        self.record_step(state, 1, Form::step(entry, 1))
    }

    /// The chunks of a prompt of `tokens` tokens from the beginning of `state`, which must not belong to a conversation. Fails like
    /// [`super::LanguageModel::forward`].
    pub async fn record_prompt(&mut self, state: &mut State, tokens: usize) -> Result<Vec<Recording>> {
        let (gpu, most) = (self.gpu.clone(), self.rows.prompt.min(tokens));
        state.reserve(&gpu, tokens).await?;
        self.write_step(state, StepHeader { token: 0, entry: 0, drawn: 0 }, most)?;
        self.catch_up(state)?;
        let work = self.work()?;
        let chunk = |first_entry: usize| {
            let (mut recording, rows) = (gpu.recording(), most.min(tokens - first_entry));
            let mut pass = Pass::new(&mut recording, work, rows, Form::Chunk { first_entry });
            self.decoder.record_inputs(&mut pass, &work.sources.all(), &work.gathered.all())?;
            self.decoder.record_layers(&mut pass, state, 0..self.config().own_layers())?;
            Ok(recording)
        };
        (0..tokens).step_by(most.max(1)).map(chunk).collect()
    }
}
