//! A running request: all answers to all prompts.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::format::Wanted;
use super::service::Work;
use super::wire::{Frame, Logprob};
use crate::chat::Tokenizer;
use crate::engine::{AnswerOptions, Answering, Completion, Encoded, Encoder, Event, Picture, RequestControl};
use crate::error::{Error, Result};
use crate::grammar::Grammar;
use crate::sampling::SamplingOptions;

/// Output of a running request.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A part of a streamed answer.
    Frame(Frame),
    /// An event outside the answer, such as progress; never text or tokens.
    Event(Event),
}

/// A running request.
#[derive(Debug)]
pub struct Run {
    work: Box<Work>,
    pictures: Vec<Picture>,
    /// Encoded prompts; empty until the first use.
    encoded: Vec<Rc<Encoded>>,
    /// Grammar of the required format.
    grammar: Option<Rc<dyn Grammar>>,
    /// Answers that have begun but are not in the batch.
    begun: BTreeMap<usize, Answering>,
    done: BTreeMap<usize, Completion>,
}

impl Run {
    /// Creates a request from work and its pictures.
    pub fn new(work: Box<Work>, pictures: Vec<Picture>) -> Self {
        Self { work, pictures, encoded: Vec::new(), grammar: None, begun: BTreeMap::new(), done: BTreeMap::new() }
    }

    /// Creates a request of work whose prompts have been [read](Work::encode).
    pub fn with_prompts(work: Box<Work>, prompts: Vec<Encoded>) -> Self {
        Self { encoded: prompts.into_iter().map(Rc::new).collect(), ..Self::new(work, Vec::new()) }
    }

    /// The format that answers must have.
    pub fn format(&self) -> Option<&Wanted> {
        self.work.format.as_ref()
    }

    /// Sets the grammar of [`Self::format`].
    pub fn constrain(&mut self, grammar: Rc<dyn Grammar>) {
        self.grammar = Some(grammar);
    }

    /// Reads the prompts, unless they have been read, and returns the number of their tokens.
    ///
    /// # Errors
    /// The errors of [`Work::encode`].
    pub fn prompt_tokens(&mut self, encoder: &Encoder, control: &RequestControl) -> Result<usize> {
        if self.format().is_some() && self.grammar.is_none() {
            return Err(Error::Internal { detail: "a format without its grammar".into() });
        }
        if self.encoded.is_empty() {
            let encoded = self.work.encode(encoder, &self.pictures, control)?;
            self.encoded = encoded.into_iter().map(Rc::new).collect();
            // The prompts have the pictures at their size.
            self.pictures = Vec::new();
        }
        Ok(self.encoded.iter().map(|prompt| prompt.ids().len()).sum())
    }

    pub(super) fn encoded(&self, index: usize) -> &Encoded {
        &self.encoded[index / self.work.n.max(1)]
    }

    /// Returns whether the answer `index` can share steps with others.
    pub(super) fn can_share(&self, index: usize) -> bool {
        let Work { format, options, .. } = &*self.work;
        self.begun.get(&index).map_or_else(|| options.can_share(format.is_some()), Answering::can_share)
    }

    /// The body, once all answers are complete.
    pub(super) fn end(&mut self, tokenizer: &Arc<Tokenizer>, send: &mut dyn FnMut(Output)) -> String {
        let done: Vec<Completion> = std::mem::take(&mut self.done).into_values().collect();
        let (frames, body) = self.work.wire.end(&self.encoded, &done, self.work.n, tokenizer);
        self.send(frames, send);
        body
    }

    /// Index of the next answer to begin or resume. A stream has one answer at a time, because its client reads them one after another.
    pub(super) fn next(&self, under_way: &[usize]) -> Option<usize> {
        if self.work.stream && !under_way.is_empty() {
            return None;
        }
        let is_open = |index: &usize| !self.done.contains_key(index) && !under_way.contains(index);
        (0..self.encoded.len() * self.work.n).find(is_open)
    }

    /// Takes back an answer that is complete or has left the batch.
    pub(super) fn take_back(
        &mut self,
        index: usize,
        (answering, is_complete): (Answering, bool),
        send: &mut dyn FnMut(Output),
    ) {
        if is_complete {
            let completion = answering.completion().clone();
            let frames = self.work.wire.close(index, &completion);
            self.send(frames, send);
            self.done.insert(index, completion);
        } else {
            self.begun.insert(index, answering);
        }
    }

    /// The answer `index`, counted over all prompts, new or parked. Answers to the same prompt have different seeds.
    pub(super) fn begin(&mut self, index: usize, send: &mut dyn FnMut(Output)) -> Answering {
        if let Some(begun) = self.begun.remove(&index) {
            return begun;
        }
        let prompt_tokens = self.encoded(index).ids().len();
        let frames = self.work.wire.open(index, prompt_tokens);
        self.send(frames, send);
        let Work { options, n, .. } = &*self.work;
        let seed = options.sampling.seed.wrapping_add((index % n) as u64);
        let sampling = SamplingOptions { seed, ..options.sampling.clone() };
        let options = AnswerOptions { sampling, ..options.clone() };
        Answering::new(self.encoded[index / n].clone(), options, self.grammar.clone())
    }

    pub(super) fn on_event(
        &mut self,
        (index, event): (usize, Event),
        tokenizer: &Arc<Tokenizer>,
        send: &mut dyn FnMut(Output),
    ) {
        match event {
            Event::Token(token) => self.work.wire.token(Logprob::new(&token, tokenizer)),
            Event::Reasoning(text) => {
                let frames = self.work.wire.reasoning(index, text);
                self.send(frames, send);
            }
            Event::Text(text) => {
                let frames = self.work.wire.text(index, text);
                self.send(frames, send);
            }
            Event::Call { index: call, part } => {
                let frames = self.work.wire.call((index, call), part);
                self.send(frames, send);
            }
            other => send(Output::Event(other)),
        }
    }

    fn send(&self, frames: Vec<Frame>, send: &mut dyn FnMut(Output)) {
        if self.work.stream {
            frames.into_iter().for_each(|frame| send(Output::Frame(frame)));
        }
    }
}
