//! Text completions and their chunks, which have the same shape.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Frame, Head, Usage};
use super::{Logprob, Token};
use crate::chat::Tokenizer;
use crate::engine::{Completion, FinishReason};

#[derive(Serialize)]
struct Answer<'a, U> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<U>,
}

#[derive(Serialize)]
struct Choice {
    text: String,
    index: usize,
    logprobs: Option<Logprobs>,
    finish_reason: Option<FinishReason>,
}

/// Parallel lists, one entry per token.
#[derive(Default, Serialize)]
struct Logprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<f32>,
    top_logprobs: Vec<Map<String, Value>>,
    text_offset: Vec<usize>,
}

impl Logprobs {
    /// Returns `None` if there are no log probabilities. Advances `offset`, the number of characters so far.
    fn of(tokens: Vec<Logprob>, offset: &mut usize) -> Option<Self> {
        let mut lists = Self::default();
        for Logprob { chosen: Token { token, logprob, .. }, top_logprobs } in tokens {
            lists.text_offset.push(*offset);
            *offset += token.chars().count();
            lists.tokens.push(token);
            lists.token_logprobs.push(logprob);
            lists.top_logprobs.push(top_logprobs.into_iter().map(|top| (top.token, top.logprob.into())).collect());
        }
        (!lists.tokens.is_empty()).then_some(lists)
    }
}

/// Writes text completions.
#[derive(Debug)]
pub struct TextWire {
    head: Head,
    /// Tokens whose text has not been sent yet.
    pub(super) waiting: Vec<Logprob>,
    /// Characters of the tokens so far.
    offset: usize,
}

impl TextWire {
    /// Creates the writer for the answers to one request.
    pub fn new(head: Head) -> Self {
        Self { head, waiting: Vec::new(), offset: 0 }
    }

    pub(super) fn text(&mut self, index: usize, text: String) -> Frame {
        self.chunk(index, text, None)
    }

    /// Chunk with the finish reason.
    pub(super) fn closing(&mut self, index: usize, finish_reason: FinishReason) -> Frame {
        let frame = self.chunk(index, String::new(), Some(finish_reason));
        self.offset = 0;
        frame
    }

    /// Last frames, with the token counts if requested, and the whole reply.
    pub(super) fn end(&self, answers: &[Completion], usage: Usage, tokenizer: &Tokenizer) -> (Vec<Frame>, String) {
        let mut frames = Vec::new();
        if self.head.include_usage {
            frames.push(Frame::of(&self.answer(Vec::new(), Some(&usage))));
        }
        frames.push(Frame::done());
        let choice = |(index, answer): (usize, &Completion)| Choice {
            text: answer.text.clone(),
            index,
            logprobs: Logprobs::of(Logprob::of_all(&answer.logprobs, tokenizer), &mut 0),
            finish_reason: Some(answer.finish_reason),
        };
        let choices = answers.iter().enumerate().map(choice).collect();
        (frames, Frame::of(&self.answer(choices, Some(&usage))).data)
    }

    fn chunk(&mut self, index: usize, text: String, finish_reason: Option<FinishReason>) -> Frame {
        let logprobs = Logprobs::of(std::mem::take(&mut self.waiting), &mut self.offset);
        let usage: Option<Option<Usage>> = self.head.include_usage.then_some(None);
        Frame::of(&self.answer(vec![Choice { text, index, logprobs, finish_reason }], usage))
    }

    fn answer<U>(&self, choices: Vec<Choice>, usage: Option<U>) -> Answer<'_, U> {
        let Head { id, created, model, .. } = &self.head;
        Answer { id, object: "text_completion", created: *created, model, choices, usage }
    }
}
