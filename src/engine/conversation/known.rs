//! Passes over tokens that are known: steps again, forced tokens, drafts.

use super::{Conversation, not_rewound};
use crate::error::Result;
use crate::model::{LanguageModel, Verdict};
use crate::state::ConversationState;

impl<M: LanguageModel> Conversation<M> {
    /// Repeats the step of a known token.
    pub(in crate::engine) async fn step_again(&mut self, model: &mut M, token: u32) -> Result<()> {
        model.prepare(&[token]).await?;
        model.replay(self.state_mut(model)?, token)?;
        self.history.add_step(token);
        Ok(())
    }

    /// Computes known tokens in one padded pass. Returns the row of the last token.
    pub(in crate::engine) async fn forward_known(
        &mut self,
        model: &mut M,
        known: &[u32],
        rows: usize,
    ) -> Result<usize> {
        let (first, mut inputs) = (self.entries().len(), known.to_vec());
        // Rows do not attend to later rows, so padding may have any input.
        inputs.resize(rows, 0);
        self.reserve(model, rows).await?;
        model.prepare(&inputs).await?;
        let state = self.state_mut(model)?;
        let submitted = model.forward_known(state, &inputs);
        let kept = if submitted.is_ok() { known.len() } else { 0 };
        if state.rewind(first + kept) < first + kept || submitted.is_err() {
            self.forget_uncounted();
            return submitted.and(Err(not_rewound()));
        }
        known.iter().for_each(|&token| self.history.add_step(token));
        Ok(known.len().saturating_sub(1))
    }

    /// Returns true if a pass over so many rows gives the results of steps.
    pub(in crate::engine) async fn drafts_match_steps(
        &mut self,
        model: &mut M,
        inputs: &[u32],
        drawn: usize,
    ) -> Result<bool> {
        let first = self.entries().len();
        let state = self.state_mut(model)?;
        let right = model.drafts_match_steps(state, inputs, drawn).await;
        if self.rewind(first, &[]) < first { right.and(Err(not_rewound())) } else { right }
    }

    /// Verifies drafts after a known token; `inputs` are the token and the drafts. Rejected rows are dropped.
    pub(in crate::engine) async fn verify(
        &mut self,
        model: &mut M,
        draw: &mut M::Draw,
        inputs: &[u32],
        drawn: usize,
    ) -> Result<Option<Verdict>> {
        let first = self.entries().len();
        model.prepare(inputs).await?;
        let state = self.state_mut(model)?;
        let verdict = model.verify(state, draw, inputs, drawn).await;
        let rows = verdict.as_ref().map_or(0, |verdict| verdict.map_or(0, |verdict| verdict.kept));
        if state.rewind(first + rows) < first + rows || verdict.is_err() {
            self.forget_uncounted();
            return verdict.and(Err(not_rewound()));
        }
        inputs[..rows].iter().for_each(|&token| self.history.add_step(token));
        verdict
    }

    /// The most rows, up to `most`, of a verification pass.
    pub(in crate::engine) fn draft_rows(&self, model: &M, most: usize) -> Option<usize> {
        model.draft_rows(self.state.as_ref()?, most)
    }
}
