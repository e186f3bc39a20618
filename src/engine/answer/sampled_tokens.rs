//! Tokens returned by one draw.

use crate::engine::Engine;
use crate::engine::device::backend::Backend;
use crate::engine::events::TokenLogprob;
use crate::error::Result;
use crate::model::LanguageModel;
use crate::sampling::{SamplingOptions, log_softmax_top, logprob};

#[derive(Debug)]
pub(in crate::engine) struct SampledTokens {
    pub(in crate::engine) tokens: Vec<u32>,
    /// Number of the first tokens, which were drafts.
    pub(in crate::engine) drafts: usize,
    /// Log probability of the only token, if requested.
    pub(in crate::engine) logprob: Option<TokenLogprob>,
    /// True if the answer is complete after them.
    pub(in crate::engine) ended: bool,
}

pub(in crate::engine) type DrawOf<B> = <<B as Backend>::Model as LanguageModel>::Draw;

impl<B: Backend> Engine<B> {
    /// Returns the log probability of a token drawn from a row of logits, if requested. Must be called before more work is submitted.
    pub(in crate::engine) async fn logprob(
        &mut self,
        token: u32,
        row: usize,
        sampling: &SamplingOptions,
    ) -> Result<Option<TokenLogprob>> {
        let Some(top) = sampling.logprobs else { return Ok(None) };
        let logits = self.backend.model()?.drawn_logits(row).await?; // [vocab]
        let top = log_softmax_top(&logits, top);
        Ok(Some(TokenLogprob { token, logprob: logprob(&logits, token), top }))
    }
}
