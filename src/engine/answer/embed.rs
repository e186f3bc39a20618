//! Answers that are a hidden state of the prompt, for embeddings.

use super::answering::Answering;
use crate::engine::Engine;
use crate::engine::control::RequestContext;
use crate::engine::device::backend::Backend;
use crate::engine::events::FinishReason;
use crate::error::{Error, Result};

impl<B: Backend> Engine<B> {
    /// Reads the last hidden state of a prompt that is computed, apart from entries that were lost since. Completes the answer.
    pub(in crate::engine) async fn embed(
        &mut self,
        answering: &mut Answering,
        context: &mut RequestContext<'_>,
    ) -> Result<bool> {
        self.compute_prompt(&answering.encoded, context).await?;
        let hidden = self.conversation.hidden(self.backend.model()?).await?; // [hidden]
        if hidden.iter().any(|x| !x.is_finite()) {
            self.conversation.forget_last_pass();
            return Err(Error::Gpu { stage: "final norm".into(), detail: "a hidden state is not finite".into() });
        }
        answering.answer.hidden = hidden;
        answering.answer.finish_reason = FinishReason::Stop;
        Ok(true)
    }
}
