//! The engine's side of a queue, on the engine's thread: the inbox of the scheduler.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use ocelli::api::{Client, Inbox, Output, Run, Scheduler, Submission};
use ocelli::engine::{Engine, Meter};
use ocelli::usage::Counts;
use ocelli::{Error, Result};

use super::flow::{Answer, Flow};
use super::jobs::{Job, Jobs, Message, Place, Prepared, Shared};
use super::monitor::{Monitor, Pulse};
use super::panics::{self, Panics};
use super::residents::{Resident, Residents};
use crate::lanes::Memory;
use crate::shared::kept;
use crate::usage::Bill;

/// Time to save conversations before the model is unloaded for another one, and at the end.
const LAST_TIME: Duration = Duration::from_secs(20);
/// Time in which a model that was just loaded takes requests, though another one waits for its place.
const TURN: Duration = Duration::from_secs(10);

/// The engine's side of the queue.
pub(crate) struct Queue {
    receiver: Receiver<Message>,
    shared: Arc<Shared>,
    /// Messages that were received but not handled.
    received: VecDeque<Message>,
    /// Time at which the model was loaded.
    loaded: Instant,
    panics: Panics,
}

/// Loading and unloading of the model.
pub(crate) struct Loading<'a> {
    /// Time without requests after which it is unloaded.
    pub(crate) idle: Option<Duration>,
    /// Opens the engine, and calls a function at each sign of progress.
    pub(crate) open: &'a dyn Fn(&dyn Fn()) -> Result<Engine>,
    pub(crate) residents: &'a Residents,
    /// Number of the model among the residents.
    pub(crate) model: usize,
    /// Its name in the log.
    pub(crate) name: &'a str,
}

/// A loaded model and its place.
struct Opened<'a> {
    engine: Engine,
    _place: Option<Resident<'a>>,
}

impl<'a> Loading<'a> {
    /// Waits for a place, then opens the engine, unless the server stops. Without progress it counts as hung.
    fn opened(&self, Shared { pulse, must_leave, is_stopped, .. }: &Shared) -> Result<Opened<'a>> {
        // An earlier call to leave was for an earlier place.
        must_leave.store(false, Ordering::SeqCst);
        let _place = Some(self.residents.enter(self.model).ok_or(Error::Aborted)?);
        if is_stopped.load(Ordering::SeqCst) {
            return Err(Error::Aborted);
        }
        let alive = || pulse.alive();
        alive();
        let panicked = |_| Err(Error::Internal { detail: "loading the model panicked".into() });
        let opened = catch_unwind(AssertUnwindSafe(|| (self.open)(&alive))).unwrap_or_else(panicked);
        alive();
        opened.map(|engine| Opened { engine, _place })
    }
}

/// Both sides of a new queue.
pub(crate) fn queue(monitor: Arc<Monitor>, pulse: Pulse) -> (Jobs, Queue) {
    let (jobs, receiver) = Jobs::new(monitor, pulse);
    let shared = jobs.shared().clone();
    let (received, loaded, panics) = (VecDeque::new(), Instant::now(), Panics::default());
    (jobs, Queue { receiver, shared, received, loaded, panics })
}

/// Continues after a panic of the engine's thread. All open requests fail, and no conversation is reused.
fn after_panic(scheduler: Scheduler<'static, Queue>, engine: &mut Engine) -> Result<Scheduler<'static, Queue>> {
    let mut queue = scheduler.into_inbox();
    if !queue.panics.may_continue(Instant::now()) {
        let minutes = panics::WINDOW.as_secs() / 60;
        let detail = format!("the engine has panicked {} times within {minutes} minutes", panics::MOST);
        return Err(Error::Internal { detail });
    }
    engine.reset();
    Ok(Scheduler::new(queue))
}

/// Saves conversations for a limited time.
fn keep_last(engine: &mut Engine) {
    let began = Instant::now();
    kept::keep(engine, &mut || began.elapsed() < LAST_TIME);
}

impl Queue {
    /// Runs the scheduler until the server stops. Without an engine it opens one at the first request.
    ///
    /// # Errors
    /// [`Error::Internal`] after too many panics.
    pub(crate) fn work(mut self, engine: Option<Engine>, loading: &Loading<'_>) -> Result<()> {
        let first = match engine {
            Some(engine) => Some(Opened { engine, _place: loading.residents.enter(loading.model) }),
            None => self.opened(loading),
        };
        let Some(mut opened) = first else { return Ok(()) };
        let mut scheduler = Scheduler::new(self);
        while !scheduler.inbox().is_paused() {
            let engine = &mut opened.engine;
            let run = catch_unwind(AssertUnwindSafe(|| pollster::block_on(scheduler.run(engine))));
            if run.is_err() {
                scheduler = after_panic(scheduler, engine)?;
            }
            // A request whose client does not read holds the engine.
            let is_empty = scheduler.is_empty();
            if scheduler.inbox().wait(engine, loading.idle.filter(|_| is_empty), is_empty) {
                continue;
            }
            // The driver may hang here, too.
            scheduler.inbox().pulse().alive();
            drop(opened);
            tracing::info!(model = loading.name, "the model is unloaded until the next request");
            let Some(again) = scheduler.inbox().opened(loading) else { return Ok(()) };
            opened = again;
        }
        // The last answer may be newer than the snapshots.
        keep_last(&mut opened.engine);
        Ok(())
    }

    /// Waits for a request, then opens the engine. If that fails, so does the request. `None` when the server stops.
    fn opened<'a>(&mut self, loading: &Loading<'a>) -> Option<Opened<'a>> {
        while !self.is_paused() {
            self.pulse().idle();
            let Some(message) = self.received.pop_front().or_else(|| self.receiver.recv().ok()) else {
                // Without connections there are no more requests.
                self.shared.is_stopped.store(true, Ordering::SeqCst);
                break;
            };
            if !message.wants_model() {
                message.fail(Error::Aborted);
                continue;
            }
            match loading.opened(&self.shared) {
                Ok(opened) => {
                    self.received.push_front(message);
                    self.loaded = Instant::now();
                    return Some(opened);
                }
                Err(error) => message.fail(error),
            }
        }
        None
    }

    fn pulse(&self) -> &Pulse {
        &self.shared.pulse
    }

    /// The next message, if there is one.
    fn take(&mut self) -> Option<Message> {
        self.received.pop_front().or_else(|| self.receiver.try_recv().ok())
    }

    /// Returns true if no more requests are begun, because another model waits for the place and this one has had its turn.
    fn is_held(&self) -> bool {
        self.shared.must_leave.load(Ordering::SeqCst) && self.loaded.elapsed() > TURN
    }

    /// Returns true if the model, which has no open requests, leaves its place for another one. In its turn it takes the requests that wait.
    fn leaves(&mut self) -> bool {
        while self.received.is_empty()
            && let Ok(message) = self.receiver.try_recv()
        {
            self.receive(Some(message));
        }
        self.shared.must_leave.load(Ordering::SeqCst) && (self.received.is_empty() || self.is_held())
    }

    /// Keeps a message until it is handled. Returns true if there is one.
    fn receive(&mut self, message: Option<Message>) -> bool {
        let is_there = message.is_some();
        self.received.extend(message.filter(|message| !matches!(message, Message::Wake)));
        is_there
    }

    /// Waits for the next message, and saves conversations until it arrives. Returns false if the model must be unloaded: nothing arrives
    /// within a limit, or another model needs the place.
    fn wait(&mut self, engine: &mut Engine, limit: Option<Duration>, is_empty: bool) -> bool {
        if self.is_paused() {
            return true;
        }
        if is_empty && self.leaves() {
            keep_last(engine);
            return false;
        }
        // Requests that are held back are no reason to continue.
        let mut is_new = !self.received.is_empty() && !self.is_held();
        kept::keep(engine, &mut || {
            self.pulse().alive();
            let message = self.receiver.try_recv().ok();
            is_new |= self.receive(message);
            !is_new
        });
        if is_new {
            return true;
        }
        self.pulse().idle();
        let next = match limit.map(|limit| self.receiver.recv_timeout(limit)) {
            Some(Err(RecvTimeoutError::Timeout)) => return false,
            Some(message) => message.ok(),
            None => self.receiver.recv().ok(),
        };
        self.pulse().alive();
        let is_there = self.receive(next);
        // Without connections there are no more requests.
        self.shared.is_stopped.fetch_or(!is_there, Ordering::SeqCst);
        true
    }
}

impl Inbox<'static> for Queue {
    fn next(&mut self, _: usize) -> Option<Submission<'static>> {
        self.pulse().alive();
        loop {
            if self.is_held() {
                return None;
            }
            let job = match self.take()? {
                Message::New(job) => job,
                Message::Load(loaded) => {
                    // Without a receiver its client has left.
                    let _ = loaded.send(Ok(()));
                    continue;
                }
                Message::Wake => continue,
                #[cfg(test)]
                Message::Panic => panic!("on order"),
            };
            let Job { prepared, flow, priority, place } = *job;
            let Prepared { id, work, prompts, grammar, control, bill, memory } = prepared;
            let mut run = Box::new(Run::with_prompts(work, prompts));
            if let Some(grammar) = grammar {
                run.constrain(Rc::new(grammar));
            }
            let client =
                Box::new(Connected { id, flow, bill, place, memory, arrived: Instant::now(), has_begun: false });
            return Some(Submission { run, priority, control, client });
        }
    }

    fn is_paused(&self) -> bool {
        self.shared.is_stopped.load(Ordering::SeqCst)
    }
}

/// Sends the output of a request to its connection.
struct Connected {
    /// Id of the request in the log.
    id: String,
    flow: Flow,
    bill: Option<Bill>,
    place: Place,
    /// Its pictures' part of the memory of all requests, until it begins.
    memory: Memory,
    arrived: Instant,
    has_begun: bool,
}

impl Client for Connected {
    fn admit(&mut self, prompt_tokens: usize) -> Result<Vec<Arc<Meter>>> {
        self.place.begin();
        self.memory = None;
        self.bill.as_mut().map_or(Ok(Vec::new()), |bill| bill.admit(prompt_tokens))
    }

    fn send(&mut self, output: Output) {
        let Shared { monitor, pulse, .. } = &*self.place.shared;
        pulse.alive();
        if let Output::Frame(frame) = output {
            if !std::mem::replace(&mut self.has_begun, true) {
                monitor.first_frame(self.arrived);
            }
            self.flow.send(Answer::Frame(frame.text()));
        }
    }

    fn end(self: Box<Self>, outcome: Result<String>) {
        let Self { id, flow, bill, place, arrived, .. } = *self;
        let (ms, used) = (arrived.elapsed().as_millis() as u64, Counts::of_outcome(&outcome));
        match &outcome {
            Ok(_) => {
                place.shared.monitor.answered(&used, arrived);
                let Counts { prompt_tokens, cached_tokens, completion_tokens, .. } = used;
                tracing::info!(id, ms, prompt_tokens, cached_tokens, completion_tokens, "answered");
            }
            Err(error) => tracing::info!(id, ms, code = error.code(), "failed"),
        }
        let end = move || flow.send(Answer::End(outcome));
        match bill {
            // After a power failure the client has no answer that is not counted.
            Some(bill) => bill.close_then(&used, Box::new(end)),
            None => end(),
        }
    }
}
