//! Requests, answered side by side: a step of the model continues an answer of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::run::{Output, Run};
use crate::chat::Tokenizer;
use crate::engine::{Answering, Answers, Backend, Engine, Event, RequestControl};
use crate::error::Result;

/// Who hands requests in, hears of them, and gets them back.
pub trait Requests<B: Backend> {
    /// The next request to begin, or to go on with, under a number that no other one under way has, and what stops it; `None` where there
    /// is none now. It is asked as [`Answers::next`] is.
    fn next(&mut self, engine: &mut Engine<B>, under_way: usize) -> Option<(usize, Box<Run>, RequestControl)>;

    /// What comes while the request with this number is carried out.
    fn send(&mut self, number: usize, output: Output);

    /// The body of the answer; nothing where it left the engine because it was held; or what the request failed with.
    fn done(&mut self, number: usize, run: Box<Run>, outcome: Result<Option<String>>);
}

/// Answers all that `requests` has, several at once.
pub async fn answer_side_by_side<B: Backend>(engine: &mut Engine<B>, requests: &mut dyn Requests<B>) {
    let tokenizer = engine.tokenizer().clone();
    let mut desk = Desk { requests, tokenizer, open: BTreeMap::new(), places: BTreeMap::new(), begun: 0 };
    engine.answer_together(&mut desk).await;
}

/// A request with answers under way.
struct Open {
    run: Box<Run>,
    control: RequestControl,
    under_way: Vec<usize>,
    /// Whether all its answers that have ended so far are complete.
    outcome: Result<bool>,
}

/// The answers of all requests, as the engine takes them.
struct Desk<'a, B: Backend> {
    requests: &'a mut dyn Requests<B>,
    tokenizer: Arc<Tokenizer>,
    open: BTreeMap<usize, Open>,
    /// Of each answer under way its request, and which of its answers it is.
    places: BTreeMap<usize, (usize, usize)>,
    /// Answers begun so far.
    begun: usize,
}

impl<B: Backend> Desk<'_, B> {
    /// The next answer of a request, if it has one.
    fn answer_of(&mut self, number: usize) -> Option<(usize, Answering, RequestControl)> {
        let Open { run, control, under_way, outcome } = self.open.get_mut(&number)?;
        let index = run.next(under_way).filter(|_| *outcome == Ok(true))?;
        under_way.push(index);
        self.begun += 1;
        self.places.insert(self.begun, (number, index));
        let answering = run.begin(index, &mut |output| self.requests.send(number, output));
        Some((self.begun, answering, control.clone()))
    }

    /// Hands a request back none of whose answers is under way.
    fn hand_back(&mut self, number: usize) {
        let Some(Open { mut run, outcome, .. }) = self.open.remove(&number) else { return };
        let requests = &mut *self.requests;
        let outcome = outcome.map(|_| {
            let is_complete = run.next(&[]).is_none();
            is_complete.then(|| run.end(&self.tokenizer, &mut |output| requests.send(number, output)))
        });
        requests.done(number, run, outcome);
    }
}

impl<B: Backend> Answers<B> for Desk<'_, B> {
    fn next(&mut self, engine: &mut Engine<B>, under_way: usize) -> Option<(usize, Answering, RequestControl)> {
        let open: Vec<usize> = self.open.keys().copied().collect();
        if let Some(answer) = open.into_iter().find_map(|number| self.answer_of(number)) {
            return Some(answer);
        }
        loop {
            let (number, mut run, control) = self.requests.next(engine, under_way)?;
            let opened = control.check().and_then(|()| run.open(engine));
            let outcome = opened.map(|()| true);
            self.open.insert(number, Open { run, control, under_way: Vec::new(), outcome });
            match self.answer_of(number) {
                Some(answer) => return Some(answer),
                // It is refused, or asks for no answer.
                None => self.hand_back(number),
            }
        }
    }

    fn hear(&mut self, number: usize, event: Event) {
        let Some(&(request, index)) = self.places.get(&number) else { return };
        let requests = &mut *self.requests;
        if let Some(Open { run, .. }) = self.open.get_mut(&request) {
            run.hear((index, event), &self.tokenizer, &mut |output| requests.send(request, output));
        }
    }

    fn done(&mut self, number: usize, answering: Answering, outcome: Result<bool>) {
        let Some((request, index)) = self.places.remove(&number) else { return };
        let requests = &mut *self.requests;
        let Some(open) = self.open.get_mut(&request) else { return };
        open.under_way.retain(|under_way| *under_way != index);
        match outcome {
            Ok(is_complete) => {
                open.run.take_back(index, (answering, is_complete), &mut |output| requests.send(request, output));
                open.outcome = open.outcome.clone().map(|complete| complete && is_complete);
            }
            Err(error) => open.outcome = Err(error),
        }
        if open.under_way.is_empty() && open.run.next(&[]).is_none_or(|_| open.outcome != Ok(true)) {
            self.hand_back(request);
        }
    }
}
