//! Requests wait for the one engine, first come, first served. One whose answer nobody reads leaves it to those behind it, and comes back
//! to the end of the queue when it is read again. Requests of batches are answered while there are no others, and leave the engine within a
//! token when one comes.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use ocelli::api::{Output, Run, Work};
use ocelli::engine::{Cancel, Engine, Picture};
use ocelli::grammar::native::NativeGrammar;

use super::stream::{Answer, Flow, Reader};

/// Most requests that wait.
const MOST_WAITING: usize = 256;

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    /// Somebody at the other end of a connection.
    Person,
    /// A batch: it has time.
    Batch,
}

/// What a request asks for.
pub(super) struct Asked {
    pub(super) work: Box<Work>,
    /// The pictures that it names.
    pub(super) pictures: Vec<Picture>,
    /// Of the format that it wants.
    pub(super) grammar: Option<NativeGrammar>,
}

/// A request for the engine.
struct Job {
    asked: Asked,
    flow: Arc<Flow>,
    priority: Priority,
}

/// What the engine's thread is told.
enum Message {
    New(Box<Job>),
    /// The answer with this number is read again, or nobody wants it any more.
    Read(usize),
    /// The process is to end.
    Stop,
}

/// What the engine's thread and the connections share.
#[derive(Default)]
struct Shared {
    /// Requests that wait, without those of batches.
    waiting: AtomicUsize,
    /// The request that has the engine.
    current: Mutex<Option<(Cancel, Priority)>>,
    is_stopped: AtomicBool,
}

impl Shared {
    /// Has the request at work give way if others wait.
    fn urge(&self) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((cancel, priority)) = &*current {
            let is_wanted = self.waiting.load(Ordering::SeqCst) > 0;
            cancel.give_way(is_wanted);
            if *priority == Priority::Batch {
                cancel.hold(is_wanted);
            }
        }
    }
}

/// Where requests are handed in.
#[derive(Clone)]
pub(super) struct Jobs {
    sender: Sender<Message>,
    shared: Arc<Shared>,
    next: Arc<AtomicUsize>,
}

/// The engine's side.
pub(super) struct Queue {
    receiver: Receiver<Message>,
    shared: Arc<Shared>,
    waiting: VecDeque<Turn>,
    /// Requests of batches.
    batched: VecDeque<Turn>,
    /// Those that wait for their readers, by number.
    parked: HashMap<usize, Turn>,
    is_stopped: bool,
}

/// An answer under way.
struct Turn {
    run: Run,
    flow: Arc<Flow>,
    priority: Priority,
}

pub(super) fn queue() -> (Jobs, Queue) {
    let ((sender, receiver), shared) = (channel(), Arc::<Shared>::default());
    let jobs = Jobs { sender, shared: shared.clone(), next: Arc::default() };
    let (waiting, batched) = (VecDeque::new(), VecDeque::new());
    (jobs, Queue { receiver, shared, waiting, batched, parked: HashMap::new(), is_stopped: false })
}

impl Jobs {
    /// Hands a request in; nothing where too many wait.
    pub(super) fn submit(&self, asked: Asked, priority: Priority) -> Option<Reader> {
        if priority == Priority::Person && self.shared.waiting.fetch_add(1, Ordering::SeqCst) >= MOST_WAITING {
            self.shared.waiting.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        let (sender, number) = (self.sender.clone(), self.next.fetch_add(1, Ordering::Relaxed));
        // With the engine's thread gone nobody waits for it.
        let wake = Box::new(move || drop(sender.send(Message::Read(number))));
        let (flow, reader) = Flow::new(number, wake);
        self.sender.send(Message::New(Box::new(Job { asked, flow, priority }))).ok()?;
        self.shared.urge();
        Some(reader)
    }

    /// Has the engine's thread end, and the request at work with it.
    pub(super) fn stop(&self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        // If it cannot be told it has ended.
        let _ = self.sender.send(Message::Stop);
        if let Some((cancel, _)) = &*self.shared.current.lock().unwrap_or_else(PoisonError::into_inner) {
            cancel.cancel();
        }
    }

    /// Whether the engine's thread ends: what it has not answered it will not answer.
    pub(super) fn is_stopped(&self) -> bool {
        self.shared.is_stopped.load(Ordering::SeqCst)
    }
}

impl Queue {
    /// Works until it is told to stop.
    pub(super) fn work(mut self, engine: &mut Engine) {
        while !self.is_stopped {
            let is_idle = self.waiting.is_empty() && self.batched.is_empty();
            let message = match is_idle {
                true => self.receiver.recv().ok(),
                false => self.receiver.try_recv().ok(),
            };
            match message {
                Some(message) => self.take(message),
                None if is_idle => self.is_stopped = true,
                None => self.turn(engine),
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Stop => self.is_stopped = true,
            Message::New(job) => {
                let Job { asked: Asked { work, pictures, grammar }, flow, priority } = *job;
                let mut run = Run::new(work, pictures);
                if let Some(grammar) = grammar {
                    run.hold_to(Rc::new(grammar));
                }
                let queue = if priority == Priority::Batch { &mut self.batched } else { &mut self.waiting };
                queue.push_back(Turn { run, flow, priority });
            }
            Message::Read(number) => {
                if let Some(turn) = self.parked.remove(&number) {
                    self.shared.waiting.fetch_add(1, Ordering::SeqCst);
                    self.waiting.push_back(turn);
                }
            }
        }
    }

    fn turn(&mut self, engine: &mut Engine) {
        let next = self.waiting.pop_front().or_else(|| self.batched.pop_front());
        let Some(Turn { mut run, flow, priority }) = next else { return };
        if priority == Priority::Person {
            self.shared.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        let set = |current| *self.shared.current.lock().unwrap_or_else(PoisonError::into_inner) = current;
        set(Some((flow.cancel.clone(), priority)));
        self.shared.urge();
        let mut send = |output| {
            if let Output::Frame(frame) = output {
                flow.send(Answer::Frame(frame.text()));
            }
        };
        let outcome = match flow.cancel.check() {
            Ok(()) => pollster::block_on(run.go_on(engine, &flow.cancel, &mut send)),
            Err(aborted) => Err(aborted),
        };
        set(None);
        match outcome {
            Ok(Some(body)) => flow.send(Answer::End(Ok(body))),
            Ok(None) if priority == Priority::Batch => {
                self.batched.push_front(Turn { run, flow: flow.clone(), priority });
            }
            Ok(None) => drop(self.parked.insert(flow.number, Turn { run, flow: flow.clone(), priority })),
            Err(error) => flow.send(Answer::End(Err(error))),
        }
        // Perhaps it was read, or given up, before it was parked.
        if self.parked.contains_key(&flow.number) && (!flow.cancel.is_held() || flow.cancel.is_cancelled()) {
            self.take(Message::Read(flow.number));
        }
    }
}
