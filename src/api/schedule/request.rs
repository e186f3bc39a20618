//! A request in the scheduler.

use std::sync::Arc;

use super::fairness::Share;
use super::{Client, Priority, Submission};
use crate::api::run::{Output, Run};
use crate::chat::Tokenizer;
use crate::engine::{Answering, Backend, Engine, Event, RequestControl};
use crate::error::Result;

pub(super) struct OpenRequest<'a> {
    pub(super) run: Box<Run>,
    pub(super) priority: Priority,
    pub(super) control: RequestControl,
    pub(super) client: Box<dyn Client + 'a>,
    pub(super) share: Share,
    /// Its answers in the batch, by index.
    active: Vec<usize>,
    has_begun: bool,
}

impl<'a> OpenRequest<'a> {
    pub(super) fn new(submission: Submission<'a>, now: u64) -> Self {
        let Submission { run, priority, control, client } = submission;
        Self { run, priority, control, client, share: Share::new(now), active: Vec::new(), has_begun: false }
    }

    /// Encodes the prompts and admits the request, on the first call.
    pub(super) fn begin<B: Backend>(&mut self, engine: &Engine<B>) -> Result<()> {
        if !self.has_begun {
            let prompt_tokens = self.run.prompt_tokens(engine.encoder(), &self.control)?;
            self.control.count_by(self.client.admit(prompt_tokens)?);
            self.has_begun = true;
        }
        Ok(())
    }

    /// Returns whether an answer outside the batch can be computed.
    pub(super) fn waits(&self) -> bool {
        !self.control.is_paused() && (!self.has_begun || self.next_answer().is_some())
    }

    /// Returns whether it has begun, and none of its answers has been in the batch since a step before `now`.
    pub(super) fn is_interrupted(&self, now: u64) -> bool {
        self.has_begun && self.active.is_empty() && self.share.served_at < now
    }

    pub(super) fn next_answer(&self) -> Option<usize> {
        self.run.next(&self.active)
    }

    /// Returns whether its next answer can share steps with others.
    pub(super) fn can_share(&self) -> bool {
        self.run.can_share(self.next_answer().unwrap_or_default())
    }

    pub(super) fn rank(&self, now: u64) -> (Priority, i64) {
        (self.priority, self.share.rank(now))
    }

    /// Begins or resumes an answer.
    pub(super) fn begin_answer(&mut self, index: usize) -> Answering {
        let Self { run, control, client, active, .. } = self;
        active.push(index);
        run.begin(index, &mut |output| deliver(control, &mut **client, output))
    }

    pub(super) fn take_back(&mut self, index: usize, answering: Answering, is_complete: bool) {
        let Self { run, control, client, active, .. } = self;
        active.retain(|other| *other != index);
        run.take_back(index, (answering, is_complete), &mut |output| deliver(control, &mut **client, output));
    }

    pub(super) fn is_complete(&self) -> bool {
        self.has_begun && self.active.is_empty() && self.next_answer().is_none()
    }

    pub(super) fn on_event(&mut self, index: usize, event: Event, tokenizer: &Arc<Tokenizer>) {
        let Self { run, control, client, .. } = self;
        run.on_event((index, event), tokenizer, &mut |output| deliver(control, &mut **client, output));
    }

    pub(super) fn end(self, tokenizer: &Arc<Tokenizer>) {
        let Self { mut run, control, mut client, .. } = self;
        let body = run.end(tokenizer, &mut |output| deliver(&control, &mut *client, output));
        client.end(Ok(body));
    }
}

/// Sends output to a client and counts frames that it has not read.
fn deliver(control: &RequestControl, client: &mut dyn Client, output: Output) {
    if matches!(output, Output::Frame(_)) {
        control.frame_sent();
    }
    client.send(output);
}
