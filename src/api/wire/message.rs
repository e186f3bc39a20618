//! Messages in Anthropic's format, and the events of their streams.

use serde_json::{Value, json};

use super::{Frame, Head, Usage};
use crate::chat::CallPart;
use crate::engine::{Completion, FinishReason};

/// Kind of a block of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Thinking,
    Text,
    /// The call with this index.
    Call(usize),
}

/// Writes a message.
#[derive(Debug)]
pub struct MessageWire {
    head: Head,
    /// The block that is being sent.
    open: Option<Block>,
    /// Number of blocks that have begun.
    blocks: usize,
}

impl MessageWire {
    /// Creates the writer for the answer to one request.
    pub fn new(head: Head) -> Self {
        Self { head, open: None, blocks: 0 }
    }

    /// The event before the answer. The tokens of the prompt are in the last one, since what is cached shows only when it is computed.
    pub(super) fn opening(&self, prompt_tokens: usize) -> Frame {
        let usage = json!({"input_tokens": prompt_tokens, "output_tokens": 0});
        event("message_start", json!({"message": self.message(&[], (Value::Null, Value::Null), usage)}))
    }

    pub(super) fn reasoning(&mut self, text: &str) -> Vec<Frame> {
        self.delta(Block::Thinking, json!({"type": "thinking_delta", "thinking": text}))
    }

    pub(super) fn text(&mut self, text: &str) -> Vec<Frame> {
        self.delta(Block::Text, json!({"type": "text_delta", "text": text}))
    }

    pub(super) fn call(&mut self, call: usize, part: CallPart) -> Vec<Frame> {
        match part {
            CallPart::Name(name) => {
                let block = self.call_block(call, &name, json!({}));
                self.begin(Block::Call(call), block)
            }
            CallPart::Arguments(text) => {
                self.delta(Block::Call(call), json!({"type": "input_json_delta", "partial_json": text}))
            }
        }
    }

    /// Events at the end of the answer, and the whole message.
    pub(super) fn end(&mut self, answers: &[Completion]) -> (Vec<Frame>, String) {
        let nothing = Completion::default();
        let answer = answers.first().unwrap_or(&nothing);
        let mut content = Vec::new();
        if !answer.reasoning.is_empty() {
            content.push(thinking_block(&answer.reasoning));
        }
        if !answer.text.is_empty() {
            content.push(json!({"type": "text", "text": answer.text}));
        }
        for (index, call) in answer.calls.iter().enumerate() {
            // Arguments fit their schema, unless the answer was cut within them.
            let input = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
            content.push(self.call_block(index, &call.name, input));
        }
        let (reason, usage) = (stop_reason(answer), usage(answers));
        let mut frames = self.close();
        let delta = json!({"stop_reason": reason.0, "stop_sequence": reason.1});
        frames.push(event("message_delta", json!({"delta": delta, "usage": usage})));
        frames.push(event("message_stop", json!({})));
        (frames, self.message(&content, reason, usage).to_string())
    }

    /// Events of a part of a block, which begins with it if it has not begun.
    fn delta(&mut self, block: Block, delta: Value) -> Vec<Frame> {
        let mut frames = match block {
            _ if self.open == Some(block) => Vec::new(),
            Block::Thinking => self.begin(block, thinking_block("")),
            _ => self.begin(block, json!({"type": "text", "text": ""})),
        };
        frames.push(event("content_block_delta", json!({"index": self.blocks.saturating_sub(1), "delta": delta})));
        frames
    }

    fn begin(&mut self, block: Block, content: Value) -> Vec<Frame> {
        let mut frames = self.close();
        frames.push(event("content_block_start", json!({"index": self.blocks, "content_block": content})));
        self.blocks += 1;
        self.open = Some(block);
        frames
    }

    fn close(&mut self) -> Vec<Frame> {
        let index = self.blocks.saturating_sub(1);
        self.open.take().map(|_| event("content_block_stop", json!({"index": index}))).into_iter().collect()
    }

    fn call_block(&self, call: usize, name: &str, input: Value) -> Value {
        let id = self.head.call_id((0, call)).replacen("call_", "toolu_", 1);
        json!({"type": "tool_use", "id": id, "name": name, "input": input})
    }

    fn message(&self, content: &[Value], (stop_reason, stop_sequence): (Value, Value), usage: Value) -> Value {
        json!({"id": self.head.id, "type": "message", "role": "assistant", "model": self.head.model, "content": content,
            "stop_reason": stop_reason, "stop_sequence": stop_sequence, "usage": usage})
    }
}

fn event(name: &'static str, mut fields: Value) -> Frame {
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("type".into(), name.into());
    }
    Frame { event: Some(name), data: fields.to_string() }
}

/// Signatures prove the origin of reasoning to other servers; here there is nothing to prove.
fn thinking_block(text: &str) -> Value {
    json!({"type": "thinking", "thinking": text, "signature": ""})
}

/// The reason for the end of an answer, and the stop string before which it ended.
fn stop_reason(answer: &Completion) -> (Value, Value) {
    match (answer.finish_reason, &answer.stop) {
        (FinishReason::Length, _) => ("max_tokens".into(), Value::Null),
        (FinishReason::ToolCalls, _) => ("tool_use".into(), Value::Null),
        (FinishReason::Stop, Some(stop)) => ("stop_sequence".into(), stop.clone().into()),
        (FinishReason::Stop, None) => ("end_turn".into(), Value::Null),
    }
}

/// Token counts under the names of this API, which counts cached tokens apart.
fn usage(answers: &[Completion]) -> Value {
    let usage = Usage::of(answers, 1);
    let cached = usage.prompt_tokens_details.cached_tokens;
    json!({
        "input_tokens": usage.prompt_tokens - cached.min(usage.prompt_tokens),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.completion_tokens,
        "ocelli": usage.ocelli,
    })
}
