//! What a draw comes to.

use super::Engine;
use super::backend::Backend;
use super::events::TokenLogprob;
use crate::error::Result;
use crate::model::LanguageModel;
use crate::sampling::{SamplingOptions, log_softmax_top, logprob};

/// Tokens that came at once.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) tokens: Vec<u32>,
    /// The first of them, which were drafts.
    pub(super) drafts: usize,
    /// Of the only one, where it was asked for.
    pub(super) logprob: Option<TokenLogprob>,
    /// Whether the answer is whole behind them.
    pub(super) ended: bool,
}

/// The draws of a backend's model.
pub(super) type DrawOf<B> = <<B as Backend>::Model as LanguageModel>::Draw;

impl<B: Backend> Engine<B> {
    /// How likely a token was that has been drawn from a row of logits, if that was asked for and while nothing has been submitted behind it.
    pub(super) async fn logprob(
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
