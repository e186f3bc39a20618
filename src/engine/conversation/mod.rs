//! A conversation: its state, the entries that the state holds, and the passes that computed them. Only this module changes them, together.

mod hidden;
pub(super) mod history;
pub(super) mod idle;
mod known;
pub(super) mod recovery;
pub mod snapshots;

use std::sync::Arc;

use crate::engine::device::features::PromptImages;
use crate::engine::prompt::{ContextEntry, SizedPicture};
use crate::error::Result;
use crate::model::{Input, LanguageModel, LogitsAt, MaskFn};
use crate::sampling::{Past, SamplingOptions};
use crate::state::ConversationState;
use history::{History, PastPass};

/// Distance from the last fork point within which no further checkpoint is made: so few entries are cheap to compute again.
const NEAR: usize = 16;

/// A conversation. It has no state while there is no device.
#[derive(Debug)]
pub(in crate::engine) struct Conversation<M: LanguageModel> {
    state: Option<M::State>,
    history: History,
    /// Entries before the last fork point.
    remembered: Option<usize>,
}

impl<M: LanguageModel> Default for Conversation<M> {
    fn default() -> Self {
        Self { state: None, history: History::default(), remembered: None }
    }
}

impl<M: LanguageModel> Conversation<M> {
    /// Creates a conversation with a restored state. Its pictures are passed to a later [`Self::rewind`].
    pub(in crate::engine) fn restored(state: M::State, history: History, branch: usize) -> Self {
        let remembered = Some(branch).filter(|place| (1..=history.entries.len()).contains(place));
        Self { state: Some(state), history, remembered }
    }

    /// Entries before the last fork point.
    pub(in crate::engine) fn branch(&self) -> Option<usize> {
        self.remembered
    }

    pub(in crate::engine) fn state(&self) -> Option<&M::State> {
        self.state.as_ref()
    }

    /// The passes that computed the first `len` entries.
    pub(in crate::engine) fn passes(&self, len: usize) -> Vec<PastPass> {
        self.history.passes().map(|(pass, _)| pass).filter(|pass| pass.first < len).collect()
    }

    pub(in crate::engine) fn entries(&self) -> &[ContextEntry] {
        &self.history.entries
    }

    /// Pictures of its entries, and perhaps others.
    pub(in crate::engine) fn pictures(&self) -> &[Arc<SizedPicture>] {
        &self.history.pictures
    }

    /// Length of the longest common prefix with `prompt`.
    fn prefix(&self, prompt: &[ContextEntry]) -> usize {
        self.entries().iter().zip(prompt).take_while(|(held, wanted)| held == wanted).count()
    }

    /// Entries of `prompt` that need not be computed. Excludes its last entry, whose logits are needed.
    pub(in crate::engine) fn common(&self, prompt: &[ContextEntry]) -> usize {
        self.prefix(prompt).min(prompt.len().saturating_sub(1))
    }

    /// Entries of [`Self::common`] to which the state can rewind.
    pub(in crate::engine) fn kept_of(&self, prompt: &[ContextEntry]) -> usize {
        self.state.as_ref().map_or(0, |state| state.rewind_target(self.common(prompt)))
    }

    /// Returns true if the conversation can continue with `prompt` without loss of entries that it would hold when idle.
    pub(in crate::engine) fn is_continued_by(&self, prompt: &[ContextEntry]) -> bool {
        self.state.as_ref().is_none_or(|state| state.idle_len() <= self.prefix(prompt))
    }

    /// Allows eviction of its pages.
    pub(in crate::engine) fn unpin(&mut self) {
        self.state.iter_mut().for_each(|state| state.pin(false));
    }

    pub(in crate::engine) fn held_state(&mut self) -> Option<&mut M::State> {
        self.state.as_mut()
    }

    /// Adds a step that was computed in a batch.
    pub(in crate::engine) fn stepped(&mut self, token: u32) {
        self.history.add_step(token);
    }

    /// Prepares `draw` to resume after passes of other conversations, with a known token after `drawn` tokens.
    pub(in crate::engine) fn resume_draw(
        &mut self,
        model: &mut M,
        draw: &mut M::Draw,
        known: u32,
        drawn: usize,
    ) -> Result<()> {
        let state = self.state_mut(model)?;
        model.resume(state, draw, known, drawn)
    }

    /// Submits the step of a known token and the next draw, after passes of other conversations.
    pub(in crate::engine) async fn step_alone(
        &mut self,
        model: &mut M,
        draw: &mut M::Draw,
        (known, drawn): (u32, usize),
    ) -> Result<()> {
        self.resume_draw(model, draw, known, drawn)?;
        self.step(model, draw, known).await
    }

    /// Returns a conversation with the same entries, as many as can be shared.
    pub(in crate::engine) fn fork(&self) -> Self {
        let (state, history) = (self.state.as_ref().map(ConversationState::fork), self.history.clone());
        let mut fork = Self { state, history, remembered: self.remembered };
        fork.forget_evicted();
        fork
    }

    /// Frees what only an active conversation needs.
    pub(in crate::engine) fn rest(&mut self) {
        self.state.as_mut().map(ConversationState::make_idle);
        self.forget_evicted();
    }

    /// Forgets entries that its state no longer holds, and their pictures.
    pub(in crate::engine) fn forget_evicted(&mut self) {
        let len = self.state.as_ref().map_or(0, ConversationState::len);
        self.rewind(len, &[]);
    }

    /// Returns the state, creating one if there is none.
    pub(in crate::engine) fn state_mut(&mut self, model: &M) -> Result<&mut M::State> {
        let state = match self.state.take() {
            Some(state) => state,
            None => model.new_state()?,
        };
        Ok(self.state.insert(state))
    }

    /// Drops the state. Returns the history, from which it can be rebuilt.
    pub(in crate::engine) fn drop_state(&mut self) -> History {
        (self.state, self.remembered) = (None, None);
        std::mem::take(&mut self.history)
    }

    /// Sets a history whose state was lost.
    pub(in crate::engine) fn set_lost(&mut self, history: History) {
        (self.state, self.history, self.remembered) = (None, history, None);
    }

    /// Rewinds to `len` entries, or to fewer if the state cannot stop there. Keeps `pictures` and those of the remaining entries. Returns
    /// the number of entries left.
    pub(in crate::engine) fn rewind(&mut self, len: usize, pictures: &[Arc<SizedPicture>]) -> usize {
        let left = self.state.as_mut().map_or(0, |state| state.rewind(len));
        self.history.truncate(left);
        self.remembered = self.remembered.filter(|place| *place <= left);
        self.history.keep_pictures(pictures);
        left
    }

    /// Rewinds to `len` entries and keeps all pictures.
    pub(in crate::engine) fn truncate(&mut self, len: usize) {
        let pictures = std::mem::take(&mut self.history.pictures);
        self.rewind(len, &pictures);
    }

    /// Drops the rows of failed passes after the entries.
    fn forget_uncounted(&mut self) {
        self.truncate(self.entries().len());
    }

    /// Drops the last pass, whose success is unknown.
    pub(in crate::engine) fn forget_last_pass(&mut self) {
        if let Some(pass) = self.history.last_pass() {
            self.truncate(pass.first);
        }
    }

    /// Reserves memory for `rows` more entries.
    pub(in crate::engine) async fn reserve(&mut self, model: &mut M, rows: usize) -> Result<()> {
        let state = self.state_mut(model)?;
        model.reserve(state, rows).await
    }

    /// Computes a chunk and waits for it. If it fails, none of its rows are kept.
    pub(in crate::engine) async fn append(
        &mut self,
        model: &mut M,
        entries: &[ContextEntry],
        features: &PromptImages,
    ) -> Result<()> {
        let held = self.entries().len();
        self.submit(model, entries, entries.len(), features).await?;
        let outcome = model.wait_idle().await;
        if outcome.is_err() {
            self.truncate(held);
        }
        outcome
    }

    /// Submits a chunk of `rows` rows: `entries`, then padding.
    async fn submit(
        &mut self,
        model: &mut M,
        entries: &[ContextEntry],
        mut rows: usize,
        features: &PromptImages,
    ) -> Result<()> {
        let mut inputs: Vec<Input> = entries.iter().map(|entry| features.input(entry)).collect::<Result<_>>()?;
        // Rows do not attend to later rows, so padding may have any input.
        inputs.resize(rows, inputs.last().copied().unwrap_or(Input::Token(0)));
        let first = self.entries().len();
        let state = self.state_mut(model)?;
        if entries.len() < rows {
            state.checkpoint();
        }
        let mut submitted = model.forward(state, &inputs, features.rows.as_ref()).await;
        // A recurrent state also counts submitted rows of a failed pass, so it may rewind further.
        let kept = if submitted.is_ok() { entries.len() } else { 0 };
        let left = state.rewind(first + kept);
        if submitted.is_ok() && left == first && left < first + kept {
            // The state cannot drop the padding, so compute the chunk without it.
            rows = kept;
            submitted = model.forward(state, &inputs[..rows], features.rows.as_ref()).await;
        }
        if submitted.is_err() || left < first {
            self.forget_uncounted();
            return submitted.and(Err(not_rewound()));
        }
        self.history.add_chunk(entries, rows);
        Ok(())
    }

    /// Repeats a pass. Rows that were dropped since are computed as padding, so that the others are rounded as before; only if the state
    /// can rewind them.
    pub(in crate::engine) async fn replay(
        &mut self,
        model: &mut M,
        (pass, entries): (PastPass, &[ContextEntry]),
        features: &PromptImages,
    ) -> Result<()> {
        if let ([entry], true) = (entries, pass.is_step)
            && let Some(token) = entry.token()
        {
            self.reserve(model, 1).await?;
            return self.step_again(model, token).await;
        }
        self.submit(model, entries, pass.rows.max(entries.len()), features).await
    }

    /// Starts drawing after the entries, whose last pass must be the model's last one. `row` is the last entry's row in a pass over known
    /// tokens.
    pub(in crate::engine) async fn begin(
        &mut self,
        model: &mut M,
        options: &SamplingOptions,
        drawn: &[u32],
        row: usize,
        mask: Option<MaskFn<'_>>,
    ) -> Result<M::Draw> {
        let last = self.entries().len().saturating_sub(1);
        let chunk = self.history.last_pass().filter(|pass| !pass.is_step);
        let at = chunk.map_or(LogitsAt::Step(row), |pass| LogitsAt::Chunk(last - pass.first));
        let seen: Vec<u32> = match options.penalises_repetition() {
            true => self.entries().iter().filter_map(ContextEntry::token).collect(),
            false => Vec::new(),
        };
        let is_near = self.remembered.is_some_and(|place| place <= last && last - place < NEAR);
        let state = self.state_mut(model)?;
        if !is_near {
            state.checkpoint();
        }
        model.begin(state, options, Past { seen: &seen, drawn }, at, mask).await
    }

    /// Logits of rows of the last chunk. `// [rows, vocab]`
    pub(in crate::engine) async fn logits(&mut self, model: &mut M, rows: usize) -> Result<Vec<f32>> {
        model.logits(self.state_mut(model)?, 0..rows).await
    }

    /// Makes the end of the entries a fork point: later prompts may diverge from here.
    pub(in crate::engine) fn remember(&mut self) {
        if let Some(state) = &mut self.state {
            state.checkpoint();
            self.remembered = Some(self.history.entries.len());
        }
    }

    /// Submits the draw after the entries, whose logits are in row `row` of the last step or verification pass.
    pub(in crate::engine) fn draw_among(
        &mut self,
        model: &mut M,
        draw: &mut M::Draw,
        (drawn, row): (usize, usize),
        mask: MaskFn<'_>,
    ) -> Result<()> {
        model.draw_among(self.state_mut(model)?, draw, drawn, row, mask)
    }

    /// Submits the step of a known token and the next draw.
    pub(in crate::engine) async fn step(&mut self, model: &mut M, draw: &mut M::Draw, known: u32) -> Result<()> {
        self.reserve(model, 1).await?;
        model.prepare(&[known]).await?;
        model.step(self.state_mut(model)?, draw)?;
        self.history.add_step(known);
        Ok(())
    }

    /// Waits for the token that is being drawn. If the answer `goes_on`, its step and the next draw are submitted first.
    pub(in crate::engine) async fn draw(&mut self, model: &mut M, draw: &mut M::Draw, goes_on: bool) -> Result<u32> {
        if goes_on {
            self.reserve(model, 1).await?;
            model.step(self.state_mut(model)?, draw)?;
        }
        let token = model.read_token(draw).await;
        let token = token.inspect_err(|_| self.forget_uncounted())?;
        if goes_on {
            self.history.add_step(token);
        }
        Ok(token)
    }
}

/// Error for a state that rewound past its last checkpoint.
fn not_rewound() -> crate::Error {
    crate::Error::Internal { detail: "state rewind missed its checkpoint".into() }
}
