//! Responses of a model with reasoning: the reasoning item, the events of a stream, and reasoning that clients send back.

use ocelli::Error;
use serde_json::{Value, json};

use super::elements::bounded_schema;
use super::thoughts::{message, thinker, thinker_of};
use super::{CHAT, RESPONSES, answer, are_the_same_whatever_is_lost, data, fake, with, work, work_for};
use crate::streams::replayed;

const QUESTION: &str = "How is it?";

fn ask(more: &Value) -> Value {
    with(json!({"input": QUESTION, "temperature": 0, "max_output_tokens": 140, "reasoning": {"effort": "high"}}), more)
}

/// A whole response, which must equal the sum of its stream, and the names of the events.
fn respond(request: &Value) -> (Value, Vec<String>) {
    let (whole, _) = answer(&mut thinker(), RESPONSES, request).unwrap();
    let (again, frames) = answer(&mut thinker(), RESPONSES, &with(request.clone(), &json!({"stream": true}))).unwrap();
    let (added, names) = replayed(data(&frames));
    assert_eq!((&added, &again), (&whole, &whole));
    let short = names.iter().map(|name| name.strip_prefix("response.").expect("of a response").to_owned());
    (whole, short.collect())
}

/// Types of the output items, with their status.
fn items(whole: &Value) -> Vec<(&str, &str)> {
    let output = whole["output"].as_array().unwrap();
    output.iter().map(|item| (item["type"].as_str().unwrap(), item["status"].as_str().unwrap())).collect()
}

const THOUGHTS: [&str; 6] = [
    "output_item.added",
    "content_part.added",
    "reasoning_text.delta",
    "reasoning_text.done",
    "content_part.done",
    "output_item.done",
];

#[test]
fn thoughts_are_an_item_before_the_message_and_equal_those_of_a_chat() {
    for seed in 0..6 {
        let more = json!({"seed": seed, "thinking_budget": 9, "temperature": 1.2});
        let (whole, names) = respond(&ask(&more));
        assert_eq!(items(&whole), [("reasoning", "completed"), ("message", whole["status"].as_str().unwrap())]);
        let [thoughts, said] = [0, 1].map(|item| &whole["output"][item]["content"][0]);
        assert_eq!((&thoughts["type"], &whole["output"][0]["summary"]), (&json!("reasoning_text"), &json!([])));
        let chat =
            json!({"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 140, "reasoning_effort": "high"});
        let (chat, _) = answer(&mut thinker(), CHAT, &with(chat, &more)).unwrap();
        assert_eq!(
            (&thoughts["text"], &said["text"]),
            (&message(&chat)["reasoning_content"], &message(&chat)["content"])
        );
        let counted = &whole["usage"]["output_tokens_details"]["reasoning_tokens"];
        assert_eq!(counted, &chat["usage"]["completion_tokens_details"]["reasoning_tokens"]);
        assert!(counted.as_u64() > Some(8), "{whole}");
        let last = whole["status"].as_str().unwrap();
        let message = ["output_item.added", "content_part.added", "output_text.delta", "output_text.done"];
        let end = ["content_part.done", "output_item.done", last];
        assert_eq!(names, [&["created", "in_progress"], &THOUGHTS[..], &message, &end].concat());
    }
}

#[test]
fn a_response_that_ends_within_its_thoughts_is_incomplete_and_has_no_message() {
    let (whole, names) = respond(&ask(&json!({"max_output_tokens": 12})));
    assert_eq!(items(&whole), [("reasoning", "incomplete")]);
    let details = &whole["usage"]["output_tokens_details"];
    assert_eq!((&whole["status"], &details["reasoning_tokens"]), (&json!("incomplete"), &json!(12)));
    assert_eq!(whole["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!(names, [&["created", "in_progress"], &THOUGHTS[..], &["incomplete"]].concat());
}

#[test]
fn calls_follow_the_thoughts_and_are_the_same_whatever_is_lost() {
    let tool = json!({"type": "function", "name": "note", "parameters": bounded_schema()});
    let more = json!({"tools": [tool], "tool_choice": "required", "parallel_tool_calls": false, "max_output_tokens": 300,
        "thinking_budget": 5});
    let (whole, names) = respond(&ask(&more));
    assert_eq!(items(&whole), [("reasoning", "completed"), ("function_call", "completed")]);
    let arguments: Value = serde_json::from_str(whole["output"][1]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments["text"], "two\nlines");
    let call =
        ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"];
    assert_eq!(names, [&["created", "in_progress"], &THOUGHTS[..], &call, &["completed"]].concat());
    are_the_same_whatever_is_lost(thinker_of, (RESPONSES, &with(ask(&more), &json!({"max_output_tokens": 90}))), 23);
}

#[test]
fn every_effort_is_accepted_and_repeated_in_the_response() {
    let asked = |reasoning: &Value| {
        let request = json!({"input": "a", "temperature": 0, "max_output_tokens": 4, "reasoning": reasoning});
        let (whole, _) = answer(&mut thinker(), RESPONSES, &request).unwrap();
        let (count, _) = answer(&mut thinker(), "/v1/responses/input_tokens", &request).unwrap();
        assert_eq!(count["input_tokens"], whole["usage"]["input_tokens"]);
        let effort = reasoning.get("effort").unwrap_or(&Value::Null);
        assert_eq!(whole["reasoning"], json!({"effort": effort, "summary": null}));
        (whole["usage"]["input_tokens"].as_u64().unwrap(), whole["output"][0]["type"] == "reasoning")
    };
    let (at_once, thinks) = asked(&Value::Null);
    assert!(!thinks);
    for effort in ["minimal", "low", "medium", "high", "xhigh", "max"] {
        let (tokens, thinks) = asked(&json!({"effort": effort}));
        assert!(thinks && tokens < at_once, "{effort}");
    }
    for off in [json!({}), json!({"effort": null}), json!({"effort": "none"}), json!({"summary": "auto"})] {
        assert_eq!(asked(&off), (at_once, false), "{off}");
    }
    let (tokens, _) = asked(&json!({"effort": "low", "summary": "detailed", "generate_summary": "concise"}));
    assert!(tokens < at_once);
    for (wrong, place) in [
        (json!({"effort": "much"}), "reasoning.effort"),
        (json!({"effort": 3}), "reasoning.effort"),
        (json!({"summary": "long"}), "reasoning.summary"),
        (json!("high"), "reasoning"),
    ] {
        let error = work_for(&thinker(), RESPONSES, &ask(&json!({"reasoning": wrong}))).unwrap_err();
        assert!(matches!(&error, Error::InvalidRequest { field, .. } if field == place), "{error}");
    }
    assert_eq!(asked(&json!({"context": "auto", "mode": "standard"})), (at_once, false));
    // A model without reasoning refuses it, also when tokens are counted, unless the request turns it off. An effort alone has no effect.
    for path in [RESPONSES, "/v1/responses/input_tokens"] {
        let error = work(path, &ask(&json!({"enable_thinking": true}))).unwrap_err();
        assert!(matches!(&error, Error::UnsupportedOption { field, .. } if field == "enable_thinking"), "{error}");
        assert!(work(path, &ask(&json!({}))).is_ok());
    }
    let (whole, _) = answer(&mut fake(), RESPONSES, &ask(&json!({"max_output_tokens": 4}))).unwrap();
    assert_eq!((&whole["output"][0]["type"], &whole["status"]), (&json!("message"), &json!("incomplete")), "{whole}");
    assert!(work(RESPONSES, &ask(&json!({"reasoning": {"effort": "none", "summary": "auto"}}))).is_ok());
}

/// Number of tokens of a conversation, and the answer to it.
fn told(path: &str, conversation: &Value) -> (Value, Value) {
    let request = json!({"temperature": 0, "tools": []});
    let (field, limit) = if path == CHAT { ("messages", "max_tokens") } else { ("input", "max_output_tokens") };
    let request = with(request, &json!({field: conversation, limit: 12}));
    let (whole, _) = answer(&mut thinker(), path, &request).unwrap();
    match path == CHAT {
        true => {
            let said = message(&whole);
            let text = if said["reasoning_content"].is_null() { &said["content"] } else { &said["reasoning_content"] };
            (whole["usage"]["prompt_tokens"].clone(), text.clone())
        }
        false => (whole["usage"]["input_tokens"].clone(), whole["output"][0]["content"][0]["text"].clone()),
    }
}

#[test]
fn thoughts_that_are_sent_back_are_placed_as_in_a_chat() {
    let user = |text: &str| json!({"role": "user", "content": text});
    let thought = |text: &str| {
        json!({"type": "reasoning", "id": "rs_1", "status": "completed", "summary": [], "encrypted_content": null,
            "content": [{"type": "reasoning_text", "text": text}]})
    };
    let (asked, said) = (user("How is it?"), json!({"type": "message", "role": "assistant", "content": "Wait."}));
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let result = json!({"type": "function_call_output", "call_id": "c", "output": "3"});
    let (chat_call, chat_result) = (
        json!([{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]),
        json!({"role": "tool", "tool_call_id": "c", "content": "3"}),
    );
    let other = json!({"type": "function_call", "call_id": "d", "name": "g", "arguments": "{}"});
    let other_result = json!({"type": "function_call_output", "call_id": "d", "output": "4"});
    let chat_other = json!({"id": "d", "type": "function", "function": {"name": "g", "arguments": "{}"}});
    let chat_other_result = json!({"role": "tool", "tool_call_id": "d", "content": "4"});
    let plain = told(RESPONSES, &json!([asked, call, result]));
    for (input, messages) in [
        (
            json!([asked, thought("Hm, Oslo"), call, result]),
            json!([asked, {"role": "assistant", "reasoning_content": "Hm, Oslo", "tool_calls": chat_call}, chat_result]),
        ),
        (
            json!([asked, thought("Hm, Oslo"), said, call, result]),
            json!([asked, {"role": "assistant", "reasoning_content": "Hm, Oslo", "content": "Wait.", "tool_calls": chat_call},
                chat_result]),
        ),
        // Reasoning between two calls is dropped.
        (
            json!([asked, thought("Hm, Oslo"), call, thought("Hm"), other, result, other_result, said]),
            json!([asked, {"role": "assistant", "reasoning_content": "Hm, Oslo", "tool_calls": [chat_call[0], chat_other]},
                chat_result, chat_other_result, {"role": "assistant", "content": "Wait."}]),
        ),
        // Reasoning before the last question is not shown.
        (
            json!([asked, thought("Hm, Oslo"), said, user("And now?")]),
            json!([asked, {"role": "assistant", "content": "Wait."}, user("And now?")]),
        ),
        // A response that ended within its reasoning.
        (json!([asked, thought("Hm, Oslo"), user("And now?")]), json!([asked, user("And now?")])),
        // Reasoning at the end is continued.
        (json!([asked, thought("Hm, Oslo")]), json!([asked, {"role": "assistant", "reasoning_content": "Hm, Oslo"}])),
    ] {
        let told_of = told(RESPONSES, &input);
        assert_eq!(told_of, told(CHAT, &messages), "{input}");
        assert_ne!(told_of, plain);
    }
    // Summaries and encrypted content of other models are not shown.
    let foreign = json!({"type": "reasoning", "id": "rs_2", "encrypted_content": "gAAA", "summary": [{"type": "summary_text", "text": "a"}]});
    assert_eq!(told(RESPONSES, &json!([asked, foreign, call, result])), plain);
    for (item, place) in [
        (json!({"type": "reasoning", "content": [{"type": "image"}]}), "input[0].content[0].type"),
        (json!({"type": "reasoning", "thoughts": "a"}), "input[0].thoughts"),
    ] {
        let error = work_for(&thinker(), RESPONSES, &json!({"input": [item, asked]})).unwrap_err();
        assert!(matches!(&error, Error::UnsupportedOption { field, .. } if field == place), "{error}");
    }
}
