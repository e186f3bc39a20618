//! Work, carried out: every answer to every prompt, several at once where nobody listens to them. What they share is computed once.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::format::Wanted;
use super::service::Work;
use super::tools::Calling;
use super::wire::{Frame, Logprob};
use crate::chat::Tokenizer;
use crate::engine::Answers;
use crate::engine::{Answering, Backend, Completion, Encoded, Engine, Event, Picture, RequestControl};
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
    /// Answers that have begun and left the engine.
    begun: BTreeMap<usize, Answering>,
    done: BTreeMap<usize, Completion>,
}

impl Run {
    /// Work with the pictures that it names.
    pub fn new(work: Box<Work>, pictures: Vec<Picture>) -> Self {
        Self { work, pictures, encoded: Vec::new(), grammar: None, begun: BTreeMap::new(), done: BTreeMap::new() }
    }

    /// The format that answers must have.
    pub fn format(&self) -> Option<&Wanted> {
        self.work.format.as_ref()
    }

    /// Hands over the grammar of that format.
    pub fn constrain(&mut self, grammar: Rc<dyn Grammar>) {
        self.grammar = Some(grammar);
    }

    /// Has the prompts be read, if they are not, and says how many tokens they have. Nothing is computed.
    ///
    /// # Errors
    /// As [`Engine::encode`].
    pub fn prompt_tokens<B: Backend>(&mut self, engine: &Engine<B>) -> Result<usize> {
        self.open(engine)?;
        Ok(self.encoded.iter().map(|prompt| prompt.ids().len()).sum())
    }

    /// Begins, or goes on. Returns the body of the answer as soon as it is complete, of a stream too; nothing where it left the engine to
    /// others because it was held, as [`Engine::resume`] says.
    ///
    /// # Errors
    /// As [`Engine::generate`].
    pub async fn resume<B: Backend>(
        &mut self,
        engine: &mut Engine<B>,
        control: &RequestControl,
        send: &mut dyn FnMut(Output),
    ) -> Result<Option<String>> {
        control.check()?;
        self.open(engine)?;
        let tokenizer = engine.tokenizer().clone();
        let is_complete = self.answer((engine, &tokenizer), control, send).await?;
        Ok(is_complete.then(|| self.end(&tokenizer, send)))
    }

    /// As many answers at once as the engine can; whether all are complete.
    async fn answer<B: Backend>(
        &mut self,
        (engine, tokenizer): (&mut Engine<B>, &Arc<Tokenizer>),
        control: &RequestControl,
        send: &mut dyn FnMut(Output),
    ) -> Result<bool> {
        let mut one = One { run: self, control, tokenizer, send, under_way: Vec::new(), outcome: Ok(true) };
        engine.answer_together(&mut one).await;
        one.outcome
    }

    /// Has the prompts be read, the first time. Fails as [`Engine::encode`].
    pub(super) fn open<B: Backend>(&mut self, engine: &Engine<B>) -> Result<()> {
        if self.format().is_some() && self.grammar.is_none() {
            return Err(Error::Internal { detail: "a format without its grammar".into() });
        }
        if self.encoded.is_empty() {
            for prompt in &self.work.prompts {
                let encoded = match self.work.truncates {
                    true => engine.encode_cut(prompt, &self.pictures, self.work.max_tokens)?,
                    false => engine.encode(prompt, &self.pictures)?,
                };
                self.encoded.push(Rc::new(encoded));
            }
            // They are as large as their files, or larger.
            self.pictures = Vec::new();
        }
        Ok(())
    }

    /// The body, once all answers are complete.
    pub(super) fn end(&mut self, tokenizer: &Arc<Tokenizer>, send: &mut dyn FnMut(Output)) -> String {
        let done: Vec<Completion> = std::mem::take(&mut self.done).into_values().collect();
        let (frames, body) = self.work.wire.end(&self.encoded, &done, self.work.n, tokenizer);
        self.send(frames, send);
        body
    }

    /// The next answer to begin, or to go on with, beside those `under_way`. Of a stream there is one at a time: its reader hears one answer
    /// after the other.
    pub(super) fn next(&self, under_way: &[usize]) -> Option<usize> {
        if self.work.stream && !under_way.is_empty() {
            return None;
        }
        let is_open = |index: &usize| !self.done.contains_key(index) && !under_way.contains(index);
        (0..self.encoded.len() * self.work.n).find(is_open)
    }

    /// Takes back an answer that is complete, or that left the engine.
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

    /// The answer `index`, counted over all prompts, or what it was when it left the engine. Each has a seed of its own.
    pub(super) fn begin(&mut self, index: usize, send: &mut dyn FnMut(Output)) -> Answering {
        if let Some(begun) = self.begun.remove(&index) {
            return begun;
        }
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

    /// What happens to the answer `index`.
    pub(super) fn hear(
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

/// The answers of one request, as the engine takes them.
struct One<'a> {
    run: &'a mut Run,
    control: &'a RequestControl,
    tokenizer: &'a Arc<Tokenizer>,
    send: &'a mut dyn FnMut(Output),
    under_way: Vec<usize>,
    /// Whether all that have ended so far are complete.
    outcome: Result<bool>,
}

impl<B: Backend> Answers<B> for One<'_> {
    fn next(&mut self, _: &mut Engine<B>, _: usize) -> Option<(usize, Answering, RequestControl)> {
        let index = self.run.next(&self.under_way).filter(|_| self.outcome == Ok(true))?;
        self.under_way.push(index);
        Some((index, self.run.begin(index, self.send), self.control.clone()))
    }

    fn hear(&mut self, number: usize, event: Event) {
        self.run.hear((number, event), self.tokenizer, self.send);
    }

    fn done(&mut self, number: usize, answering: Answering, outcome: Result<bool>) {
        self.under_way.retain(|index| *index != number);
        match outcome {
            Ok(is_complete) => {
                self.run.take_back(number, (answering, is_complete), self.send);
                self.outcome = self.outcome.clone().map(|complete| complete && is_complete);
            }
            Err(error) => self.outcome = Err(error),
        }
    }
}
