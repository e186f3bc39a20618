//! Responses and the events of their streams.

use std::sync::Arc;

use serde_json::{Value, json};

use super::logprobs::Logprob;
use super::{Frame, Head, Usage};
use crate::api::response_request::ResponseRequest;
use crate::chat::{CallPart, Tokenizer, ToolCall};
use crate::engine::{Completion, FinishReason};
use crate::responses::Responses;

/// Id of an output item, and its index.
type Place = (String, usize);

/// Stores a response once it is complete.
#[derive(Debug)]
pub struct Keeper {
    /// Responses of all owners.
    pub(in crate::api) responses: Arc<Responses>,
    /// Owner of the response.
    pub(in crate::api) owner: String,
    /// Items of the conversation before the output.
    pub(in crate::api) items: Vec<Arc<Value>>,
}

impl Keeper {
    fn keep(self, response: &Value) {
        let (output, id) = (response["output"].as_array(), response["id"].as_str().unwrap_or_default());
        let output = output.into_iter().flatten().map(|item| Arc::new(item.clone()));
        let items = self.items.into_iter().chain(output).collect();
        self.responses.keep(&self.owner, id, items, response.to_string());
    }
}

/// Writes a response.
#[derive(Debug)]
pub struct ResponseWire {
    head: Head,
    /// Fields of the request that the response repeats.
    repeated: Value,
    /// Tokens whose text has not been sent yet.
    pub(super) waiting: Vec<Logprob>,
    /// Reasoning so far; text follows it.
    thoughts: String,
    /// True once the reasoning item is complete.
    has_thought: bool,
    /// True once the answer has text; calls follow it.
    has_message: bool,
    /// Number of events so far.
    sequence: usize,
    /// Stores the response, if that is wanted.
    keeper: Option<Keeper>,
}

impl ResponseWire {
    /// Creates the writer for the answer to one request.
    pub fn new(head: Head, request: &ResponseRequest, keeper: Option<Keeper>) -> Self {
        let [tools, tool_choice, parallel_tool_calls] = &request.repeated_tools;
        let repeated = json!({
            "tools": tools,
            "tool_choice": tool_choice,
            "parallel_tool_calls": parallel_tool_calls,
            "instructions": request.instructions,
            "max_output_tokens": request.max_tokens,
            "metadata": request.metadata,
            "previous_response_id": request.previous,
            "reasoning": {"effort": request.effort, "summary": null},
            "store": keeper.is_some(),
            "temperature": request.sampling.temperature,
            "text": {"format": request.text_format},
            "top_p": request.sampling.top_p,
            "truncation": if request.truncates { "auto" } else { "disabled" },
            "top_logprobs": request.sampling.logprobs.unwrap_or(0),
        });
        let (waiting, thoughts) = (Vec::new(), String::new());
        Self { head, repeated, waiting, thoughts, has_thought: false, has_message: false, sequence: 0, keeper }
    }

    /// Place of the reasoning item.
    fn thoughts_place(&self) -> Place {
        (format!("rs_{}", self.head.id), 0)
    }

    /// Place of the text item.
    fn message_place(&self) -> Place {
        (format!("msg_{}", self.head.id), usize::from(!self.thoughts.is_empty()))
    }

    /// Events before the answer.
    pub(super) fn opening(&mut self) -> Vec<Frame> {
        let response = self.response("in_progress", Vec::new(), Value::Null);
        vec![
            self.event("response.created", json!({"response": response})),
            self.event("response.in_progress", json!({"response": response})),
        ]
    }

    pub(super) fn reasoning(&mut self, delta: &str) -> Vec<Frame> {
        let place = self.thoughts_place();
        let mut frames = match self.thoughts.is_empty() {
            true => self.open(&place, (&self.thoughts_item("in_progress", Vec::new()), thoughts_part(""))),
            false => Vec::new(),
        };
        self.thoughts.push_str(delta);
        frames.push(self.part(&place, "response.reasoning_text.delta", json!({"delta": delta})));
        frames
    }

    pub(super) fn text(&mut self, delta: String) -> Vec<Frame> {
        let mut frames = self.end_thoughts("completed");
        frames.extend(self.open_message());
        let logprobs = std::mem::take(&mut self.waiting);
        let (place, more) = (self.message_place(), json!({"delta": delta, "logprobs": logprobs}));
        frames.push(self.part(&place, "response.output_text.delta", more));
        frames
    }

    pub(super) fn call(&mut self, call: usize, part: CallPart) -> Vec<Frame> {
        let mut frames = self.end_thoughts("completed");
        let output_index = self.message_place().1 + usize::from(self.has_message) + call;
        frames.push(match part {
            CallPart::Name(name) => {
                let item = self.call_item(call, &ToolCall { name, arguments: String::new() }, "in_progress");
                self.event("response.output_item.added", json!({"output_index": output_index, "item": item}))
            }
            CallPart::Arguments(delta) => {
                let more = json!({"item_id": self.call_item_id(call), "output_index": output_index, "delta": delta});
                self.event("response.function_call_arguments.delta", more)
            }
        });
        frames
    }

    /// Events at the end of the answer, and the whole response.
    pub(super) fn end(&mut self, answers: &[Completion], tokenizer: &Tokenizer) -> (Vec<Frame>, String) {
        let nothing = Completion::default();
        let answer = answers.first().unwrap_or(&nothing);
        let (status, last) = match answer.finish_reason {
            FinishReason::Length => ("incomplete", "response.incomplete"),
            _ => ("completed", "response.completed"),
        };
        // If the answer ends within its reasoning, that is incomplete and nothing follows it.
        let ends_within = answer.usage.reasoning_tokens == answer.usage.completion_tokens;
        let is_cut = status == "incomplete" && ends_within && !self.thoughts.is_empty();
        let thoughts_status = if is_cut { status } else { "completed" };
        let mut frames = self.end_thoughts(thoughts_status);
        let mut output = Vec::new();
        if !self.thoughts.is_empty() {
            output.push(self.thoughts_item(thoughts_status, vec![thoughts_part(&self.thoughts)]));
        }
        if self.has_message || (answer.calls.is_empty() && !is_cut) {
            frames.extend(self.open_message());
            let logprobs = Logprob::of_all(&answer.logprobs, tokenizer);
            let item = self.item(status, vec![part(&answer.text, &logprobs)]);
            let done = json!({"text": answer.text, "logprobs": logprobs});
            frames.extend(self.close(&self.message_place(), ("response.output_text.done", done), &item));
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
        self.keeper.take().into_iter().for_each(|keeper| keeper.keep(&response));
        frames.push(self.event(last, json!({"response": response})));
        (frames, response.to_string())
    }

    /// Events at the end of the reasoning; none if they were sent already.
    fn end_thoughts(&mut self, status: &str) -> Vec<Frame> {
        if self.thoughts.is_empty() || std::mem::replace(&mut self.has_thought, true) {
            return Vec::new();
        }
        let item = self.thoughts_item(status, vec![thoughts_part(&self.thoughts)]);
        let done = json!({"text": self.thoughts});
        self.close(&self.thoughts_place(), ("response.reasoning_text.done", done), &item)
    }

    /// Events before the text; none if they were sent already.
    fn open_message(&mut self) -> Vec<Frame> {
        if std::mem::replace(&mut self.has_message, true) {
            return Vec::new();
        }
        let item = self.item("in_progress", Vec::new());
        self.open(&self.message_place(), (&item, part("", &[])))
    }

    /// Events before the only part of an item.
    fn open(&mut self, place: &Place, (item, part): (&Value, Value)) -> Vec<Frame> {
        vec![
            self.event("response.output_item.added", json!({"output_index": place.1, "item": item})),
            self.part(place, "response.content_part.added", json!({"part": part})),
        ]
    }

    /// Events after the only part of an item.
    fn close(&mut self, place: &Place, (name, done): (&'static str, Value), item: &Value) -> Vec<Frame> {
        vec![
            self.part(place, name, done),
            self.part(place, "response.content_part.done", json!({"part": item["content"][0]})),
            self.event("response.output_item.done", json!({"output_index": place.1, "item": item})),
        ]
    }

    fn thoughts_item(&self, status: &str, content: Vec<Value>) -> Value {
        let (id, _) = self.thoughts_place();
        json!({"id": id, "type": "reasoning", "status": status, "summary": [], "content": content})
    }

    fn item(&self, status: &str, content: Vec<Value>) -> Value {
        let (id, _) = self.message_place();
        json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content})
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
            "reasoning": null,
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

    /// An event about the only part of an item.
    fn part(&mut self, (item_id, output_index): &Place, name: &'static str, more: Value) -> Frame {
        let mut fields = json!({"item_id": item_id, "output_index": output_index, "content_index": 0});
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

fn thoughts_part(text: &str) -> Value {
    json!({"type": "reasoning_text", "text": text})
}

fn part(text: &str, logprobs: &[Logprob]) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs})
}

/// Token counts under the names of the Responses API.
fn usage(answers: &[Completion]) -> Value {
    let usage = Usage::of(answers, 1);
    json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": usage.prompt_tokens_details,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.completion_tokens_details.reasoning_tokens},
        "total_tokens": usage.total_tokens,
        "ocelli": usage.ocelli,
    })
}
