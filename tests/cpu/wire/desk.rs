//! Submits requests to a scheduler at chosen steps and records the output for their clients.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use ocelli::Result;
use ocelli::api::{Client, Frame, Inbox, Output, Priority, Run, Scheduler, Submission};
use ocelli::engine::{Event, Meter, RequestControl};

use crate::generation::FakeEngine;

/// Requests that arrive at given steps of the scheduler.
#[derive(Default)]
pub(super) struct Desk {
    arriving: Vec<(usize, Submission<'static>)>,
    /// Steps so far: calls of `next` without a request.
    pub(super) steps: Rc<Cell<usize>>,
    /// Step before which the scheduler stops.
    pub(super) stop_at: Option<usize>,
}

/// Output that a client has received.
#[derive(Default)]
pub(super) struct Received {
    pub(super) control: RequestControl,
    pub(super) frames: Vec<Frame>,
    /// Steps at which the frames were received.
    pub(super) heard_at: Vec<usize>,
    pub(super) events: Vec<Event>,
    pub(super) outcome: Option<Result<String>>,
    unread: usize,
    /// True for a client that reads only in `read_all`.
    pub(super) is_slow: bool,
    steps: Rc<Cell<usize>>,
    /// Steps at which the request began and ended.
    pub(super) begun_at: Option<usize>,
    pub(super) ended_at: Option<usize>,
}

impl Received {
    /// Reads all frames; returns whether the request was paused.
    pub(super) fn read_all(&mut self) -> bool {
        (0..std::mem::take(&mut self.unread)).fold(false, |paused, _| self.control.frame_read() | paused)
    }
}

#[derive(Clone, Default)]
pub(super) struct Heard(Rc<RefCell<Received>>);

impl Deref for Heard {
    type Target = RefCell<Received>;

    fn deref(&self) -> &RefCell<Received> {
        &self.0
    }
}

impl Client for Heard {
    fn admit(&mut self, _: usize) -> Result<Vec<Arc<Meter>>> {
        let mut received = self.0.borrow_mut();
        let now = received.steps.get();
        assert!(received.begun_at.replace(now).is_none(), "it begins twice");
        Ok(Vec::new())
    }

    fn send(&mut self, output: Output) {
        let mut received = self.0.borrow_mut();
        match output {
            Output::Frame(frame) => {
                let now = received.steps.get();
                received.frames.push(frame);
                received.heard_at.push(now);
                received.unread += 1;
                if !received.is_slow {
                    received.read_all();
                }
            }
            Output::Event(event) => received.events.push(event),
        }
    }

    fn end(self: Box<Self>, outcome: Result<String>) {
        let mut received = self.0.borrow_mut();
        assert!(received.outcome.is_none(), "it ends twice");
        received.ended_at = Some(received.steps.get());
        received.outcome = Some(outcome);
    }
}

impl Desk {
    /// Submits a request that arrives at step `at`.
    pub(super) fn submit(&mut self, run: Box<Run>, priority: Priority, client: &Heard, at: usize) {
        client.borrow_mut().steps = self.steps.clone();
        let control = client.borrow().control.clone();
        self.arriving.push((at, Submission { run, priority, control, client: Box::new(client.clone()) }));
    }
}

/// Runs the scheduler until all requests have ended; slow clients read when nothing more can be computed. Returns the number of pauses.
pub(super) fn run_to_the_end(engine: &mut FakeEngine, desk: Desk, clients: &[Heard]) -> usize {
    let (mut scheduler, mut pauses) = (Scheduler::new(desk), 0);
    while clients.iter().any(|client| client.borrow().ended_at.is_none()) {
        pollster::block_on(scheduler.run(engine));
        pauses += clients.iter().filter(|client| client.borrow_mut().read_all()).count();
    }
    assert!(scheduler.is_empty());
    pauses
}

impl Inbox<'static> for Desk {
    fn next(&mut self, open: usize) -> Option<Submission<'static>> {
        let now = self.steps.get();
        let due = self.arriving.iter().position(|(at, _)| *at <= now || open == 0);
        if let Some(index) = due {
            return Some(self.arriving.remove(index).1);
        }
        self.steps.set(now + 1);
        None
    }

    fn is_paused(&self) -> bool {
        self.stop_at.is_some_and(|stop_at| self.steps.get() >= stop_at)
    }
}
