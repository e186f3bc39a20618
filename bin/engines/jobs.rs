//! The connections' side of a queue, and what both sides share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ocelli::api::{Priority, Work};
use ocelli::engine::{Encoded, RequestControl};
use ocelli::grammar::native::NativeGrammar;
use ocelli::{Error, Result};
use tokio::sync::oneshot;

use super::flow::{Answer, Flow, Reader};
use super::monitor::{Monitor, OpenRequests, Pulse};
use super::residents::Occupant;
use crate::lanes::Memory;
use crate::usage::Bill;

/// Limit of requests outside batches that wait for their first step.
const MOST_WAITING: usize = 256;

/// A request, ready for the engine.
pub(crate) struct Prepared {
    /// Id of the request in the log.
    pub(crate) id: String,
    pub(crate) work: Box<Work>,
    pub(crate) prompts: Vec<Encoded>,
    pub(crate) grammar: Option<NativeGrammar>,
    pub(crate) control: RequestControl,
    /// Counts what it takes, where that is counted.
    pub(crate) bill: Option<Bill>,
    /// Part of the memory of all requests for its pictures and stored items, until it begins.
    pub(crate) memory: Memory,
}

/// A request on its way.
pub(super) struct Job {
    pub(super) prepared: Prepared,
    pub(super) flow: Flow,
    pub(super) priority: Priority,
    pub(super) place: Place,
}

/// Messages to the engine's thread.
pub(super) enum Message {
    New(Box<Job>),
    /// Loads the model if it is not loaded.
    Load(oneshot::Sender<Result<()>>),
    /// A stream is read again, a request is cancelled, another model waits for the place, or the server stops.
    Wake,
    /// Stands for a fault of the engine.
    #[cfg(test)]
    Panic,
}

/// State that the engine's thread and the connections share.
pub(super) struct Shared {
    pub(super) monitor: Arc<Monitor>,
    /// Signs of life of the engine's thread.
    pub(super) pulse: Pulse,
    /// Requests that have not ended, by number.
    open: Mutex<BTreeMap<usize, Open>>,
    /// Time of the last request.
    used: Mutex<Instant>,
    /// True while another model waits for the place of this one.
    pub(super) must_leave: AtomicBool,
    pub(super) is_stopped: AtomicBool,
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

    fn used(&self) -> MutexGuard<'_, Instant> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Entry of a request in [`Shared`]; dropping it removes the entry.
pub(super) struct Place {
    pub(super) shared: Arc<Shared>,
    number: usize,
}

impl Place {
    /// Ends the wait for the first step.
    pub(super) fn begin(&self) {
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
pub(crate) struct Jobs {
    sender: Sender<Message>,
    shared: Arc<Shared>,
    next: Arc<AtomicUsize>,
}

impl Message {
    /// Returns true if a model is loaded for it: not for a request whose client has left.
    pub(super) fn wants_model(&self) -> bool {
        match self {
            Self::New(job) => !job.prepared.control.is_cancelled(),
            Self::Load(loaded) => !loaded.is_closed(),
            Self::Wake => false,
            #[cfg(test)]
            Self::Panic => false,
        }
    }

    /// Ends its request.
    pub(super) fn fail(self, error: Error) {
        match self {
            Self::New(job) => job.flow.send(Answer::End(Err(error))),
            // Without a receiver its client has left.
            Self::Load(loaded) => drop(loaded.send(Err(error))),
            Self::Wake => {}
            #[cfg(test)]
            Self::Panic => {}
        }
    }
}

impl Jobs {
    /// A queue of which the engine's side receives messages.
    pub(super) fn new(monitor: Arc<Monitor>, pulse: Pulse) -> (Self, Receiver<Message>) {
        let (sender, receiver) = channel();
        let [must_leave, is_stopped] = [(); 2].map(|()| AtomicBool::new(false));
        let used = Mutex::new(Instant::now());
        let shared = Arc::new(Shared { monitor, pulse, open: Mutex::default(), used, must_leave, is_stopped });
        (Self { sender, shared, next: Arc::default() }, receiver)
    }

    /// State that both sides share.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Requests that wait for their first step, and those that have begun.
    pub(crate) fn counts(&self) -> OpenRequests {
        let open = self.shared.open();
        let waiting = open.values().filter(|open| open.waits).count();
        OpenRequests { waiting, active: open.len() - waiting }
    }

    /// Submits a request; `None` if too many are waiting.
    pub(crate) fn submit(&self, prepared: Prepared, priority: Priority) -> Option<Reader> {
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
        *self.shared.used() = Instant::now();
        let place = Place { shared: self.shared.clone(), number };
        self.sender.send(Message::New(Box::new(Job { prepared, flow, priority, place }))).ok()?;
        Some(reader)
    }

    /// Loads the model if it is not loaded.
    ///
    /// # Errors
    /// The errors of loading; `aborted` when the server stops.
    pub(crate) async fn load(&self) -> Result<()> {
        let (sender, loaded) = oneshot::channel();
        // Sending fails only after the engine's thread has ended.
        let _ = self.sender.send(Message::Load(sender));
        loaded.await.unwrap_or(Err(Error::Aborted))
    }

    /// Returns true if the engine's thread should have shown a sign of life.
    pub(crate) fn is_hung(&self) -> bool {
        self.shared.pulse.is_hung()
    }

    /// Stops the engine's thread and cancels all open requests.
    pub(crate) fn stop(&self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        self.shared.open().values().for_each(|open| open.control.cancel());
        // Sending fails only after the thread has ended.
        let _ = self.sender.send(Message::Wake);
    }

    /// Lets the engine's thread panic.
    #[cfg(test)]
    pub(crate) fn panic(&self) {
        // Sending fails only after the thread has ended.
        let _ = self.sender.send(Message::Panic);
    }

    /// Returns true if the engine's thread is ending: open requests will not be answered.
    pub(crate) fn is_stopped(&self) -> bool {
        self.shared.is_stopped.load(Ordering::SeqCst)
    }
}

impl Occupant for Jobs {
    fn used(&self) -> Instant {
        *self.shared.used()
    }

    fn leave(&self) {
        self.shared.must_leave.store(true, Ordering::SeqCst);
        // Sending fails only after the engine's thread has ended.
        let _ = self.sender.send(Message::Wake);
    }
}
