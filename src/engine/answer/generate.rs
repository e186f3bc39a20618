//! One answer to one request, without a scheduler.

use std::rc::Rc;

use super::answering::Answering;
use super::batch::{Batch, Departure};
use super::options::{AnswerOptions, ThoughtOptions};
use crate::engine::control::RequestControl;
use crate::engine::device::backend::Backend;
use crate::engine::events::{Completion, Event};
use crate::engine::prompt::{Picture, Prompt, Reading, Scope};
use crate::engine::{Engine, Request};
use crate::error::Result;

impl<B: Backend> Engine<B> {
    /// Answers a request. The engine remains usable after every error. After a device loss the device is reopened and the answer resumes.
    ///
    /// # Errors
    /// [`crate::Error::InvalidRequest`], [`crate::Error::InvalidImage`], [`crate::Error::ImageTooLarge`],
    /// [`crate::Error::ContextOverflow`], [`crate::Error::Aborted`], [`crate::Error::DeviceLost`] after repeated losses, or other errors of
    /// the device.
    pub async fn generate(
        &mut self,
        request: &Request,
        control: &RequestControl,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Completion> {
        self.generate_thinking(request, None, control, on_event).await
    }

    /// Answers a request whose prompt ends with the beginning of reasoning, if there are `thoughts`.
    ///
    /// # Errors
    /// The errors of [`Self::generate`].
    pub async fn generate_thinking(
        &mut self,
        request: &Request,
        thoughts: Option<ThoughtOptions>,
        control: &RequestControl,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Completion> {
        request.sampling.validate()?;
        let reading = Reading { control, scope: Scope::SHARED };
        let encoded = self.encoder.encode(&request.prompt, &request.pictures, reading)?;
        let Request { sampling, max_tokens, stop, grammar, .. } = request;
        let (sampling, stop) = (sampling.clone(), stop.clone());
        let options = AnswerOptions { sampling, max_tokens: *max_tokens, stop, thoughts, ..AnswerOptions::default() };
        self.answer_alone(Answering::new(Rc::new(encoded), options, grammar.clone()), control, on_event).await
    }

    /// Computes the last hidden state of a prompt, after the final norm. `// [hidden]`
    ///
    /// # Errors
    /// Errors of [`Self::generate`].
    pub async fn hidden_state(
        &mut self,
        prompt: &Prompt,
        pictures: &[Picture],
        control: &RequestControl,
    ) -> Result<Vec<f32>> {
        let encoded = self.encoder.encode(prompt, pictures, Reading { control, scope: Scope::SHARED })?;
        let options = AnswerOptions { embeds: true, ..AnswerOptions::default() };
        let answering = Answering::new(Rc::new(encoded), options, None);
        Ok(self.answer_alone(answering, control, &mut |_| ()).await?.hidden)
    }

    async fn answer_alone(
        &mut self,
        answering: Answering,
        control: &RequestControl,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Completion> {
        let mut batch = Batch::default();
        let mut tell = |_, event| on_event(event);
        self.add(&mut batch, 0, answering, control.clone(), &mut tell).await?;
        loop {
            if let Some(Departure { answering, outcome, .. }) = self.step(&mut batch, true, &mut tell).await.pop() {
                return outcome.map(|_| answering.answer);
            }
        }
    }
}
