//! The scheduler: owns the requests of an engine and decides at every step which answers are computed next.
//!
//! A page, the server and batches only supply requests and receive output. Answers that can share steps are computed together; an answer
//! that cannot (grammar, log probabilities, tools) has the engine to itself for a turn. Engine time goes to the request that has had the
//! least (see [`fairness`]). An answer whose turn is over, or whose client stops reading, leaves the engine and is resumed like after a
//! lost device, with the same text.

mod fairness;
mod request;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::run::{Output, Run};
use crate::chat::Tokenizer;
use crate::engine::{Backend, Batch, Departure, Engine, Event, Left, Meter, RequestControl, Room};
use crate::error::{Error, Result};
use fairness::Turn;
pub use fairness::{CONTINUED, MOST_AGED, QUANTUM};
use request::OpenRequest;

/// Priority of a request; batch requests are computed only while no other request can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A user waits for the answer.
    Person,
    /// The answer belongs to a batch.
    Batch,
}

/// Receives the output of one request.
pub trait Client {
    /// Admits a request with this number of prompt tokens and returns the meters of its budgets. Called once, before anything is computed.
    ///
    /// # Errors
    /// [`Error::BudgetExceeded`], with which the request ends.
    fn admit(&mut self, _prompt_tokens: usize) -> Result<Vec<Arc<Meter>>> {
        Ok(Vec::new())
    }

    /// Receives a stream frame or progress.
    fn send(&mut self, output: Output);

    /// Receives the body of the answer, also of a streamed one, or the error.
    fn end(self: Box<Self>, outcome: Result<String>);
}

/// A request for a scheduler.
pub struct Submission<'a> {
    /// The request, with its pictures and its grammar.
    pub run: Box<Run>,
    /// Priority of the request.
    pub priority: Priority,
    /// Cancels the request, and counts frames that its client has not read.
    pub control: RequestControl,
    /// Receives the output.
    pub client: Box<dyn Client + 'a>,
}

/// Supplies requests to a scheduler.
pub trait Inbox<'a> {
    /// Returns the next request if the scheduler, which has `open` requests, should take it now. Called at every step.
    fn next(&mut self, open: usize) -> Option<Submission<'a>>;

    /// Returns whether the engine is needed elsewhere: the scheduler stops before its next step.
    fn is_paused(&self) -> bool {
        false
    }
}

/// A request that waits for a turn.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Next {
    /// The request with the lowest rank is served first.
    rank: (Priority, i64),
    number: usize,
}

/// Requests of one engine and their progress.
pub struct Scheduler<'a, I> {
    inbox: I,
    requests: BTreeMap<usize, OpenRequest<'a>>,
    /// Answers in the batch, by number.
    turns: BTreeMap<usize, Turn>,
    /// Numbers that requests and answers have received so far.
    numbers: usize,
    steps: u64,
    /// Number of turns so far.
    begun: usize,
    /// A request that does not fit in memory beside the answers in the batch.
    blocked: Option<usize>,
}

impl<'a, I: Inbox<'a>> Scheduler<'a, I> {
    /// Creates a scheduler without requests.
    pub fn new(inbox: I) -> Self {
        Self { inbox, requests: BTreeMap::new(), turns: BTreeMap::new(), numbers: 0, steps: 0, begun: 0, blocked: None }
    }

    /// Ends the scheduler with all its requests, and returns the source of requests.
    pub fn into_inbox(self) -> I {
        self.inbox
    }

    /// Source of requests.
    pub fn inbox(&mut self) -> &mut I {
        &mut self.inbox
    }

    /// Returns whether all requests have ended; one whose client stops reading has not.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Returns whether a request can be computed or was cancelled.
    pub fn has_work(&self) -> bool {
        self.requests.values().any(|open| open.waits() || open.control.is_cancelled())
    }

    /// Runs until all requests have ended or wait for their clients; takes new ones at every step. Call it again when a request arrives or
    /// is cancelled, or when a client reads again.
    pub async fn run<B: Backend>(&mut self, engine: &mut Engine<B>) {
        let (mut batch, tokenizer) = (Batch::default(), engine.tokenizer().clone());
        while !self.inbox.is_paused() {
            self.receive();
            self.end_cancelled(engine, &mut batch);
            let leaving = self.leaving(&batch, engine.max_batch());
            // Answers join and leave only while no step is submitted ahead.
            let looks_ahead = leaving.is_empty() && !self.expects_another(&batch, engine.max_batch());
            if !batch.is_in_flight() {
                leaving.iter().for_each(|&answer| self.park(engine, &mut batch, answer));
                self.fill(engine, &mut batch, &tokenizer).await;
                if batch.is_empty() {
                    break;
                }
            }
            let Self { requests, turns, .. } = self;
            let mut tell = |answer: usize, event: Event| {
                let Some(Turn { request, index, .. }) = turns.get(&answer) else { return };
                requests.get_mut(request).into_iter().for_each(|open| open.on_event(*index, event.clone(), &tokenizer));
            };
            let left = engine.step(&mut batch, looks_ahead, &mut tell).await;
            self.count_step(&batch, &left);
            left.into_iter().for_each(|departure| self.depart(engine, &mut batch, departure, &tokenizer));
        }
        let active: Vec<usize> = self.turns.keys().copied().collect();
        active.into_iter().for_each(|answer| self.park(engine, &mut batch, answer));
    }

    fn receive(&mut self) {
        while let Some(submission) = self.inbox.next(self.requests.len()) {
            self.numbers += 1;
            self.requests.insert(self.numbers, OpenRequest::new(submission, self.steps));
        }
        for open in self.requests.values_mut().filter(|open| open.control.is_paused()) {
            // Waiting for the client does not count as waiting for the engine.
            open.share.served_at = self.steps;
        }
    }

    fn end_cancelled<B: Backend>(&mut self, engine: &mut Engine<B>, batch: &mut Batch<B>) {
        let cancelled = self.requests.iter().filter(|(_, open)| open.control.is_cancelled());
        let cancelled: Vec<usize> = cancelled.map(|(number, _)| *number).collect();
        cancelled.into_iter().for_each(|number| self.fail(engine, batch, number, Error::Aborted));
    }

    /// Ends a request with an error and removes its answers from the batch.
    fn fail<B: Backend>(&mut self, engine: &mut Engine<B>, batch: &mut Batch<B>, number: usize, error: Error) {
        let answers: Vec<usize> =
            self.turns.iter().filter(|(_, turn)| turn.request == number).map(|(answer, _)| *answer).collect();
        for answer in answers {
            self.turns.remove(&answer);
            engine.remove(batch, answer);
        }
        if let Some(open) = self.requests.remove(&number) {
            open.client.end(Err(error));
        }
    }

    /// Removes an answer from the batch; it is resumed in its request's next turn.
    fn park<B: Backend>(&mut self, engine: &mut Engine<B>, batch: &mut Batch<B>, answer: usize) {
        let (turn, answering) = (self.turns.remove(&answer), engine.remove(batch, answer));
        if let (Some(Turn { request, index, .. }), Some(answering)) = (turn, answering)
            && let Some(open) = self.requests.get_mut(&request)
        {
            open.take_back(index, answering, false);
        }
    }

    /// The next request for which `may` is true: highest priority first, then least engine time. Every [`CONTINUED`]th turn belongs to the
    /// interrupted request that has waited longest, which precedes all others of its priority.
    fn next_request(&self, may: impl Fn(usize, &OpenRequest<'a>) -> bool) -> Option<Next> {
        let waiting = self.requests.iter().filter(|(number, open)| open.waits() && may(**number, open));
        let next = waiting.clone().map(|(&number, open)| Next { rank: open.rank(self.steps), number }).min()?;
        if self.begun % CONTINUED != CONTINUED - 1 {
            return Some(next);
        }
        let (priority, _) = next.rank;
        let is_interrupted = |open: &OpenRequest<'a>| open.priority == priority && open.is_interrupted(self.steps);
        let interrupted = waiting.filter(|(_, open)| is_interrupted(open)).min_by_key(|(_, open)| open.share.served_at);
        Some(interrupted.map_or(next, |(&number, _)| Next { rank: (priority, i64::MIN), number }))
    }

    /// Returns whether the request's next answer can be computed together with others.
    fn can_join(&self, number: usize, open: &OpenRequest<'a>) -> bool {
        open.can_share() && self.blocked != Some(number)
    }

    /// Returns whether a waiting request could join the batch.
    fn expects_another<B: Backend>(&self, batch: &Batch<B>, most: usize) -> bool {
        let active = self.turns.values().find_map(|turn| self.requests.get(&turn.request));
        let is_alike = |open: &OpenRequest<'a>| active.is_some_and(|active| active.priority == open.priority);
        batch.shares()
            && self.turns.len() < most
            && self.next_request(|number, open| is_alike(open) && self.can_join(number, open)).is_some()
    }

    /// Answers that leave the batch before the next step: those whose client stops reading, and those that make room for the next request.
    fn leaving<B: Backend>(&self, batch: &Batch<B>, most: usize) -> Vec<usize> {
        let rank_of = |turn: &Turn| self.requests.get(&turn.request).map(|open| open.rank(self.steps));
        let is_full = |turn: &Turn| self.requests.get(&turn.request).is_some_and(|open| open.control.is_paused());
        let full: Vec<usize> = self.turns.iter().filter(|(_, turn)| is_full(turn)).map(|(answer, _)| *answer).collect();
        let Some(next) = self.next_request(|_, _| true).filter(|_| full.is_empty()) else { return full };
        let ranks = || self.turns.values().filter_map(rank_of);
        let over = || self.turns.iter().filter(|(_, turn)| turn.is_over());
        let is_person = |(priority, _): (Priority, i64)| priority == Priority::Person;
        let is_urgent = is_person(next.rank) && !ranks().all(is_person);
        let needs_all =
            !batch.shares() || self.requests.get(&next.number).is_some_and(|open| !self.can_join(next.number, open));
        if is_urgent || needs_all && over().count() > 0 && ranks().all(|rank| rank > next.rank) {
            return self.turns.keys().copied().collect();
        }
        let joining = self.next_request(|number, open| self.can_join(number, open));
        if let Some(joining) = joining.filter(|_| batch.shares() && self.turns.len() >= most) {
            let later = over().filter(|(_, turn)| rank_of(turn) > Some(joining.rank));
            let last = later.max_by_key(|(answer, turn)| (rank_of(turn), **answer));
            return last.map(|(answer, _)| *answer).into_iter().collect();
        }
        Vec::new()
    }

    /// Adds the next answers to the batch while there is room.
    async fn fill<B: Backend>(&mut self, engine: &mut Engine<B>, batch: &mut Batch<B>, tokenizer: &Arc<Tokenizer>) {
        self.blocked = None;
        loop {
            if !batch.is_empty() && batch.len() >= engine.max_batch() {
                return;
            }
            let next = self.next_request(|number, open| batch.is_empty() || self.can_join(number, open));
            let active = self.turns.values().find_map(|turn| self.requests.get(&turn.request));
            let priority = active.map(|open| open.priority);
            let Some(Next { number, .. }) = next else { return };
            let Some(open) = self.requests.get_mut(&number) else { return };
            if priority.is_some_and(|priority| priority != open.priority) {
                return;
            }
            if let Err(error) = open.begin(engine) {
                self.fail(engine, batch, number, error);
                continue;
            }
            let Some(index) = open.next_answer() else {
                // Without answers, the request only counts tokens.
                self.end(number, tokenizer);
                continue;
            };
            match engine.room(batch, open.run.encoded(index), open.run.can_share(index)) {
                Room::Free => {}
                Room::Soon => return,
                Room::None => {
                    self.blocked = Some(number);
                    return;
                }
            }
            self.numbers += 1;
            let (answer, control) = (self.numbers, open.control.clone());
            let answering = open.begin_answer(index);
            self.turns.insert(answer, Turn::new(number, index));
            self.begun += 1;
            let mut tell = |_, event| open.on_event(index, event, tokenizer);
            if let Err(error) = engine.add(batch, answer, answering, control, &mut tell).await {
                self.fail(engine, batch, number, error);
            }
        }
    }

    /// Counts a step for the answers that took part in it.
    fn count_step<B: Backend>(&mut self, batch: &Batch<B>, left: &[Departure]) {
        self.steps += 1;
        let active = batch.progress().map(|progress| (progress.number, progress.is_resuming));
        let ended = left.iter().map(|departure| (departure.number, false));
        for (answer, is_resuming) in active.chain(ended) {
            let Some(turn) = self.turns.get_mut(&answer) else { continue };
            turn.count(is_resuming);
            if let Some(open) = self.requests.get_mut(&turn.request) {
                open.share.count(is_resuming, self.steps);
            }
        }
    }

    /// Handles an answer that left the batch on its own.
    fn depart<B: Backend>(
        &mut self,
        engine: &mut Engine<B>,
        batch: &mut Batch<B>,
        departure: Departure,
        tokenizer: &Arc<Tokenizer>,
    ) {
        let Departure { number, answering, outcome } = departure;
        let Some(Turn { request, index, .. }) = self.turns.remove(&number) else { return };
        match outcome {
            Err(error) => self.fail(engine, batch, request, error),
            Ok(left) => {
                let Some(open) = self.requests.get_mut(&request) else { return };
                open.take_back(index, answering, left == Left::Complete);
                if open.is_complete() {
                    self.end(request, tokenizer);
                }
            }
        }
    }

    fn end(&mut self, number: usize, tokenizer: &Arc<Tokenizer>) {
        if let Some(open) = self.requests.remove(&number) {
            open.end(tokenizer);
        }
    }
}
