//! Work, carried out: every answer to every prompt, one after another. What later answers share with earlier ones is not computed again.

use std::rc::Rc;
use std::sync::Arc;

use super::format::Wanted;
use super::service::Work;
use super::tools::Calling;
use super::wire::{Frame, Logprob};
use crate::chat::Tokenizer;
use crate::engine::{Answering, Backend, Cancel, Completion, Encoded, Engine, Event, Picture};
use crate::error::{Error, Result};
use crate::grammar::Grammar;
use crate::sampling::SamplingOptions;

/// What comes while work is carried out.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// More of a streamed answer.
    Frame(Frame),
    /// Something that is not part of the answer; never text or tokens.
    Event(Event),
}

/// Work under way.
#[derive(Debug)]
pub struct Run {
    work: Box<Work>,
    pictures: Vec<Picture>,
    /// The prompts, from the first time on that the engine had it.
    encoded: Vec<Rc<Encoded>>,
    /// What answers must be.
    grammar: Option<Rc<dyn Grammar>>,
    current: Option<Answering>,
    done: Vec<Completion>,
}

impl Run {
    /// Work with the pictures that it names.
    pub fn new(work: Box<Work>, pictures: Vec<Picture>) -> Self {
        Self { work, pictures, encoded: Vec::new(), grammar: None, current: None, done: Vec::new() }
    }

    /// The format that answers must have.
    pub fn format(&self) -> Option<&Wanted> {
        self.work.format.as_ref()
    }

    /// Hands over the grammar of that format.
    pub fn hold_to(&mut self, grammar: Rc<dyn Grammar>) {
        self.grammar = Some(grammar);
    }

    /// Begins, or goes on. Returns the body of the answer as soon as it is complete, of a stream too; nothing where it left the engine to
    /// others because it was held, as [`Engine::go_on`] says.
    ///
    /// # Errors
    /// As [`Engine::generate`].
    pub async fn go_on<B: Backend>(
        &mut self,
        engine: &mut Engine<B>,
        cancel: &Cancel,
        send: &mut dyn FnMut(Output),
    ) -> Result<Option<String>> {
        let tokenizer = engine.tokenizer().clone();
        if self.format().is_some() && self.grammar.is_none() {
            return Err(Error::Internal { detail: "a format without its grammar".into() });
        }
        if self.encoded.is_empty() {
            cancel.check()?;
            self.encode(engine)?;
        }
        while self.done.len() < self.encoded.len() * self.work.n {
            let index = self.done.len();
            let mut answering = match self.current.take() {
                Some(answering) => answering,
                None => self.begin(index, send),
            };
            let mut listen = |event| self.hear((index, event), &tokenizer, send);
            if !engine.go_on(&mut answering, cancel, &mut listen).await? {
                self.current = Some(answering);
                return Ok(None);
            }
            let completion = answering.completion().clone();
            let frames = self.work.wire.close(index, &completion);
            self.send(frames, send);
            self.done.push(completion);
        }
        let (frames, body) = self.work.wire.end(&self.encoded, &self.done, self.work.n, &tokenizer);
        self.send(frames, send);
        Ok(Some(body))
    }

    fn encode<B: Backend>(&mut self, engine: &Engine<B>) -> Result<()> {
        for prompt in &self.work.prompts {
            self.encoded.push(Rc::new(engine.encode(prompt, &self.pictures)?));
        }
        // They are as large as their files, or larger.
        self.pictures = Vec::new();
        Ok(())
    }

    /// The answer `index`, counted over all prompts. Each has a seed of its own.
    fn begin(&mut self, index: usize, send: &mut dyn FnMut(Output)) -> Answering {
        let frames = self.work.wire.open(index);
        self.send(frames, send);
        let Work { sampling, max_tokens, stop, n, calls, thoughts, .. } = &*self.work;
        let seed = sampling.seed.wrapping_add((index % n) as u64);
        let sampling = SamplingOptions { seed, ..sampling.clone() };
        let answering = Answering::new(self.encoded[index / n].clone(), sampling, *max_tokens, stop.clone());
        let grammar = self.grammar.clone();
        let answering = match calls {
            None => answering.within(grammar),
            Some(Calling { syntax, forms, at_once: true }) => {
                answering.within(grammar).calling(syntax, forms.clone(), None)
            }
            Some(Calling { syntax, forms, at_once: false }) => answering.calling(syntax, forms.clone(), grammar),
        };
        match thoughts {
            Some((syntax, budget)) => answering.thinking(syntax.clone(), *budget),
            None => answering,
        }
    }

    fn hear(&mut self, (index, event): (usize, Event), tokenizer: &Arc<Tokenizer>, send: &mut dyn FnMut(Output)) {
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
