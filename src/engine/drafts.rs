//! Several tokens at once: what speculation proposes, verified in one pass.

use super::Engine;
use super::backend::Backend;
use super::decode::{DrawOf, Drawing, Drawn, Progress};
use super::speculate::{Draft, Speculator, history};
use crate::error::Result;

impl<B: Backend> Engine<B> {
    /// What may follow the token that is known, or that is being drawn, and up to `left` tokens in all.
    pub(super) fn propose(
        &mut self,
        speculator: &Speculator,
        known: Option<u32>,
        left: usize,
    ) -> Result<Option<Draft>> {
        if !speculator.looks(&self.latency) {
            return Ok(None);
        }
        let Some(rows) = self.conversation.draft_rows(self.backend.model()?, left) else { return Ok(None) };
        Ok(speculator.propose(&self.latency, &history(self.conversation.entries(), known), rows))
    }

    /// Verifies a draft behind a token that is known; none if it could not be judged.
    pub(super) async fn verify(
        &mut self,
        drawing: &mut Drawing<DrawOf<B>>,
        speculator: &mut Speculator,
        (known, draft): (u32, Draft),
        progress: Progress,
    ) -> Result<Option<Drawn>> {
        let inputs: Vec<u32> = std::iter::once(known).chain(draft.tokens.iter().copied()).collect();
        let model = self.backend.model()?;
        if !self.conversation.drafts_are_right(model, &inputs, progress.drawn).await? {
            speculator.stop();
            return Ok(None);
        }
        let started = (self.clock)();
        let Some(verdict) = self.conversation.verify(model, &mut drawing.draw, &inputs, progress.drawn).await? else {
            // Perhaps by a draft's fault: then a step will do.
            speculator.stop();
            return Ok(None);
        };
        self.latency.passed(inputs.len(), (self.clock)() - started);
        speculator.verified(&draft, verdict.kept - 1);
        drawing.known = Some(verdict.token);
        let tokens = inputs[1..verdict.kept].iter().copied().chain([verdict.token]).collect();
        Ok(Some(Drawn { tokens, drafts: verdict.kept - 1 }))
    }
}
