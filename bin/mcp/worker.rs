//! The thread of an engine that is opened for the first question, and released when no question comes for a while.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use ocelli::api::{Client, Inbox, Opened, Output, Priority, Run, Scheduler, Service, Submission};
use ocelli::engine::{Encoder, Engine, Event, Picture, RequestControl, Stage};
use ocelli::{Error, Result};
use rmcp::model::Extensions;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::question::{Model, Question, Step};
use crate::shared::api::{self, NameArgs};
use crate::shared::formats::Formats;
use crate::shared::io;
use crate::shared::models::PackagePath;

/// Opens the engine.
pub(super) type Opening = Box<dyn Fn() -> Result<Engine> + Send>;

/// A question on its way to the engine's thread.
struct Asked {
    question: Question,
    pictures: Vec<Picture>,
    control: RequestControl,
    steps: UnboundedSender<Step>,
}

/// The other threads' side of the engine.
#[derive(Clone)]
pub(super) struct Worker {
    sender: Sender<Box<Asked>>,
}

impl Worker {
    /// Starts the thread. `idle` is the time without questions after which the engine is released.
    pub(super) fn start(open: Opening, package: PackagePath, idle: Duration) -> Self {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            while let Ok(first) = receiver.recv() {
                io::inform("opening the model");
                match open() {
                    Ok(mut engine) => work(&mut engine, &package, (&receiver, first), idle),
                    // Others may wait too; each tries to open it again.
                    Err(error) => drop(first.steps.send(Step::End(Err(error)))),
                }
            }
        });
        Self { sender }
    }
}

impl Model for Worker {
    fn ask(&self, question: Question, control: RequestControl, _: &Extensions) -> Result<UnboundedReceiver<Step>> {
        let ((steps, receiver), sender) = (unbounded_channel(), self.sender.clone());
        // Away from the threads of connections and of the engine.
        tokio::task::spawn_blocking(move || match question.read() {
            // Without its thread the steps end too.
            Ok(pictures) => drop(sender.send(Box::new(Asked { question, pictures, control, steps }))),
            Err(error) => drop(steps.send(Step::End(Err(error)))),
        });
        Ok(receiver)
    }
}

/// Answers until no question comes for a while. After a panic the engine is released, too.
fn work(
    engine: &mut Engine,
    package: &PackagePath,
    (receiver, first): (&Receiver<Box<Asked>>, Box<Asked>),
    idle: Duration,
) {
    let service = NameArgs::default().service(engine, package);
    let (encoder, formats) = (engine.encoder().clone(), Formats::new(engine));
    let mut scheduler = Scheduler::new(Questions { receiver, first: Some(first), service, encoder, formats });
    loop {
        let run = catch_unwind(AssertUnwindSafe(|| pollster::block_on(scheduler.run(engine))));
        if run.is_err() {
            return;
        }
        match receiver.recv_timeout(idle) {
            Ok(next) => scheduler.inbox().first = Some(next),
            Err(RecvTimeoutError::Timeout) => {
                io::inform("the model is released until the next question");
                return;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Questions for the scheduler.
struct Questions<'a> {
    receiver: &'a Receiver<Box<Asked>>,
    first: Option<Box<Asked>>,
    service: Service,
    encoder: Arc<Encoder>,
    formats: Formats,
}

impl Questions<'_> {
    fn run(&self, Asked { question, pictures, control, .. }: &Asked) -> Result<Box<Run>> {
        let body = question.body(&self.service.defaults);
        let opened = self.service.open(("POST", "/v1/chat/completions"), &body, api::stamp())?;
        let Opened::Work(work) = opened else {
            return Err(Error::Internal { detail: "a chat without work".into() });
        };
        let prompts = work.encode(&self.encoder, pictures, control)?;
        let grammar = self.formats.grammar(&work)?;
        let mut run = Box::new(Run::with_prompts(work, prompts));
        if let Some(grammar) = grammar {
            run.constrain(Rc::new(grammar));
        }
        Ok(run)
    }
}

impl Inbox<'static> for Questions<'_> {
    fn next(&mut self, _: usize) -> Option<Submission<'static>> {
        loop {
            let asked = self.first.take().or_else(|| self.receiver.try_recv().ok())?;
            let run = self.run(&asked);
            let Asked { control, steps, .. } = *asked;
            match run {
                Ok(run) => {
                    let client = Box::new(Asker { steps, control: control.clone() });
                    return Some(Submission { run, priority: Priority::Person, control, client });
                }
                Err(error) => drop(steps.send(Step::End(Err(error)))),
            }
        }
    }
}

/// Sends the progress of a question to the thread that asked it.
struct Asker {
    steps: UnboundedSender<Step>,
    control: RequestControl,
}

impl Client for Asker {
    fn send(&mut self, output: Output) {
        // Without a receiver the request is cancelled already.
        match output {
            Output::Frame(_) => {
                drop(self.steps.send(Step::Part));
                // Nothing of a frame is kept.
                self.control.frame_read();
            }
            Output::Event(Event::Progress { stage, done, total }) => {
                let stage = match stage {
                    Stage::Vision => "looking at the picture",
                    Stage::Prefill => "reading the prompt",
                };
                drop(self.steps.send(Step::Note(format!("{stage}: {done} of {total}"))));
            }
            Output::Event(event) => io::tell(&event),
        }
    }

    fn end(self: Box<Self>, outcome: Result<String>) {
        drop(self.steps.send(Step::End(outcome)));
    }
}
