//! Batches: a step advances several answers, so that weights are read once. Answers join and leave between steps; the prompt of a joining
//! answer is computed a chunk at a time between the steps of the others. An answer that is alone is computed faster: the next step is
//! submitted before a token is read, drafts are verified, and a grammar may constrain it.

use super::answering::Answering;
use super::decode::Draws;
use super::sampled_tokens::DrawOf;
use crate::engine::Engine;
use crate::engine::control::RequestControl;
use crate::engine::conversation::Conversation;
use crate::engine::device::backend::Backend;
use crate::engine::device::features::PromptImages;
use crate::engine::events::Event;
use crate::engine::prompt::{ContextEntry, Encoded};
use crate::error::{Error, Result};
use crate::model::LanguageModel;
use crate::state::ConversationState;

/// Receives the events of answers, each with the number of its answer.
pub type BatchEvents<'a> = &'a mut dyn FnMut(usize, Event);

/// Answers that [`Engine::step`] advances.
pub struct Batch<B: Backend> {
    pub(super) answers: Vec<ActiveAnswer<B>>,
    /// Most answers for which memory suffices, until one leaves.
    pub(super) most: usize,
    /// Consecutive device losses.
    pub(super) losses: u32,
}

impl<B: Backend> Default for Batch<B> {
    fn default() -> Self {
        Self { answers: Vec::new(), most: usize::MAX, losses: 0 }
    }
}

/// An answer in a batch.
pub(super) struct ActiveAnswer<B: Backend> {
    pub(super) number: usize,
    pub(super) answering: Answering,
    pub(super) control: RequestControl,
    pub(super) conversation: Conversation<B::Model>,
    /// Features of its prompt's pictures, during prefill.
    pub(super) images: Option<PromptImages>,
    pub(super) draws: Draws<DrawOf<B>>,
    /// True if it was in a batch before.
    pub(super) is_resumed: bool,
    /// Time up to which its time was counted, from its first token on.
    pub(super) counted_at: f64,
    /// Device losses while it was alone, and whether memory was freed for it.
    pub(super) losses: u32,
    pub(super) is_lean: bool,
}

/// An answer that has left a batch.
#[derive(Debug)]
pub struct Departure {
    /// Its number.
    pub number: usize,
    /// The answer so far.
    pub answering: Answering,
    /// Reason for leaving, or the error.
    pub outcome: Result<Left>,
}

/// Reason for leaving a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It is complete.
    Complete,
    /// It must be added again: its memory or device was lost, or it can no longer share steps.
    Displaced,
}

/// Room for another answer in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// The answer can be added.
    Free,
    /// It can be added after the prompt of the last one was computed.
    Soon,
    /// It can be added after others have left.
    None,
}

/// Progress of an answer in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The answer's number.
    pub number: usize,
    /// True while entries that it had when it left a batch are computed again.
    pub is_resuming: bool,
}

impl<B: Backend> Batch<B> {
    /// Number of answers.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Returns true if there are no answers.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Returns true if a step was submitted whose token has not been read. An answer that leaves now loses it.
    pub fn is_in_flight(&self) -> bool {
        self.answers.iter().any(|answer| answer.draws.is_in_flight())
    }

    /// Returns true if all answers can share steps with others.
    pub fn shares(&self) -> bool {
        self.answers.iter().all(|answer| answer.answering.can_share())
    }

    /// Progress of each answer.
    pub fn progress(&self) -> impl Iterator<Item = Progress> {
        self.answers.iter().map(|answer| {
            let is_resuming = answer.is_resumed && !answer.draws.has_begun();
            Progress { number: answer.number, is_resuming }
        })
    }
}

impl<B: Backend> ActiveAnswer<B> {
    /// Counts the time since its last token.
    pub(super) fn count_time(&mut self, now: f64) {
        if self.draws.free.is_some() {
            self.answering.answer.timings.decode_ms += now - self.counted_at;
            self.control.spend(0, now - self.counted_at);
        }
        self.counted_at = now;
    }
}

impl<B: Backend> Engine<B> {
    /// Most answers of a batch; 1 if they are computed one after another.
    pub fn max_batch(&mut self) -> usize {
        self.backend.model().map_or(1, |model| model.max_batch())
    }

    /// Returns the room for an answer with this prompt.
    pub fn room(&mut self, batch: &Batch<B>, encoded: &Encoded, can_share: bool) -> Room {
        if batch.is_empty() {
            return Room::Free;
        }
        let is_full = batch.len() >= self.max_batch().min(batch.most);
        if is_full || !can_share || !batch.shares() || self.backend.lacks_room(&encoded.entries, &encoded.pictures) {
            return Room::None;
        }
        // Only one prompt is computed at a time.
        let is_ready = batch.answers.iter().all(|answer| answer.draws.free.is_some());
        if is_ready { Room::Free } else { Room::Soon }
    }

    /// Adds a new or parked answer under a number of its own. Its conversation shares the longest cached prefix.
    ///
    /// # Errors
    /// Errors of [`Self::generate`].
    pub async fn add(
        &mut self,
        batch: &mut Batch<B>,
        number: usize,
        mut answering: Answering,
        control: RequestControl,
        on_event: BatchEvents<'_>,
    ) -> Result<()> {
        let is_shared = !batch.is_empty();
        if is_shared && (!batch.shares() || !answering.can_share()) {
            return Err(Error::Internal { detail: "an answer that cannot share was added to a batch".into() });
        }
        let is_resumed = answering.answer.usage.prompt_tokens > 0;
        let wanted = self.open(&mut answering, &mut |event| on_event(number, event))?;
        let conversation = self.conversation_for(batch, &mut answering, &wanted, &control).await?;
        if !is_resumed {
            answering.answer.usage.cached_tokens = conversation.entries().len();
        }
        let (images, draws, counted_at, losses, is_lean) = (None, Draws::default(), 0.0, 0, false);
        batch.answers.push(ActiveAnswer {
            number,
            answering,
            control,
            conversation,
            images,
            draws,
            is_resumed,
            counted_at,
            losses,
            is_lean,
        });
        Ok(())
    }

    /// Returns the conversation that holds the longest prefix of `wanted`, rewound to that prefix.
    async fn conversation_for(
        &mut self,
        batch: &mut Batch<B>,
        answering: &mut Answering,
        wanted: &[ContextEntry],
        control: &RequestControl,
    ) -> Result<Conversation<B::Model>> {
        self.switch_to(wanted);
        let kept = |answer: &&ActiveAnswer<B>| answer.conversation.kept_of(wanted);
        if let Some(answer) = batch.answers.iter().max_by_key(kept)
            && kept(&answer) > self.conversation.kept_of(wanted)
        {
            self.conversation = answer.conversation.fork();
        }
        answering.answer.timings.prefill_ms += self.recall(wanted, control).await;
        let common = self.conversation.common(wanted);
        self.conversation.rewind(common, &answering.encoded.pictures);
        let model = self.backend.model();
        // If the device is lost, the first step reopens it.
        if let Ok(model) = model {
            self.conversation.state_mut(model)?.pin(true);
            for answer in &mut batch.answers {
                answer.conversation.state_mut(model)?.pin(true);
            }
        }
        Ok(std::mem::take(&mut self.conversation))
    }

    /// Removes an answer from a batch, so that it can be added again later.
    pub fn remove(&mut self, batch: &mut Batch<B>, number: usize) -> Option<Answering> {
        let index = batch.answers.iter().position(|answer| answer.number == number)?;
        Some(self.detach(batch, index))
    }

    /// Removes an answer and leaves its conversation idle. Work submitted after its last token is dropped.
    fn detach(&mut self, batch: &mut Batch<B>, index: usize) -> Answering {
        let mut answer = batch.answers.remove(index);
        batch.most = usize::MAX;
        if answer.draws.is_in_flight() {
            answer.conversation.forget_last_pass();
        }
        let ActiveAnswer { mut answering, mut conversation, .. } = answer;
        answering.answer.usage.completion_tokens = answering.answer.tokens.len();
        conversation.unpin();
        self.switch_to(&[]);
        self.conversation = conversation;
        if !batch.is_empty() {
            self.switch_to(&[]);
        }
        answering
    }

    /// Removes an answer and, if it is complete, reports the text held back.
    pub(super) fn depart(
        &mut self,
        batch: &mut Batch<B>,
        index: usize,
        outcome: Result<Left>,
        on_event: BatchEvents<'_>,
    ) -> Departure {
        let number = batch.answers[index].number;
        let mut answering = self.detach(batch, index);
        if outcome == Ok(Left::Complete) {
            let Answering { reading, answer, .. } = &mut answering;
            reading.finish(answer, &mut |event| on_event(number, event));
        }
        Departure { number, answering, outcome }
    }

    /// Runs a step: a chunk of one answer's prompt, if one must be computed, and a token of each of the others. If an answer is alone and
    /// the engine `looks_ahead`, the next step is submitted before a token is read. Returns the answers that are complete, have failed or
    /// must be added again.
    pub async fn step(&mut self, batch: &mut Batch<B>, looks_ahead: bool, on_event: BatchEvents<'_>) -> Vec<Departure> {
        match &mut batch.answers[..] {
            [] => Vec::new(),
            [answer] => {
                std::mem::swap(&mut self.conversation, &mut answer.conversation);
                let outcome = self.step_one(answer, looks_ahead, on_event).await;
                std::mem::swap(&mut self.conversation, &mut answer.conversation);
                match outcome {
                    Ok(false) => Vec::new(),
                    outcome => vec![self.depart(batch, 0, outcome.map(|_| Left::Complete), on_event)],
                }
            }
            _ => {
                let mut left = Vec::new();
                match self.step_all(batch, &mut left, on_event).await {
                    Ok(()) => batch.losses = 0,
                    Err(error) => self.displace(batch, error, &mut left, on_event).await,
                }
                left
            }
        }
    }
}
