//! Responses and the events of their streams.

use serde_json::{Value, json};

use super::logprobs::Logprob;
use super::{Frame, Head, Usage};
use crate::api::response_request::ResponseRequest;
use crate::chat::{CallPart, Tokenizer, ToolCall};
use crate::engine::{Completion, FinishReason};

/// Writes a response.
#[derive(Debug)]
pub struct ResponseWire {
    head: Head,
    /// What the response repeats of the request.
    repeated: Value,
    /// Tokens whose text has not come yet.
    pub(super) waiting: Vec<Logprob>,
    /// Whether the answer has text; calls come behind it.
    has_message: bool,
    /// Events so far.
    sequence: usize,
}

impl ResponseWire {
    /// Of the answer to one request.
    pub fn new(head: Head, request: &ResponseRequest) -> Self {
        let [tools, tool_choice, parallel_tool_calls] = &request.repeated_tools;
        let repeated = json!({
            "tools": tools,
            "tool_choice": tool_choice,
            "parallel_tool_calls": parallel_tool_calls,
            "instructions": request.instructions,
            "max_output_tokens": request.max_tokens,
            "metadata": request.metadata,
            "temperature": request.sampling.temperature,
            "text": {"format": request.text_format},
            "top_p": request.sampling.top_p,
            "truncation": if request.truncates { "auto" } else { "disabled" },
            "top_logprobs": request.sampling.logprobs.unwrap_or(0),
        });
        Self { head, repeated, waiting: Vec::new(), has_message: false, sequence: 0 }
    }

    fn item_id(&self) -> String {
        format!("msg_{}", self.head.id)
    }

    /// The events before the answer.
    pub(super) fn opening(&mut self) -> Vec<Frame> {
        let response = self.response("in_progress", Vec::new(), Value::Null);
        vec![
            self.event("response.created", json!({"response": response})),
            self.event("response.in_progress", json!({"response": response})),
        ]
    }

    /// More of the text.
    pub(super) fn text(&mut self, delta: String) -> Vec<Frame> {
        let mut frames = self.open_message();
        let logprobs = std::mem::take(&mut self.waiting);
        frames.push(self.part("response.output_text.delta", json!({"delta": delta, "logprobs": logprobs})));
        frames
    }

    /// More of a call.
    pub(super) fn call(&mut self, call: usize, part: CallPart) -> Vec<Frame> {
        let output_index = usize::from(self.has_message) + call;
        match part {
            CallPart::Name(name) => {
                let item = self.call_item(call, &ToolCall { name, arguments: String::new() }, "in_progress");
                let added = json!({"output_index": output_index, "item": item});
                vec![self.event("response.output_item.added", added)]
            }
            CallPart::Arguments(delta) => {
                let more = json!({"item_id": self.call_item_id(call), "output_index": output_index, "delta": delta});
                vec![self.event("response.function_call_arguments.delta", more)]
            }
        }
    }

    /// The events behind the answer, and the whole response.
    pub(super) fn end(&mut self, answers: &[Completion], tokenizer: &Tokenizer) -> (Vec<Frame>, String) {
        let nothing = Completion::default();
        let answer = answers.first().unwrap_or(&nothing);
        let (status, last) = match answer.finish_reason {
            FinishReason::Length => ("incomplete", "response.incomplete"),
            _ => ("completed", "response.completed"),
        };
        let (mut frames, mut output) = (Vec::new(), Vec::new());
        if self.has_message || answer.calls.is_empty() {
            frames.extend(self.open_message());
            let logprobs = Logprob::of_all(&answer.logprobs, tokenizer);
            let part = part(&answer.text, &logprobs);
            let item = self.item(status, vec![part.clone()]);
            frames.extend([
                self.part("response.output_text.done", json!({"text": answer.text, "logprobs": logprobs})),
                self.part("response.content_part.done", json!({"part": part})),
                self.event("response.output_item.done", json!({"output_index": 0, "item": item})),
            ]);
            output.push(item);
        }
        for (index, call) in answer.calls.iter().enumerate() {
            let (item, output_index) = (self.call_item(index, call, status), output.len());
            let done = json!({"item_id": self.call_item_id(index), "output_index": output_index,
                "name": call.name, "arguments": call.arguments});
            frames.push(self.event("response.function_call_arguments.done", done));
            frames.push(self.event("response.output_item.done", json!({"output_index": output_index, "item": item})));
            output.push(item);
        }
        let response = self.response(status, output, usage(answers));
        frames.push(self.event(last, json!({"response": response})));
        (frames, response.to_string())
    }

    /// The events before the text, once.
    fn open_message(&mut self) -> Vec<Frame> {
        if std::mem::replace(&mut self.has_message, true) {
            return Vec::new();
        }
        let item = self.item("in_progress", Vec::new());
        vec![
            self.event("response.output_item.added", json!({"output_index": 0, "item": item})),
            self.part("response.content_part.added", json!({"part": part("", &[])})),
        ]
    }

    fn item(&self, status: &str, content: Vec<Value>) -> Value {
        json!({"id": self.item_id(), "type": "message", "status": status, "role": "assistant", "content": content})
    }

    fn call_item_id(&self, call: usize) -> String {
        format!("fc_{}_{call}", self.head.id)
    }

    fn call_item(&self, index: usize, ToolCall { name, arguments }: &ToolCall, status: &str) -> Value {
        json!({"id": self.call_item_id(index), "type": "function_call", "status": status,
            "call_id": self.head.call_id((0, index)), "name": name, "arguments": arguments})
    }

    fn response(&self, status: &str, output: Vec<Value>, usage: Value) -> Value {
        let incomplete = (status == "incomplete").then(|| json!({"reason": "max_output_tokens"}));
        let mut response = json!({
            "id": format!("resp_{}", self.head.id),
            "object": "response",
            "created_at": self.head.created,
            "status": status,
            "background": false,
            "error": null,
            "incomplete_details": incomplete,
            "model": self.head.model,
            "output": output,
            "parallel_tool_calls": true,
            "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null},
            "store": false,
            "tool_choice": "auto",
            "tools": [],
            "truncation": "disabled",
            "usage": usage,
        });
        if let (Some(response), Some(repeated)) = (response.as_object_mut(), self.repeated.as_object()) {
            response.extend(repeated.clone());
        }
        response
    }

    /// An event about the text.
    fn part(&mut self, name: &'static str, more: Value) -> Frame {
        let mut fields = json!({"item_id": self.item_id(), "output_index": 0, "content_index": 0});
        if let (Some(fields), Value::Object(more)) = (fields.as_object_mut(), more) {
            fields.extend(more);
        }
        self.event(name, fields)
    }

    fn event(&mut self, name: &'static str, mut fields: Value) -> Frame {
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("type".into(), name.into());
            fields.insert("sequence_number".into(), self.sequence.into());
        }
        self.sequence += 1;
        Frame { event: Some(name), data: fields.to_string() }
    }
}

fn part(text: &str, logprobs: &[Logprob]) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs})
}

/// Token counts by the names that responses have for them.
fn usage(answers: &[Completion]) -> Value {
    let usage = Usage::of(answers, 1);
    json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.prompt_tokens_details.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
        "ocelli": usage.ocelli,
    })
}
