//! Queue from the connections, which have their own threads, to the scheduler on the engine's thread.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ocelli::Result;
use ocelli::api::{Client, Inbox, Output, Priority, Run, Scheduler, Submission};
use ocelli::engine::{Engine, Meter, RequestControl};
use tokio::sync::OwnedSemaphorePermit;

use super::intake::Prepared;
use super::stream::{Answer, Flow, Reader};
use crate::shared::kept;
use crate::usage::Bill;

/// Limit of requests outside batches that wait for their first step.
const MOST_WAITING: usize = 256;

/// A request on its way.
struct Job {
    prepared: Prepared,
    flow: Arc<Flow>,
    priority: Priority,
    place: Place,
}

/// Messages to the engine's thread.
enum Message {
    New(Box<Job>),
    /// A stream is read again, a request is cancelled, or the server stops.
    Wake,
}

/// State that the engine's thread and the connections share.
#[derive(Default)]
struct Shared {
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
}

pub(super) fn queue() -> (Jobs, Queue) {
    let ((sender, receiver), shared) = (channel(), Arc::<Shared>::default());
    let jobs = Jobs { sender, shared: shared.clone(), next: Arc::default() };
    (jobs, Queue { receiver, shared, first: None })
}

impl Jobs {
    /// Submits a request; `None` if too many are waiting.
    pub(super) fn submit(&self, prepared: Prepared, priority: Priority) -> Option<Reader> {
        let sender = self.sender.clone();
        // Sending fails only after the engine's thread has ended.
        let (flow, reader) = Flow::new(prepared.control.clone(), Box::new(move || drop(sender.send(Message::Wake))));
        let (waits, control) = (priority == Priority::Person, flow.control.clone());
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

    /// Returns true if the engine's thread is ending: open requests will not be answered.
    pub(super) fn is_stopped(&self) -> bool {
        self.shared.is_stopped.load(Ordering::SeqCst)
    }
}

impl Queue {
    /// Runs the scheduler until the server stops.
    pub(super) fn work(self, engine: &mut Engine) {
        let mut scheduler = Scheduler::new(self);
        while !scheduler.inbox().is_paused() {
            pollster::block_on(scheduler.run(engine));
            scheduler.inbox().wait(engine);
        }
        // The last answer may be newer than the snapshots.
        kept::keep(engine, &mut || true);
    }

    /// Waits for the next message, and saves conversations until it arrives.
    fn wait(&mut self, engine: &mut Engine) {
        if self.is_paused() {
            return;
        }
        kept::keep(engine, &mut || {
            self.first = self.first.take().or_else(|| self.receiver.try_recv().ok());
            self.first.is_none()
        });
        if self.first.is_none() {
            self.first = self.receiver.recv().ok();
            // Without connections there are no more requests.
            self.shared.is_stopped.fetch_or(self.first.is_none(), Ordering::SeqCst);
        }
    }
}

impl Inbox<'static> for Queue {
    fn next(&mut self, _: usize) -> Option<Submission<'static>> {
        loop {
            let Message::New(job) = self.first.take().or_else(|| self.receiver.try_recv().ok())? else { continue };
            let Job { prepared, flow, priority, place } = *job;
            let Prepared { work, prompts, grammar, control, bill, memory } = prepared;
            let mut run = Box::new(Run::with_prompts(work, prompts));
            if let Some(grammar) = grammar {
                run.constrain(Rc::new(grammar));
            }
            let client = Box::new(Connected { flow, bill, place, memory });
            return Some(Submission { run, priority, control, client });
        }
    }

    fn is_paused(&self) -> bool {
        self.shared.is_stopped.load(Ordering::SeqCst)
    }
}

/// Sends the output of a request to its connection.
struct Connected {
    flow: Arc<Flow>,
    bill: Option<Bill>,
    place: Place,
    /// Its pictures' part of the memory of all requests, until it begins.
    memory: Option<OwnedSemaphorePermit>,
}

impl Client for Connected {
    fn admit(&mut self, prompt_tokens: usize) -> Result<Vec<Arc<Meter>>> {
        self.place.begin();
        self.memory = None;
        self.bill.as_mut().map_or(Ok(Vec::new()), |bill| bill.admit(prompt_tokens))
    }

    fn send(&mut self, output: Output) {
        if let Output::Frame(frame) = output {
            self.flow.send(Answer::Frame(frame.text()));
        }
    }

    fn end(self: Box<Self>, outcome: Result<String>) {
        if let (Some(bill), Ok(body)) = (self.bill, &outcome) {
            bill.close(body);
        }
        self.flow.send(Answer::End(outcome));
    }
}
