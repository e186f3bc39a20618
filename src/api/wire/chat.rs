//! Chat completions and their chunks.

use serde::Serialize;

use super::logprobs::Logprob;
use super::{Frame, Head, Usage};
use crate::chat::{CallPart, Tokenizer};
use crate::engine::{Completion, FinishReason};

/// A completion or a chunk of one, with the fields in the API's order.
#[derive(Serialize)]
struct Answer<'a, C, U> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<C>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<U>,
}

#[derive(Serialize)]
struct Choice {
    index: usize,
    message: Message,
    logprobs: Option<Content>,
    finish_reason: FinishReason,
}

#[derive(Serialize)]
struct Message {
    role: &'static str,
    /// Absent if there are only calls.
    content: Option<String>,
    /// Reasoning; not in OpenAI's API, but in many compatible ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    refusal: (),
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
}

#[derive(Serialize)]
struct ChunkChoice {
    index: usize,
    delta: Delta,
    logprobs: Option<Content>,
    finish_reason: Option<FinishReason>,
}

#[derive(Default, Serialize)]
struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
}

/// A call or a part of one.
#[derive(Serialize)]
struct Call {
    /// Index of the call in the answer; only in chunks.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: Function,
}

#[derive(Serialize)]
struct Function {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    arguments: String,
}

#[derive(Serialize)]
struct Content {
    content: Vec<Logprob>,
    refusal: (),
}

impl Content {
    fn of(tokens: Vec<Logprob>) -> Option<Self> {
        (!tokens.is_empty()).then_some(Self { content: tokens, refusal: () })
    }
}

/// Writes chat completions.
#[derive(Debug)]
pub struct ChatWire {
    head: Head,
    /// Tokens whose text has not been sent yet.
    pub(super) waiting: Vec<Logprob>,
}

impl ChatWire {
    /// Creates the writer for the answers to one request.
    pub fn new(head: Head) -> Self {
        Self { head, waiting: Vec::new() }
    }

    /// First chunk of an answer, with the role.
    pub(super) fn opening(&mut self, index: usize) -> Frame {
        self.chunk(index, Delta { role: Some("assistant"), content: Some(String::new()), ..Delta::default() }, None)
    }

    pub(super) fn reasoning(&mut self, index: usize, text: String) -> Frame {
        self.chunk(index, Delta { reasoning_content: Some(text), ..Delta::default() }, None)
    }

    pub(super) fn text(&mut self, index: usize, content: String) -> Frame {
        self.chunk(index, Delta { content: Some(content), ..Delta::default() }, None)
    }

    pub(super) fn call(&mut self, (index, call): (usize, usize), part: CallPart) -> Frame {
        let call = match part {
            CallPart::Name(name) => Call { index: Some(call), ..self.named((index, call), name, String::new()) },
            CallPart::Arguments(arguments) => {
                Call { index: Some(call), id: None, r#type: None, function: Function { name: None, arguments } }
            }
        };
        self.chunk(index, Delta { tool_calls: vec![call], ..Delta::default() }, None)
    }

    fn named(&self, place: (usize, usize), name: String, arguments: String) -> Call {
        let function = Function { name: Some(name), arguments };
        Call { index: None, id: Some(self.head.call_id(place)), r#type: Some("function"), function }
    }

    /// Chunk with the finish reason.
    pub(super) fn closing(&mut self, index: usize, finish_reason: FinishReason) -> Frame {
        self.chunk(index, Delta::default(), Some(finish_reason))
    }

    /// Last frames, with the token counts if requested, and the whole reply.
    pub(super) fn end(&self, answers: &[Completion], usage: Usage, tokenizer: &Tokenizer) -> (Vec<Frame>, String) {
        let mut frames = Vec::new();
        if self.head.include_usage {
            frames.push(Frame::of(&self.answer::<ChunkChoice, _>(CHUNK, Vec::new(), Some(&usage))));
        }
        frames.push(Frame::done());
        let calls = |index: usize, answer: &Completion| {
            let calls = answer.calls.iter().enumerate();
            calls.map(|(i, call)| self.named((index, i), call.name.clone(), call.arguments.clone())).collect()
        };
        let choice = |(index, answer): (usize, &Completion)| Choice {
            index,
            message: Message {
                role: "assistant",
                content: Some(answer.text.clone()).filter(|text| !text.is_empty() || answer.calls.is_empty()),
                reasoning_content: Some(answer.reasoning.clone()).filter(|text| !text.is_empty()),
                refusal: (),
                tool_calls: calls(index, answer),
            },
            logprobs: Content::of(Logprob::of_all(&answer.logprobs, tokenizer)),
            finish_reason: answer.finish_reason,
        };
        let choices = answers.iter().enumerate().map(choice).collect();
        (frames, Frame::of(&self.answer("chat.completion", choices, Some(&usage))).data)
    }

    fn chunk(&mut self, index: usize, delta: Delta, finish_reason: Option<FinishReason>) -> Frame {
        let logprobs = Content::of(std::mem::take(&mut self.waiting));
        let choice = ChunkChoice { index, delta, logprobs, finish_reason };
        let usage: Option<Option<Usage>> = self.head.include_usage.then_some(None);
        Frame::of(&self.answer(CHUNK, vec![choice], usage))
    }

    fn answer<C, U>(&self, object: &'static str, choices: Vec<C>, usage: Option<U>) -> Answer<'_, C, U> {
        let Head { id, created, model, .. } = &self.head;
        Answer { id, object, created: *created, model, choices, usage }
    }
}

const CHUNK: &str = "chat.completion.chunk";
