//! One conversation: what its state holds, entry by entry, and how it got there. State, entries and passes move together, and only here.

pub(super) mod history;
pub(super) mod idle;
pub(super) mod recovery;
pub mod snapshots;

use std::rc::Rc;

use crate::engine::device::features::PromptImages;
use crate::engine::prompt::{ContextEntry, SizedPicture};
use crate::error::Result;
use crate::model::{Input, LanguageModel, LogitsAt, MaskFn, Verdict};
use crate::sampling::SamplingOptions;
use crate::state::ConversationState;
use history::{History, PastPass};

/// Entries behind a place that is remembered which are computed again rather than that another one is remembered.
const NEAR: usize = 16;

/// A conversation with its state, which is gone while there is no device.
#[derive(Debug)]
pub(in crate::engine) struct Conversation<M: LanguageModel> {
    state: Option<M::State>,
    history: History,
    /// Entries before the place that was remembered last.
    remembered: Option<usize>,
}

impl<M: LanguageModel> Default for Conversation<M> {
    fn default() -> Self {
        Self { state: None, history: History::default(), remembered: None }
    }
}

impl<M: LanguageModel> Conversation<M> {
    /// With a state that was made before; its pictures are to be handed in when it is gone back to.
    pub(in crate::engine) fn restored(state: M::State, history: History, branch: usize) -> Self {
        let remembered = Some(branch).filter(|place| (1..=history.entries.len()).contains(place));
        Self { state: Some(state), history, remembered }
    }

    /// Entries before the branch that was remembered last.
    pub(in crate::engine) fn branch(&self) -> Option<usize> {
        self.remembered
    }

    /// Its state, if there is one.
    pub(in crate::engine) fn state(&self) -> Option<&M::State> {
        self.state.as_ref()
    }

    /// The passes that computed the first `len` entries.
    pub(in crate::engine) fn passes(&self, len: usize) -> Vec<PastPass> {
        self.history.passes().map(|(pass, _)| pass).filter(|pass| pass.first < len).collect()
    }

    /// Entries of the conversation.
    pub(in crate::engine) fn entries(&self) -> &[ContextEntry] {
        &self.history.entries
    }

    /// The pictures that its entries name, and perhaps others.
    pub(in crate::engine) fn pictures(&self) -> &[Rc<SizedPicture>] {
        &self.history.pictures
    }

    /// Entries that `prompt` begins with.
    fn prefix(&self, prompt: &[ContextEntry]) -> usize {
        self.entries().iter().zip(prompt).take_while(|(held, wanted)| held == wanted).count()
    }

    /// Entries that `prompt` has in common with the conversation and that need not be computed. The last entry of the prompt is always
    /// left to compute, since its logits are wanted.
    pub(in crate::engine) fn common(&self, prompt: &[ContextEntry]) -> usize {
        self.prefix(prompt).min(prompt.len().saturating_sub(1))
    }

    /// How many of these the state can go back to.
    pub(in crate::engine) fn kept_of(&self, prompt: &[ContextEntry]) -> usize {
        self.state.as_ref().map_or(0, |state| state.rewind_target(self.common(prompt)))
    }

    /// Returns whether `prompt` can replace the conversation: nothing is lost that it would hold when idle.
    pub(in crate::engine) fn is_continued_by(&self, prompt: &[ContextEntry]) -> bool {
        self.state.as_ref().is_none_or(|state| state.idle_len() <= self.prefix(prompt))
    }

    /// Lets others evict its pages.
    pub(in crate::engine) fn unpin(&mut self) {
        self.state.iter_mut().for_each(|state| state.pin(false));
    }

    /// Its state, if there is one.
    pub(in crate::engine) fn held_state(&mut self) -> Option<&mut M::State> {
        self.state.as_mut()
    }

    /// Counts a step that was taken together with those of others.
    pub(in crate::engine) fn stepped(&mut self, token: u32) {
        self.history.add_step(token);
    }

    /// Tells the device where an answer continues after others were computed: with a token that is known, after `drawn` tokens.
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

    /// Submits the step of a token that is known, and the draw after it, where others were computed meanwhile.
    pub(in crate::engine) async fn step_alone(
        &mut self,
        model: &mut M,
        draw: &mut M::Draw,
        (known, drawn): (u32, usize),
    ) -> Result<()> {
        self.resume_draw(model, draw, known, drawn)?;
        self.step(model, draw, known).await
    }

    /// Another one with the same entries, as many as can be shared.
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

    /// Forgets what its state does not hold any more, and the pictures that were named there.
    pub(in crate::engine) fn forget_evicted(&mut self) {
        let len = self.state.as_ref().map_or(0, ConversationState::len);
        self.rewind(len, &[]);
    }

    /// The state, a new one if there is none.
    pub(in crate::engine) fn state_mut(&mut self, model: &M) -> Result<&mut M::State> {
        let state = match self.state.take() {
            Some(state) => state,
            None => model.new_state()?,
        };
        Ok(self.state.insert(state))
    }

    /// Gives up the state; the history says how to make it again.
    pub(in crate::engine) fn drop_state(&mut self) -> History {
        (self.state, self.remembered) = (None, None);
        std::mem::take(&mut self.history)
    }

    /// Sets a history whose state is not there any more.
    pub(in crate::engine) fn set_lost(&mut self, history: History) {
        (self.state, self.history, self.remembered) = (None, history, None);
    }

    /// Goes back to `len` entries, or as far behind them as the state can; the pictures of what is left and `pictures` are kept.
    /// Returns the entries that are left.
    pub(in crate::engine) fn rewind(&mut self, len: usize, pictures: &[Rc<SizedPicture>]) -> usize {
        let left = self.state.as_mut().map_or(0, |state| state.rewind(len));
        self.history.truncate(left);
        self.remembered = self.remembered.filter(|place| *place <= left);
        self.history.keep_pictures(pictures);
        left
    }

    /// Goes back to `len` entries and keeps all pictures.
    pub(in crate::engine) fn truncate(&mut self, len: usize) {
        let pictures = std::mem::take(&mut self.history.pictures);
        self.rewind(len, &pictures);
    }

    /// Goes back to the entries: passes after them have failed.
    fn forget_uncounted(&mut self) {
        self.truncate(self.entries().len());
    }

    /// Goes back before the last pass: nobody has seen whether it succeeded.
    pub(in crate::engine) fn forget_last_pass(&mut self) {
        if let Some(pass) = self.history.last_pass() {
            self.truncate(pass.first);
        }
    }

    /// Makes room for `rows` more entries.
    pub(in crate::engine) async fn reserve(&mut self, model: &mut M, rows: usize) -> Result<()> {
        let state = self.state_mut(model)?;
        model.reserve(state, rows).await
    }

    /// Computes a chunk and waits for it. If it is seen to fail, none of its rows count.
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

    /// Submits a chunk of `rows` rows, of which the first are `entries` and the rest is padding.
    async fn submit(
        &mut self,
        model: &mut M,
        entries: &[ContextEntry],
        mut rows: usize,
        features: &PromptImages,
    ) -> Result<()> {
        let mut inputs: Vec<Input> = entries.iter().map(|entry| features.input(entry)).collect::<Result<_>>()?;
        // No row looks at those behind it: any input will do.
        inputs.resize(rows, inputs.last().copied().unwrap_or(Input::Token(0)));
        let first = self.entries().len();
        let state = self.state_mut(model)?;
        if entries.len() < rows {
            state.checkpoint();
        }
        let mut submitted = model.forward(state, &inputs, features.rows.as_ref()).await;
        // Rows of a failed pass that were submitted count for states that cannot rewind.
        let kept = if submitted.is_ok() { entries.len() } else { 0 };
        let left = state.rewind(first + kept);
        if submitted.is_ok() && left == first && left < first + kept {
            // The state cannot give the padding up: then it has to do without.
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

    /// Computes a pass once more. Of a pass whose last rows were given up, those are computed too
    /// where the state can go back behind them: with them the others are rounded as before.
    pub(in crate::engine) async fn replay(
        &mut self,
        model: &mut M,
        (pass, entries): (PastPass, &[ContextEntry]),
        features: &PromptImages,
    ) -> Result<()> {
        if let ([ContextEntry::Token(token)], true) = (entries, pass.is_step) {
            self.reserve(model, 1).await?;
            return self.step_again(model, *token);
        }
        self.submit(model, entries, pass.rows.max(entries.len()), features).await
    }

    /// Takes the step of a token that is known, as it was taken before.
    pub(in crate::engine) fn step_again(&mut self, model: &mut M, token: u32) -> Result<()> {
        model.replay(self.state_mut(model)?, token)?;
        self.history.add_step(token);
        Ok(())
    }

    /// Begins to draw behind the entries, whose last pass must be the last one that the model computed; `row` is the last entry's in it,
    /// if it was a pass over known tokens.
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
        let is_near = self.remembered.is_some_and(|place| place <= last && last - place < NEAR);
        let state = self.state_mut(model)?;
        if !is_near {
            state.checkpoint();
        }
        model.begin(state, options, drawn, at, mask).await
    }

    /// Makes the end of the entries a fork point: later prompts may diverge from here.
    pub(in crate::engine) fn remember(&mut self) {
        if let Some(state) = &mut self.state {
            state.checkpoint();
            self.remembered = Some(self.history.entries.len());
        }
    }

    /// Submits the draw behind the entries, whose logits are in a row of the last pass over drafts or step.
    pub(in crate::engine) fn draw_among(
        &mut self,
        model: &mut M,
        draw: &mut M::Draw,
        (drawn, row): (usize, usize),
        mask: MaskFn<'_>,
    ) -> Result<()> {
        model.draw_among(self.state_mut(model)?, draw, drawn, row, mask)
    }

    /// Computes tokens that are known in one pass, whose other rows are padding. Returns the row of the last of them.
    pub(in crate::engine) async fn forward_known(
        &mut self,
        model: &mut M,
        known: &[u32],
        rows: usize,
    ) -> Result<usize> {
        let (first, mut inputs) = (self.entries().len(), known.to_vec());
        // No row looks at those behind it: any input will do.
        inputs.resize(rows, 0);
        self.reserve(model, rows).await?;
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

    /// Submits the step of a token that is known, and the draw behind it.
    pub(in crate::engine) async fn step(&mut self, model: &mut M, draw: &mut M::Draw, known: u32) -> Result<()> {
        self.reserve(model, 1).await?;
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

    /// Returns whether passes over so many rows give the results of steps.
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

    /// Verifies drafts behind a token that is known: `inputs` are the token and the drafts. Rows that were wrong are gone afterwards.
    pub(in crate::engine) async fn verify(
        &mut self,
        model: &mut M,
        draw: &mut M::Draw,
        inputs: &[u32],
        drawn: usize,
    ) -> Result<Option<Verdict>> {
        let first = self.entries().len();
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

    /// The most rows, up to `most`, of a pass over drafts.
    pub(in crate::engine) fn draft_rows(&self, model: &M, most: usize) -> Option<usize> {
        model.draft_rows(self.state.as_ref()?, most)
    }
}

/// A state went back farther than to its last checkpoint.
fn not_rewound() -> crate::Error {
    crate::Error::Internal { detail: "a state did not go back to its checkpoint".into() }
}
