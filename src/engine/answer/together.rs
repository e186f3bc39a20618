//! Several answers at once: a step continues all of them, so that weights are read once. They join and leave at any token; the prompt of one
//! that joins is computed a chunk at a time between the steps of the others.

use super::answering::Answering;
use super::sampled_tokens::{DrawOf, SampledTokens};
use crate::engine::Engine;
use crate::engine::control::{LOSSES, RequestContext, RequestControl};
use crate::engine::conversation::Conversation;
use crate::engine::device::backend::Backend;
use crate::engine::device::features::PromptImages;
use crate::engine::events::{Event, FinishReason, Stage};
use crate::engine::prompt::ContextEntry;
use crate::error::{Error, Result};
use crate::model::{BatchRow, LanguageModel};
use crate::state::ConversationState;

/// Who hands answers in, hears of them, and gets them back.
pub trait Answers<B: Backend> {
    /// The next answer to begin, or to go on with, under a number of its own, and what stops it; `None` where there is none now. It is
    /// asked at every token while others are at work, of which there are `under_way`. Once there is none, an answer that is alone has the
    /// engine to itself: it is asked again when that one is complete, or has [made room](RequestControl::make_room).
    fn next(&mut self, engine: &mut Engine<B>, under_way: usize) -> Option<(usize, Answering, RequestControl)>;

    /// What happens to the answer with this number.
    fn hear(&mut self, number: usize, event: Event);

    /// Whether the answer is complete, or left because it was [held](RequestControl::hold): beside others it does not wait. Or what it failed with.
    fn done(&mut self, number: usize, answering: Answering, outcome: Result<bool>);
}

/// An answer at work.
struct ActiveAnswer<B: Backend> {
    number: usize,
    answering: Answering,
    control: RequestControl,
    conversation: Conversation<B::Model>,
    /// The pictures of its prompt, while that is computed.
    images: Option<PromptImages>,
    /// When its time was counted last, from its first token on.
    began: f64,
    /// From its first token on: its draws, and the last token, which is not computed yet.
    drawing: Option<(DrawOf<B>, u32)>,
}

impl Answering {
    /// Whether it can be computed with others: nothing holds its tokens to anything, and nobody asks how likely they were.
    pub(in crate::engine) fn can_share(&self) -> bool {
        let is_held = self.grammar.is_some() || self.constrained.is_some() || self.reading.expects_calls();
        !is_held && self.sampling.logprobs.is_none()
    }
}

impl<B: Backend> ActiveAnswer<B> {
    /// Counts the time since its last token.
    fn count_time(&mut self, now: f64) {
        if self.drawing.is_some() {
            self.answering.answer.timings.decode_ms += now - self.began;
            self.control.spend(0, now - self.began);
            self.began = now;
        }
    }
}

impl<B: Backend> Engine<B> {
    /// The most answers at once; 1 where they come one after another.
    pub fn max_batch(&mut self) -> usize {
        self.backend.model().map_or(1, |model| model.max_batch())
    }

    /// Answers all that `answers` has, as many at once as the model can and in the order in which they come. Each is what it is alone; what
    /// one fails with is told with it.
    pub async fn answer_together(&mut self, answers: &mut dyn Answers<B>) {
        let (mut seated, mut waiting, mut losses, mut most) = (Vec::new(), Vec::new(), 0, usize::MAX);
        loop {
            self.seat((&mut seated, most), &mut waiting, answers).await;
            let before = seated.len();
            if before == 1 && waiting.is_empty() {
                waiting.extend(answers.next(self, before));
            }
            // Alone it is faster: the next step is submitted before a token is read, and drafts are tried.
            if before <= 1 && waiting.is_empty() {
                let Some(seat) = seated.pop() else { return };
                self.answer_alone(seat, answers).await;
                continue;
            }
            let error = match self.turn(&mut seated, answers).await {
                // Whoever leaves makes room.
                Ok(()) => {
                    (losses, most) = (0, if seated.len() < before { usize::MAX } else { most });
                    continue;
                }
                Err(Error::OutOfMemory { .. }) if before > 1 => {
                    // The last one waits until another has left.
                    most = before - 1;
                    waiting.extend(seated.pop().map(|seat| self.detach(seat)));
                    continue;
                }
                Err(error) => error,
            };
            // What has been computed may be gone: all begin again where they were.
            losses += 1;
            self.conversation = Conversation::default();
            for ActiveAnswer { number, answering, control, .. } in seated.drain(..).rev() {
                waiting.push((number, answering, control));
            }
            if let Err(error) = self.recover_batch(error, losses, answers, &waiting).await {
                for (number, answering, _) in waiting.drain(..).rev() {
                    answers.done(number, answering, Err(error.clone()));
                }
            }
        }
    }

    /// Opens a lost device again, or frees memory.
    async fn recover_batch(
        &mut self,
        error: Error,
        losses: u32,
        answers: &mut dyn Answers<B>,
        waiting: &[(usize, Answering, RequestControl)],
    ) -> Result<()> {
        let numbers: Vec<usize> = waiting.iter().map(|(number, ..)| *number).collect();
        let mut tell = |event: Event| numbers.iter().for_each(|&number| answers.hear(number, event.clone()));
        let control = RequestControl::new();
        let context = &mut RequestContext::new(&control, &mut tell);
        context.losses = losses.saturating_sub(1);
        match error {
            Error::DeviceLost { reason } => self.recover(context, reason).await,
            Error::OutOfMemory { .. } if losses < LOSSES => self.free_memory(context).await,
            error => Err(error),
        }
    }

    /// Lets the next one in, if there is room; one that cannot share is answered alone.
    async fn seat(
        &mut self,
        (seated, most): (&mut Vec<ActiveAnswer<B>>, usize),
        waiting: &mut Vec<(usize, Answering, RequestControl)>,
        answers: &mut dyn Answers<B>,
    ) {
        let at_once = self.max_batch();
        let most = at_once.min(most);
        // One prompt at a time.
        while seated.len() < most && seated.iter().all(|seat| seat.drawing.is_some()) {
            let next = waiting.pop().or_else(|| answers.next(self, seated.len()));
            let Some((number, mut answering, control)) = next else { return };
            let Answering { encoded, .. } = &answering;
            let is_alone = at_once == 1 || !answering.can_share();
            if !seated.is_empty() && (is_alone || self.backend.lacks_room(&encoded.entries, &encoded.pictures)) {
                waiting.push((number, answering, control));
                return;
            }
            if is_alone {
                let mut hear = |event| answers.hear(number, event);
                let outcome = self.resume(&mut answering, &control, &mut hear).await;
                answers.done(number, answering, outcome);
                continue;
            }
            let mut hear = |event| answers.hear(number, event);
            let opened = self.open(&mut answering, &mut hear);
            let conversation = match opened {
                Ok(wanted) => self.conversation_for(seated, &mut answering, &wanted, &control).await,
                Err(error) => Err(error),
            };
            match conversation {
                Ok(conversation) => {
                    let (images, began, drawing) = (None, 0.0, None);
                    seated.push(ActiveAnswer { number, answering, control, conversation, images, began, drawing });
                }
                Err(error) => answers.done(number, answering, Err(error)),
            }
        }
    }

    /// Has the engine to itself until it is complete, or held.
    async fn answer_alone(&mut self, seat: ActiveAnswer<B>, answers: &mut dyn Answers<B>) {
        let (number, mut answering, control) = self.detach(seat);
        let outcome = self.resume(&mut answering, &control, &mut |event| answers.hear(number, event)).await;
        answers.done(number, answering, outcome);
    }

    /// The conversation of an answer that begins, or goes on: what it has in common with any other is shared.
    async fn conversation_for(
        &mut self,
        seated: &[ActiveAnswer<B>],
        answering: &mut Answering,
        wanted: &[ContextEntry],
        control: &RequestControl,
    ) -> Result<Conversation<B::Model>> {
        self.switch_to(wanted);
        let kept = |seat: &&ActiveAnswer<B>| seat.conversation.kept_of(wanted);
        if let Some(seat) = seated.iter().max_by_key(kept)
            && kept(&seat) > self.conversation.kept_of(wanted)
        {
            self.conversation = seat.conversation.fork();
        }
        answering.answer.timings.prefill_ms += self.recall(wanted, control).await;
        let common = self.conversation.common(wanted);
        let left = self.conversation.rewind(common, &answering.encoded.pictures);
        if answering.answer.tokens.is_empty() {
            answering.answer.usage.cached_tokens = left;
        }
        self.conversation.state_mut(self.backend.model()?)?.pin(true);
        Ok(std::mem::take(&mut self.conversation))
    }

    /// A chunk of a prompt if there is one to compute, and a token of each of the others.
    async fn turn(&mut self, seated: &mut Vec<ActiveAnswer<B>>, answers: &mut dyn Answers<B>) -> Result<()> {
        let mut ended = Vec::new();
        for (index, seat) in seated.iter().enumerate() {
            match seat.control.check() {
                Ok(()) if seat.control.is_held() => ended.push((index, Ok(false))),
                Ok(()) => {}
                Err(aborted) => ended.push((index, Err(aborted))),
            }
        }
        self.finish_answers(seated, std::mem::take(&mut ended), answers);
        if let Some(index) = seated.iter().position(|seat| seat.drawing.is_none()) {
            let seat = &mut seated[index];
            std::mem::swap(&mut self.conversation, &mut seat.conversation);
            let joined = self.join(seat, answers).await;
            std::mem::swap(&mut self.conversation, &mut seat.conversation);
            match joined {
                Err(error @ (Error::DeviceLost { .. } | Error::OutOfMemory { .. })) => return Err(error),
                Err(error) => ended.push((index, Err(error))),
                Ok(true) => ended.push((index, Ok(true))),
                Ok(false) => {}
            }
        }
        self.finish_answers(seated, ended, answers);
        let tokens = self.step_seats(seated).await?;
        seated.iter_mut().for_each(|seat| seat.count_time((self.clock)()));
        let mut ended = Vec::new();
        for (index, token) in tokens {
            match token.and_then(|token| self.say(&mut seated[index], token, answers)) {
                Ok(false) => {}
                outcome => ended.push((index, outcome)),
            }
        }
        self.finish_answers(seated, ended, answers);
        Ok(())
    }

    fn finish_answers(
        &mut self,
        seated: &mut Vec<ActiveAnswer<B>>,
        ended: Vec<(usize, Result<bool>)>,
        answers: &mut dyn Answers<B>,
    ) {
        for (index, outcome) in ended.into_iter().rev() {
            let mut seat = seated.remove(index);
            if outcome.is_err() {
                // Its logits may have been no numbers.
                seat.conversation.forget_last_pass();
            }
            let (number, mut answering, _) = self.detach(seat);
            if outcome == Ok(true) {
                let Answering { reading, answer, .. } = &mut answering;
                reading.finish(answer, &mut |event| answers.hear(number, event));
            }
            answers.done(number, answering, outcome);
        }
    }

    /// Has the conversation of an answer rest.
    fn detach(&mut self, mut seat: ActiveAnswer<B>) -> (usize, Answering, RequestControl) {
        seat.count_time((self.clock)());
        let ActiveAnswer { number, mut answering, control, mut conversation, .. } = seat;
        answering.answer.usage.completion_tokens = answering.answer.tokens.len();
        conversation.unpin();
        self.conversation = conversation;
        self.switch_to(&[]);
        (number, answering, control)
    }

    /// The next chunk of a prompt, or of what was said before a loss; behind the last one the next token. Whether the answer is complete.
    async fn join(&mut self, seat: &mut ActiveAnswer<B>, answers: &mut dyn Answers<B>) -> Result<bool> {
        seat.control.check()?;
        if seat.control.left() == 0 {
            return Ok(true);
        }
        let (encoded, number) = (seat.answering.encoded.clone(), seat.number);
        let (mut hear, total) = (|event| answers.hear(number, event), encoded.entries.len());
        let context = &mut RequestContext::new(&seat.control, &mut hear);
        if self.conversation.entries().len() < total {
            let timings = &mut seat.answering.answer.timings;
            let started = (self.clock)();
            if seat.images.is_none() {
                seat.images = Some(self.images(&encoded, context).await?);
            }
            let encoded_at = (self.clock)();
            self.forward(&encoded, usize::MAX, &mut seat.images, context).await?;
            let now = (self.clock)();
            timings.vision_ms += encoded_at - started;
            timings.prefill_ms += now - encoded_at;
            seat.control.spend(0, now - started);
            let done = self.conversation.entries().len();
            (context.on_event)(Event::Progress { stage: Stage::Prefill, done, total });
            if done < total {
                return Ok(false);
            }
        }
        (seat.images, seat.began) = (None, (self.clock)());
        if self.limit(&seat.answering).min(seat.control.left()) == 0 {
            return Ok(true);
        }
        let drawn = seat.answering.answer.tokens.clone();
        let mut draw = self.begin(&seat.answering.sampling, &encoded, &drawn, context).await?.draw;
        let token = self.backend.model()?.read_token(&mut draw).await?;
        seat.drawing = Some((draw, token));
        self.say(seat, token, answers)
    }

    /// The step of every answer's last token: the next one of each, by its place, or why there is none.
    async fn step_seats(&mut self, seated: &mut [ActiveAnswer<B>]) -> Result<Vec<(usize, Result<u32>)>> {
        let (model, latency) = (self.backend.model()?, &self.latency);
        let pays = |count: usize| self.speculation.always() || latency.together(count) < count as f64;
        let mut ready = Vec::new();
        for (index, seat) in seated.iter_mut().enumerate() {
            if seat.drawing.is_some() {
                seat.conversation.reserve(model, 1).await?;
                ready.push(index);
            }
        }
        let alone = match &ready[..] {
            [] => return Ok(Vec::new()),
            [_] => true,
            _ if !pays(ready.len()) => true,
            _ => {
                let mut seats = batch_rows::<B>(seated);
                !model.batch_matches_single(&mut seats).await?
            }
        };
        if !alone {
            let drawn = model.batch_step(&mut batch_rows::<B>(seated)).await?;
            for (&index, token) in ready.iter().zip(&drawn) {
                let seat = &mut seated[index];
                if let Some((_, known)) = &mut seat.drawing {
                    seat.conversation.stepped(*known);
                    *known = token.as_ref().map_or(*known, |token| *token);
                }
            }
            return Ok(ready.into_iter().zip(drawn).collect());
        }
        let mut tokens = Vec::new();
        for index in ready {
            let seat = &mut seated[index];
            let Some((draw, known)) = &mut seat.drawing else { continue };
            let drawn = seat.answering.answer.tokens.len();
            let token = match seat.conversation.step_alone(model, draw, (*known, drawn)).await {
                Ok(()) => model.read_token(draw).await.inspect_err(|_| seat.conversation.forget_last_pass()),
                Err(error) => Err(error),
            };
            match token {
                // Those who have theirs say it first: what failed them all fails again.
                Err(Error::DeviceLost { .. } | Error::OutOfMemory { .. }) if !tokens.is_empty() => break,
                Err(error @ (Error::DeviceLost { .. } | Error::OutOfMemory { .. })) => return Err(error),
                token => {
                    *known = token.as_ref().map_or(*known, |token| *token);
                    tokens.push((index, token));
                }
            }
        }
        Ok(tokens)
    }

    /// Adds a token to an answer. Whether it is complete.
    fn say(&mut self, seat: &mut ActiveAnswer<B>, token: u32, answers: &mut dyn Answers<B>) -> Result<bool> {
        let number = seat.number;
        let mut hear = |event| answers.hear(number, event);
        let context = &mut RequestContext::new(&seat.control, &mut hear);
        let drawn = SampledTokens { tokens: vec![token], drafts: 0, logprob: None, ended: false };
        self.take(&mut seat.answering, drawn, context)?;
        let answer = &seat.answering.answer;
        let is_full = answer.tokens.len() >= self.limit(&seat.answering) || seat.control.left() == 0;
        Ok(answer.finish_reason == FinishReason::Stop || is_full)
    }
}

/// The answers whose last token is known, as the model takes them.
fn batch_rows<B: Backend>(
    seated: &mut [ActiveAnswer<B>],
) -> Vec<BatchRow<'_, <B::Model as LanguageModel>::State, DrawOf<B>>> {
    let mut seats = Vec::with_capacity(seated.len());
    for seat in seated {
        let drawn = seat.answering.answer.tokens.len();
        if let (Some((draw, token)), Some(state)) = (&mut seat.drawing, seat.conversation.held_state()) {
            seats.push(BatchRow { state, draw, token: *token, drawn });
        }
    }
    seats
}
