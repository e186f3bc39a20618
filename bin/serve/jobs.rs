//! Queue from the connections, which have their own threads, to the scheduler on the engine's thread.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ocelli::api::{Client, Inbox, Output, Priority, Run, Scheduler, Submission};
use ocelli::engine::{Engine, Meter, RequestControl};
use ocelli::usage::Counts;
use ocelli::{Error, Result};

use super::intake::Prepared;
use super::monitor::{Monitor, OpenRequests};
use super::panics::{self, Panics};
use super::stream::{Answer, Flow, Reader};
use crate::lanes::Memory;
use crate::shared::kept;
use crate::usage::Bill;

/// Limit of requests outside batches that wait for their first step.
const MOST_WAITING: usize = 256;
/// Time to save conversations at the end.
const LAST_TIME: Duration = Duration::from_secs(20);

/// A request on its way.
struct Job {
    prepared: Prepared,
    flow: Flow,
    priority: Priority,
    place: Place,
}

/// Messages to the engine's thread.
enum Message {
    New(Box<Job>),
    /// A stream is read again, a request is cancelled, or the server stops.
    Wake,
    /// Stands for a fault of the engine.
    #[cfg(test)]
    Panic,
}

/// State that the engine's thread and the connections share.
struct Shared {
    monitor: Arc<Monitor>,
    /// Requests that have not ended, by number.
    open: Mutex<BTreeMap<usize, Open>>,
    is_stopped: AtomicBool,
}

struct Open {
    control: RequestControl,
    /// True for a request outside batches until its first step.
    waits: bool,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, BTreeMap<usize, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Entry of a request in [`Shared`]; dropping it removes the entry.
struct Place {
    shared: Arc<Shared>,
    number: usize,
}

impl Place {
    /// Ends the wait for the first step.
    fn begin(&self) {
        self.shared.open().get_mut(&self.number).into_iter().for_each(|open| open.waits = false);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.open().remove(&self.number);
    }
}

/// The connections' side of the queue.
#[derive(Clone)]
pub(super) struct Jobs {
    sender: Sender<Message>,
    shared: Arc<Shared>,
    next: Arc<AtomicUsize>,
}

/// The engine's side of the queue.
pub(super) struct Queue {
    receiver: Receiver<Message>,
    shared: Arc<Shared>,
    /// A message that was received but not handled.
    first: Option<Message>,
    panics: Panics,
}

/// Unloading of the model while nobody asks.
pub(super) struct Idle<'a> {
    /// Time without requests after which it is unloaded.
    pub(super) limit: Option<Duration>,
    /// Opens it again, and calls a function at each sign of progress.
    pub(super) open: &'a dyn Fn(&dyn Fn()) -> Result<Engine>,
}

impl Idle<'_> {
    /// Opens the engine again. Without progress it counts as hung.
    fn opened(&self, monitor: &Monitor) -> Result<Engine> {
        let alive = || monitor.alive();
        alive();
        let panicked = |_| Err(Error::Internal { detail: "loading the model panicked".into() });
        let opened = catch_unwind(AssertUnwindSafe(|| (self.open)(&alive))).unwrap_or_else(panicked);
        alive();
        opened
    }
}

pub(super) fn queue(monitor: Arc<Monitor>) -> (Jobs, Queue) {
    let (sender, receiver) = channel();
    let shared = Arc::new(Shared { monitor, open: Mutex::default(), is_stopped: AtomicBool::new(false) });
    let jobs = Jobs { sender, shared: shared.clone(), next: Arc::default() };
    (jobs, Queue { receiver, shared, first: None, panics: Panics::default() })
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

impl Jobs {
    /// Requests that wait for their first step, and those that have begun.
    pub(super) fn counts(&self) -> OpenRequests {
        let open = self.shared.open();
        let waiting = open.values().filter(|open| open.waits).count();
        OpenRequests { waiting, active: open.len() - waiting }
    }

    /// Submits a request; `None` if too many are waiting.
    pub(super) fn submit(&self, prepared: Prepared, priority: Priority) -> Option<Reader> {
        let sender = self.sender.clone();
        // Sending fails only after the engine's thread has ended.
        let (flow, reader) = Flow::new(prepared.control.clone(), Box::new(move || drop(sender.send(Message::Wake))));
        let (waits, control) = (priority == Priority::Person, prepared.control.clone());
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        {
            let mut open = self.shared.open();
            if waits && open.values().filter(|open| open.waits).count() >= MOST_WAITING {
                return None;
            }
            open.insert(number, Open { control, waits });
        }
        let place = Place { shared: self.shared.clone(), number };
        self.sender.send(Message::New(Box::new(Job { prepared, flow, priority, place }))).ok()?;
        Some(reader)
    }

    /// Stops the engine's thread and cancels all open requests.
    pub(super) fn stop(&self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        self.shared.open().values().for_each(|open| open.control.cancel());
        // Sending fails only after the thread has ended.
        let _ = self.sender.send(Message::Wake);
    }

    /// Lets the engine's thread panic.
    #[cfg(test)]
    pub(super) fn panic(&self) {
        // Sending fails only after the thread has ended.
        let _ = self.sender.send(Message::Panic);
    }

    /// Returns true if the engine's thread is ending: open requests will not be answered.
    pub(super) fn is_stopped(&self) -> bool {
        self.shared.is_stopped.load(Ordering::SeqCst)
    }
}

impl Queue {
    /// Runs the scheduler until the server stops.
    ///
    /// # Errors
    /// [`Error::Internal`] after too many panics.
    pub(super) fn work(self, mut engine: Engine, idle: &Idle<'_>) -> Result<()> {
        let mut scheduler = Scheduler::new(self);
        while !scheduler.inbox().is_paused() {
            let run = catch_unwind(AssertUnwindSafe(|| pollster::block_on(scheduler.run(&mut engine))));
            if run.is_err() {
                scheduler = after_panic(scheduler, &mut engine)?;
            }
            // A request whose client does not read holds the engine.
            let limit = idle.limit.filter(|_| scheduler.is_empty());
            if scheduler.inbox().wait(&mut engine, limit) {
                continue;
            }
            // The driver may hang here, too.
            scheduler.inbox().monitor().alive();
            drop(engine);
            tracing::info!("the model is unloaded until the next request");
            let Some(opened) = scheduler.inbox().reopened(idle) else { return Ok(()) };
            engine = opened;
        }
        // The last answer may be newer than the snapshots.
        let began = Instant::now();
        kept::keep(&mut engine, &mut || began.elapsed() < LAST_TIME);
        Ok(())
    }

    /// Waits for a request, then opens the engine again. If that fails, so do the requests that wait. `None` when the server stops.
    fn reopened(&mut self, idle: &Idle<'_>) -> Option<Engine> {
        while !self.is_paused() {
            self.monitor().idle();
            let message = self.first.take().or_else(|| self.receiver.recv().ok());
            match message {
                None => self.shared.is_stopped.store(true, Ordering::SeqCst),
                Some(Message::Wake) => {}
                #[cfg(test)]
                Some(Message::Panic) => {}
                Some(Message::New(job)) => match idle.opened(self.monitor()) {
                    Ok(engine) => {
                        self.first = Some(Message::New(job));
                        return Some(engine);
                    }
                    Err(error) => job.flow.send(Answer::End(Err(error))),
                },
            }
        }
        None
    }

    fn monitor(&self) -> &Monitor {
        &self.shared.monitor
    }

    /// Waits for the next message, and saves conversations until it arrives. Returns false if none arrives within a limit.
    fn wait(&mut self, engine: &mut Engine, limit: Option<Duration>) -> bool {
        if self.is_paused() {
            return true;
        }
        kept::keep(engine, &mut || {
            self.shared.monitor.alive();
            self.first = self.first.take().or_else(|| self.receiver.try_recv().ok());
            self.first.is_none()
        });
        if self.first.is_none() {
            self.monitor().idle();
            self.first = match limit.map(|limit| self.receiver.recv_timeout(limit)) {
                Some(Err(RecvTimeoutError::Timeout)) => return false,
                Some(message) => message.ok(),
                None => self.receiver.recv().ok(),
            };
            self.monitor().alive();
            // Without connections there are no more requests.
            self.shared.is_stopped.fetch_or(self.first.is_none(), Ordering::SeqCst);
        }
        true
    }
}

impl Inbox<'static> for Queue {
    fn next(&mut self, _: usize) -> Option<Submission<'static>> {
        self.monitor().alive();
        loop {
            let job = match self.first.take().or_else(|| self.receiver.try_recv().ok())? {
                Message::New(job) => job,
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
        let monitor = &self.place.shared.monitor;
        monitor.alive();
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

#[cfg(test)]
mod tests;
