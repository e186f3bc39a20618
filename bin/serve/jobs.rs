//! Requests wait for the one engine, first come, first served, and are answered side by side, as many as it can. One whose answer nobody reads
//! leaves it to the others, and comes back to the end of the queue when it is read again. Requests of batches are answered while there are no
//! others, and leave the engine within a token when one comes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ocelli::Result;
use ocelli::api::{Output, Requests, Run, Work, answer_side_by_side};
use ocelli::engine::{Device, Engine, Picture, RequestControl};
use ocelli::grammar::native::NativeGrammar;

use super::stream::{Answer, Flow, Reader};
use crate::shared::kept;
use crate::usage::Bill;

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

impl Priority {
    /// Tells a request at work whether others want the engine.
    fn urge(self, cancel: &RequestControl, is_wanted: bool) {
        cancel.yield_to_others(is_wanted);
        match self {
            Self::Person => cancel.make_room(is_wanted),
            Self::Batch => cancel.hold(is_wanted),
        }
    }
}

/// What a request asks for.
pub(super) struct Asked {
    pub(super) work: Box<Work>,
    /// The pictures that it names.
    pub(super) pictures: Vec<Picture>,
    /// Of the format that it wants.
    pub(super) grammar: Option<NativeGrammar>,
    /// What it takes, where that is counted.
    pub(super) bill: Option<Bill>,
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
    /// The requests that have the engine, by number.
    current: Mutex<BTreeMap<usize, (RequestControl, Priority)>>,
    is_stopped: AtomicBool,
}

impl Shared {
    fn current(&self) -> MutexGuard<'_, BTreeMap<usize, (RequestControl, Priority)>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the requests at work give way if others wait, or make room for them.
    fn urge(&self) {
        let is_wanted = self.waiting.load(Ordering::SeqCst) > 0;
        self.current().values().for_each(|(cancel, priority)| priority.urge(cancel, is_wanted));
    }

    /// The same for one that may have been parked and is read again.
    fn make_room_for(&self, number: usize) {
        for (_, (cancel, priority)) in self.current().iter().filter(|(other, _)| **other != number) {
            priority.urge(cancel, true);
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
    run: Box<Run>,
    flow: Arc<Flow>,
    priority: Priority,
    bill: Option<Bill>,
}

impl Turn {
    /// Lets it begin, if the budgets allow it.
    fn admit(&mut self, engine: &Engine) -> Result<()> {
        // What nobody wants any more does not begin, and takes nothing.
        let is_wanted = !self.flow.cancel.is_cancelled();
        if let Some(bill) = self.bill.as_mut().filter(|bill| is_wanted && !bill.is_admitted()) {
            self.flow.cancel.count_by(bill.admit(self.run.prompt_tokens(engine)?)?);
        }
        Ok(())
    }
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
        let shared = self.shared.clone();
        let wake = Box::new(move || {
            // With the engine's thread gone nobody waits for it.
            drop(sender.send(Message::Read(number)));
            shared.make_room_for(number);
        });
        let (flow, reader) = Flow::new(number, wake);
        self.sender.send(Message::New(Box::new(Job { asked, flow, priority }))).ok()?;
        self.shared.urge();
        Some(reader)
    }

    /// Has the engine's thread end, and the requests at work with it.
    pub(super) fn stop(&self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        // If it cannot be told it has ended.
        let _ = self.sender.send(Message::Stop);
        self.shared.current().values().for_each(|(cancel, _)| cancel.cancel());
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
                true => self.wait(engine),
                false => self.receiver.try_recv().ok(),
            };
            match message {
                Some(message) => self.take(message),
                None if is_idle => self.is_stopped = true,
                None => {
                    let mut desk = Desk { queue: &mut self, open: HashMap::new() };
                    pollster::block_on(answer_side_by_side(engine, &mut desk));
                }
            }
        }
        // The last answer may have come a moment ago.
        kept::keep(engine, &mut || true);
    }

    /// The next message. Conversations are kept until it comes.
    fn wait(&self, engine: &mut Engine) -> Option<Message> {
        let mut next = None;
        kept::keep(engine, &mut || {
            next = next.take().or_else(|| self.receiver.try_recv().ok());
            next.is_none()
        });
        next.or_else(|| self.receiver.recv().ok())
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Stop => self.is_stopped = true,
            Message::New(job) => {
                let Job { asked: Asked { work, pictures, grammar, bill }, flow, priority } = *job;
                let mut run = Box::new(Run::new(work, pictures));
                if let Some(grammar) = grammar {
                    run.constrain(Rc::new(grammar));
                }
                let queue = if priority == Priority::Batch { &mut self.batched } else { &mut self.waiting };
                queue.push_back(Turn { run, flow, priority, bill });
            }
            Message::Read(number) => {
                if let Some(turn) = self.parked.remove(&number) {
                    self.shared.waiting.fetch_add(1, Ordering::SeqCst);
                    self.waiting.push_back(turn);
                }
            }
        }
    }

    /// The next request that has its turn; one of a batch only if nobody else is answered.
    fn next(&mut self, is_for_people: bool) -> Option<Turn> {
        while let Ok(message) = self.receiver.try_recv() {
            self.take(message);
        }
        if self.is_stopped {
            return None;
        }
        let Some(turn) = self.waiting.pop_front() else {
            return if is_for_people { None } else { self.batched.pop_front() };
        };
        self.shared.waiting.fetch_sub(1, Ordering::SeqCst);
        Some(turn)
    }

    /// Takes a request back that left the engine.
    fn put_back(&mut self, turn: Turn) {
        let (number, cancel) = (turn.flow.number, turn.flow.cancel.clone());
        match turn.priority {
            Priority::Batch => self.batched.push_front(turn),
            // It made room for others.
            Priority::Person if !cancel.is_held() => {
                self.shared.waiting.fetch_add(1, Ordering::SeqCst);
                self.waiting.push_front(turn);
            }
            Priority::Person => {
                self.parked.insert(number, turn);
                // Perhaps it was read, or given up, before it was parked.
                if !cancel.is_held() || cancel.is_cancelled() {
                    self.take(Message::Read(number));
                }
            }
        }
    }
}

/// The requests that have the engine.
struct Desk<'a> {
    queue: &'a mut Queue,
    open: HashMap<usize, (Arc<Flow>, Priority, Option<Bill>)>,
}

impl Requests<Device> for Desk<'_> {
    fn next(&mut self, engine: &mut Engine, _: usize) -> Option<(usize, Box<Run>, RequestControl)> {
        let is_for_people = self.open.values().any(|(_, priority, _)| *priority == Priority::Person);
        let Turn { run, flow, priority, bill } = loop {
            let mut turn = self.queue.next(is_for_people)?;
            match turn.admit(engine) {
                Ok(()) => break turn,
                Err(error) => turn.flow.send(Answer::End(Err(error))),
            }
        };
        let (number, cancel) = (flow.number, flow.cancel.clone());
        self.queue.shared.current().insert(number, (cancel.clone(), priority));
        self.queue.shared.urge();
        self.open.insert(number, (flow, priority, bill));
        Some((number, run, cancel))
    }

    fn send(&mut self, number: usize, output: Output) {
        if let (Output::Frame(frame), Some((flow, ..))) = (output, self.open.get(&number)) {
            flow.send(Answer::Frame(frame.text()));
        }
    }

    fn done(&mut self, number: usize, run: Box<Run>, outcome: Result<Option<String>>) {
        self.queue.shared.current().remove(&number);
        let Some((flow, priority, bill)) = self.open.remove(&number) else { return };
        match outcome {
            Ok(Some(body)) => {
                bill.into_iter().for_each(|bill| bill.close(&body));
                flow.send(Answer::End(Ok(body)));
            }
            Ok(None) => self.queue.put_back(Turn { run, flow, priority, bill }),
            Err(error) => flow.send(Answer::End(Err(error))),
        }
    }
}
