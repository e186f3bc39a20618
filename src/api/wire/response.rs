//! Responses and the events of their streams.

use serde_json::{Value, json};

use super::logprobs::Logprob;
use super::{Frame, Head, Usage};
use crate::api::response_request::ResponseRequest;
use crate::chat::Tokenizer;
use crate::engine::{Completion, FinishReason};

/// Writes a response.
#[derive(Debug)]
pub struct ResponseWire {
    head: Head,
    /// What the response repeats of the request.
    repeated: Value,
    /// Tokens whose text has not come yet.
    pub(super) waiting: Vec<Logprob>,
    /// Events so far.
    sequence: usize,
}

impl ResponseWire {
    /// Of the answer to one request.
    pub fn new(head: Head, request: &ResponseRequest) -> Self {
        let repeated = json!({
            "instructions": request.instructions,
            "max_output_tokens": request.max_tokens,
            "metadata": request.metadata,
            "temperature": request.sampling.temperature,
            "text": {"format": request.text_format},
            "top_p": request.sampling.top_p,
            "top_logprobs": request.sampling.logprobs.unwrap_or(0),
        });
        Self { head, repeated, waiting: Vec::new(), sequence: 0 }
    }

    fn item_id(&self) -> String {
        format!("msg_{}", self.head.id)
    }

    /// The events before the text.
    pub(super) fn opening(&mut self) -> Vec<Frame> {
        let response = self.response("in_progress", Vec::new(), Value::Null);
        let item = self.item("in_progress", Vec::new());
        vec![
            self.event("response.created", json!({"response": response})),
            self.event("response.in_progress", json!({"response": response})),
            self.event("response.output_item.added", json!({"output_index": 0, "item": item})),
            self.part("response.content_part.added", json!({"part": part("", &[])})),
        ]
    }

    /// More of the text.
    pub(super) fn text(&mut self, delta: String) -> Frame {
        let logprobs = std::mem::take(&mut self.waiting);
        self.part("response.output_text.delta", json!({"delta": delta, "logprobs": logprobs}))
    }

    /// The events behind the text, and the whole response.
    pub(super) fn end(&mut self, answers: &[Completion], tokenizer: &Tokenizer) -> (Vec<Frame>, String) {
        let nothing = Completion::default();
        let answer = answers.first().unwrap_or(&nothing);
        let logprobs = Logprob::of_all(&answer.logprobs, tokenizer);
        let (status, last) = match answer.finish_reason {
            FinishReason::Length => ("incomplete", "response.incomplete"),
            _ => ("completed", "response.completed"),
        };
        let part = part(&answer.text, &logprobs);
        let item = self.item(status, vec![part.clone()]);
        let response = self.response(status, vec![item.clone()], usage(answers));
        let frames = vec![
            self.part("response.output_text.done", json!({"text": answer.text, "logprobs": logprobs})),
            self.part("response.content_part.done", json!({"part": part})),
            self.event("response.output_item.done", json!({"output_index": 0, "item": item})),
            self.event(last, json!({"response": response})),
        ];
        (frames, response.to_string())
    }

    fn item(&self, status: &str, content: Vec<Value>) -> Value {
        json!({"id": self.item_id(), "type": "message", "status": status, "role": "assistant", "content": content})
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
