//! Anthropic's messages: whole answers, events of streams, tools, reasoning, and the same prompts and answers as chats.

use ocelli::Error;
use ocelli::api::{Frame, Reply};
use ocelli::engine::Speculation;
use serde_json::{Value, json};

use super::thoughts::{ask as ask_thinker, message as message_of, thinker};
use super::tools::{check, weather};
use super::{CHAT, answer, fake, with, work};
use crate::generation::fake::Kind;
use crate::generation::{FakeEngine, engine};

const MESSAGES: &str = "/v1/messages";
const COUNT: &str = "/v1/messages/count_tokens";

fn hello(more: Value) -> Value {
    with(
        json!({"model": "gpt-4o", "max_tokens": 6, "temperature": 0, "messages": [{"role": "user", "content": "Hello"}]}),
        &more,
    )
}

/// An engine with room for the definitions of tools.
fn roomy() -> FakeEngine {
    engine(Kind::Attention, Speculation::Off, (900, 8))
}

/// The message that the events of a stream add up to, as official clients add them.
fn added_up(frames: &[Frame]) -> Value {
    let (mut message, mut open) = (Value::Null, None);
    for frame in frames {
        let event: Value = serde_json::from_str(&frame.data).expect("JSON");
        assert_eq!(event["type"], frame.event.expect("a name"), "{event}");
        match frame.event.expect("a name") {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                let content = message["content"].as_array_mut().expect("a list");
                assert_eq!((open, event["index"].as_u64()), (None, Some(content.len() as u64)), "{event}");
                open = event["index"].as_u64();
                content.push(event["content_block"].clone());
            }
            "content_block_delta" => {
                assert_eq!(event["index"].as_u64(), open);
                let (block, delta) = (&mut message["content"][open.expect("a block") as usize], &event["delta"]);
                let (from, to) = match delta["type"].as_str().expect("a type") {
                    "text_delta" => ("text", "text"),
                    "thinking_delta" => ("thinking", "thinking"),
                    "input_json_delta" => ("partial_json", "json"),
                    other => panic!("{other}"),
                };
                block[to] =
                    (block[to].as_str().unwrap_or_default().to_owned() + delta[from].as_str().expect("text")).into();
            }
            "content_block_stop" => {
                assert_eq!(event["index"].as_u64(), open.take());
                let block = &mut message["content"][event["index"].as_u64().expect("a number") as usize];
                if let Some(json) = block.as_object_mut().expect("a block").remove("json") {
                    block["input"] = serde_json::from_str(json.as_str().expect("text")).expect("JSON");
                }
            }
            "message_delta" => {
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                message["stop_sequence"] = event["delta"]["stop_sequence"].clone();
                message["usage"] = event["usage"].clone();
            }
            "message_stop" => assert_eq!(open, None),
            other => panic!("{other}"),
        }
    }
    message
}

fn field(error: &Error) -> (&str, &str) {
    match error {
        Error::InvalidRequest { field, .. } | Error::UnsupportedOption { field, .. } => (error.code(), field),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_has_the_text_of_a_chat_and_its_events_add_up_to_it() {
    let request =
        hello(json!({"system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "speed": "standard", "diagnostics": {"previous_message_id": null}}));
    let (whole, frames) = answer(&mut fake(), MESSAGES, &request).unwrap();
    assert!(frames.is_empty());
    let system = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]);
    let (chat, _) = answer(&mut fake(), CHAT, &json!({"messages": system, "max_tokens": 6, "temperature": 0})).unwrap();
    assert_eq!(whole["content"], json!([{"type": "text", "text": message_of(&chat)["content"]}]));
    let told = ["id", "type", "role", "model", "stop_reason", "stop_sequence"].map(|name| whole[name].clone());
    let wanted =
        [json!("msg_1"), json!("message"), json!("assistant"), json!("mistral/3b"), json!("max_tokens"), Value::Null];
    assert_eq!(told, wanted);
    let usage = &whole["usage"];
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&chat["usage"]["prompt_tokens"], &json!(6)));
    let (again, frames) = answer(&mut fake(), MESSAGES, &with(request.clone(), &json!({"stream": true}))).unwrap();
    assert_eq!((&added_up(&frames), &again), (&whole, &whole));
    assert_eq!(frames.last().and_then(|frame| frame.event), Some("message_stop"));
    // Cached tokens are counted apart.
    let mut engine = fake();
    answer(&mut engine, MESSAGES, &request).unwrap();
    let (cached, _) = answer(&mut engine, MESSAGES, &request).unwrap();
    let count = |name: &str| cached["usage"][name].as_u64().unwrap();
    assert_eq!(count("input_tokens"), 1);
    assert_eq!(count("input_tokens") + count("cache_read_input_tokens"), usage["input_tokens"].as_u64().unwrap());
    let counted = json!({"model": "gpt-4o", "messages": request["messages"], "system": "Be brief."});
    let (counted, _) = answer(&mut fake(), COUNT, &counted).unwrap();
    assert_eq!(counted, json!({"input_tokens": usage["input_tokens"]}));
}

#[test]
fn an_answer_ends_before_a_stop_sequence_and_names_it() {
    let (whole, _) = answer(&mut fake(), MESSAGES, &hello(json!({}))).unwrap();
    let text = whole["content"][0]["text"].as_str().unwrap();
    let stop = text.chars().nth(3).expect("a letter").to_string();
    let (cut, _) = answer(&mut fake(), MESSAGES, &hello(json!({"stop_sequences": ["nothing", stop]}))).unwrap();
    assert_eq!((&cut["stop_reason"], &cut["stop_sequence"]), (&json!("stop_sequence"), &json!(stop)));
    assert_eq!(cut["content"][0]["text"].as_str(), text.split(&*stop).next());
}

#[test]
fn tools_are_called_and_their_results_are_read() {
    let tool = json!({"name": "get_weather", "description": "The weather", "input_schema": weather()["parameters"]});
    let choice = json!({"type": "any", "disable_parallel_tool_use": true});
    let question =
        json!({"messages": [{"role": "user", "content": "How is it in Oslo?"}], "temperature": 1.5, "max_tokens": 60});
    let request = with(question.clone(), &json!({"tools": [tool], "tool_choice": choice}));
    let (whole, _) = answer(&mut roomy(), MESSAGES, &request).unwrap();
    assert_eq!(whole["stop_reason"], "tool_use");
    let block = &whole["content"][0];
    assert!(block["type"] == "tool_use" && block["id"].as_str().unwrap().starts_with("toolu_"), "{block}");
    let arguments = block["input"].to_string();
    check(&json!({"id": "call_1", "type": "function", "function": {"name": block["name"], "arguments": arguments}}));
    let (_, frames) = answer(&mut roomy(), MESSAGES, &with(request, &json!({"stream": true}))).unwrap();
    assert_eq!(added_up(&frames)["content"], whole["content"]);
    // A named tool, and no tool.
    let by = |choice: Value| with(question.clone(), &json!({"tools": [tool], "tool_choice": choice}));
    let (named, _) = answer(&mut roomy(), MESSAGES, &by(json!({"type": "tool", "name": "get_weather"}))).unwrap();
    assert_eq!(named["content"][0]["name"], "get_weather");
    let (none, _) = answer(&mut roomy(), MESSAGES, &by(json!({"type": "none"}))).unwrap();
    assert_eq!(none["content"][0]["type"], "text");
    // The prompt with the result is that of a chat whose arguments are those that the model wrote.
    let result = json!([{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "22"}]}, {"type": "text", "text": "So?"}]);
    let called = json!([{"type": "text", "text": "Let me look."}, {"type": "tool_use", "id": "a", "name": "f", "input": {"city": "Oslo", "days": 2}}]);
    let turns = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": called}, {"role": "user", "content": result}]);
    let (counted, _) = answer(&mut roomy(), COUNT, &json!({ "messages": turns })).unwrap();
    let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"city\": \"Oslo\", \"days\": 2}"}});
    let chat = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "Let me look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "22"}, {"role": "user", "content": "So?"}]);
    let (wanted, _) = answer(&mut roomy(), CHAT, &json!({"messages": chat, "max_tokens": 1})).unwrap();
    assert_eq!(counted["input_tokens"], wanted["usage"]["prompt_tokens"]);
}

#[test]
fn pictures_are_read_from_all_sources() {
    let picture = |source: Value| json!({"type": "image", "source": source});
    let content = json!([
        picture(json!({"type": "base64", "media_type": "image/png", "data": "AA=="})),
        picture(json!({"type": "url", "url": "https://example.invalid/a.png"})),
        {"type": "text", "text": "Compare"},
    ]);
    let read = work(MESSAGES, &hello(json!({"messages": [{"role": "user", "content": content}]}))).unwrap();
    let urls: Vec<_> = read.pictures.iter().map(|picture| (picture.url.as_str(), picture.field.as_str())).collect();
    let path = |index: usize, name: &str| format!("messages[0].content[{index}].source.{name}");
    let (first, second) = (path(0, "data"), path(1, "url"));
    assert_eq!(
        urls,
        [("data:image/png;base64,AA==", first.as_str()), ("https://example.invalid/a.png", second.as_str())]
    );
}

#[test]
fn thoughts_are_blocks_of_their_own() {
    for budget in 20..24 {
        let request = json!({"messages": ask_thinker(&json!({}))["messages"], "temperature": 0, "max_tokens": 60, "stream": true,
            "thinking": {"type": "enabled", "budget_tokens": budget}});
        let (whole, frames) = answer(&mut thinker(), MESSAGES, &request).unwrap();
        assert_eq!(added_up(&frames)["content"], whole["content"]);
        let kinds: Vec<_> = whole["content"].as_array().unwrap().iter().map(|block| block["type"].clone()).collect();
        assert!(kinds == ["thinking", "text"] || kinds == ["thinking"], "{whole}");
    }
    // A model that does not reason refuses to, unless it may decide.
    let other = |thinking: Value| work(MESSAGES, &hello(json!({"thinking": thinking})));
    assert_eq!(
        field(&other(json!({"type": "enabled", "budget_tokens": 1024})).unwrap_err()),
        ("unsupported-option", "thinking")
    );
    assert!(other(json!({"type": "adaptive"})).is_ok() && other(json!({"type": "disabled"})).is_ok());
}

#[test]
fn faults_are_named_in_the_format_of_the_api() {
    let refused = |more: Value| {
        let error = work(MESSAGES, &hello(more)).expect_err("a refusal");
        let (code, field) = field(&error);
        (code.to_owned(), field.to_owned())
    };
    let unsupported = |field: &str| ("unsupported-option".to_owned(), field.to_owned());
    let invalid = |field: &str| ("invalid-request".to_owned(), field.to_owned());
    assert_eq!(refused(json!({"n": 2})), unsupported("n"));
    assert_eq!(refused(json!({"max_tokens": null})), invalid("max_tokens"));
    assert_eq!(
        refused(json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]})),
        unsupported("tools[0].type")
    );
    assert_eq!(refused(json!({"tool_choice": {"type": "any"}})), invalid("tool_choice"));
    let turn = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let place = "messages[0].content[0]";
    assert_eq!(refused(turn(json!([{"type": "document", "source": {}}]))), unsupported(&format!("{place}.type")));
    assert_eq!(
        refused(turn(json!([{"type": "tool_result", "tool_use_id": "a"}]))),
        invalid(&format!("{place}.tool_use_id"))
    );
    assert_eq!(refused(json!({"messages": [{"role": "system", "content": "a"}]})), unsupported("messages[0].role"));
    let reply = Reply::from(&work(MESSAGES, &hello(json!({"n": 2}))).unwrap_err()).at(MESSAGES);
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(
        (&body["type"], &body["error"]["type"], reply.status),
        (&json!("error"), &json!("invalid_request_error"), 400)
    );
    let lost = Reply::from(&Error::DeviceLost { reason: "gone".into() });
    assert!(lost.clone().event(MESSAGES).starts_with("event: error\ndata: {"));
    let body: Value = serde_json::from_str(&lost.clone().at(COUNT).body).unwrap();
    assert_eq!((&body["error"]["type"], &body["error"]["code"]), (&json!("overloaded_error"), &json!("device_lost")));
    assert_eq!(lost.clone().at(CHAT), lost);
}
