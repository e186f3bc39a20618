//! Streams in the format of official clients, reassembled from their events. The data of events come without names, and without `[DONE]`.

use serde_json::{Value, json};

/// An answer, put together.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Added {
    pub(crate) thoughts: String,
    pub(crate) text: String,
    pub(crate) calls: Vec<Value>,
    pub(crate) reason: Value,
}

impl Added {
    /// The first choice of a whole chat.
    pub(crate) fn of(whole: &Value) -> Self {
        let choice = &whole["choices"][0];
        let text = |name: &str| choice["message"][name].as_str().unwrap_or_default().to_owned();
        Self {
            thoughts: text("reasoning_content"),
            text: text("content"),
            calls: choice["message"]["tool_calls"].as_array().cloned().unwrap_or_default(),
            reason: choice["finish_reason"].clone(),
        }
    }
}

/// The first choice of a chat, reassembled from its chunks. Thoughts come before everything else, calls after it.
pub(crate) fn added_up<'a>(data: impl Iterator<Item = &'a str>) -> Added {
    let mut added = Added::default();
    for chunk in data.map(|data| serde_json::from_str::<Value>(data).expect("JSON")) {
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        if let Some(more) = delta["reasoning_content"].as_str() {
            let is_first = added.text.is_empty() && added.calls.is_empty() && delta["content"].is_null();
            assert!(is_first && !more.is_empty(), "{chunk}");
            added.thoughts += more;
        }
        if let Some(more) = delta["content"].as_str() {
            assert!(added.calls.is_empty() || more.is_empty(), "{chunk}");
            added.text += more;
        }
        for part in delta["tool_calls"].as_array().into_iter().flatten() {
            let (index, mut part) = (part["index"].as_u64().expect("a number"), part.clone());
            match added.calls.get_mut(index as usize) {
                Some(call) => push(&mut call["function"]["arguments"], &part["function"]["arguments"]),
                None => {
                    assert_eq!(index as usize, added.calls.len(), "{chunk}");
                    part.as_object_mut().expect("an object").remove("index");
                    added.calls.push(part);
                }
            }
        }
        if !choice["finish_reason"].is_null() {
            assert!(added.reason.is_null(), "it ends once: {chunk}");
            added.reason = choice["finish_reason"].clone();
        }
    }
    added
}

/// The response that the events describe, and their names without repetitions of deltas. Asserts that each event has the next number, that
/// its item has been added before, and that the final values equal the deltas.
pub(crate) fn replayed<'a>(data: impl Iterator<Item = &'a str>) -> (Value, Vec<String>) {
    let (mut output, mut names) = (Vec::<Value>::new(), Vec::<String>::new());
    let mut last = Value::Null;
    for (number, data) in data.enumerate() {
        let event: Value = serde_json::from_str(data).expect("JSON");
        assert!(last.is_null() && event["sequence_number"] == number, "{event}");
        let name = event["type"].as_str().expect("a name");
        if names.last().is_none_or(|last| last != name || !name.ends_with(".delta")) {
            names.push(name.to_owned());
        }
        match name {
            "response.created" | "response.in_progress" => assert_eq!(event["response"]["output"], json!([])),
            "response.output_item.added" => {
                assert_eq!(
                    (&event["output_index"], &event["item"]["status"]),
                    (&json!(output.len()), &json!("in_progress"))
                );
                output.push(event["item"].clone());
            }
            "response.completed" | "response.incomplete" => {
                assert_eq!(event["response"]["output"], json!(output));
                last = event["response"].clone();
            }
            _ => {
                let index = event["output_index"].as_u64().unwrap_or_else(|| panic!("{event}"));
                replay(name, &event, &mut output[index as usize]);
            }
        }
    }
    assert!(!last.is_null(), "no last event");
    (last, names)
}

/// An event about an item.
fn replay(name: &str, event: &Value, item: &mut Value) {
    if name == "response.output_item.done" {
        let mut told = event["item"].clone();
        assert_ne!(told["status"], "in_progress");
        told["status"] = item["status"].clone();
        assert_eq!(told, *item, "what came");
        *item = event["item"].clone();
        return;
    }
    assert_eq!(event["item_id"], item["id"], "{event}");
    if name.contains("function_call_arguments") {
        match name.ends_with(".delta") {
            true => push(&mut item["arguments"], &event["delta"]),
            false => assert_eq!(event["arguments"], item["arguments"]),
        }
        return;
    }
    assert_eq!(event["content_index"], 0, "{event}");
    let content = item["content"].as_array_mut().expect("parts");
    match name {
        "response.content_part.added" => content.push(event["part"].clone()),
        "response.content_part.done" => {
            assert_eq!((&event["part"]["text"], &event["part"]["type"]), (&content[0]["text"], &content[0]["type"]));
            content[0] = event["part"].clone();
        }
        "response.output_text.delta" | "response.reasoning_text.delta" => {
            push(&mut content[0]["text"], &event["delta"]);
        }
        "response.output_text.done" | "response.reasoning_text.done" => assert_eq!(event["text"], content[0]["text"]),
        other => panic!("{other}"),
    }
}

fn push(text: &mut Value, more: &Value) {
    *text = json!(text.as_str().expect("text").to_owned() + more.as_str().expect("text"));
}
