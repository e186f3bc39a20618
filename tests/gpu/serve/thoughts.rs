//! Tools and reasoning over HTTP: a model with random weights and the tokens for both, at both endpoints, whole and streamed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::client::{Reply, Server};
use super::{CHAT, with};
use crate::packages::folder;
use crate::streams::{Added, added_up, replayed};

const RESPONSES: &str = "/v1/responses";
const CITIES: [&str; 3] = ["Oslo", "Rome", "New York"];

/// The tiny checkpoint of Qwen3.5 with the marks of calls, which its vocabulary lacks, and a context for tool definitions.
static PACKAGE: LazyLock<PathBuf> = LazyLock::new(|| {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR")).join("serve").join("thinker");
    let (checkpoint, package) = (tmp.join("checkpoint"), tmp.join("package"));
    let _ = std::fs::remove_dir_all(&tmp);
    std::fs::create_dir_all(&checkpoint).expect("a folder");
    for name in ["model.safetensors", "generation_config.json", "preprocessor_config.json", "chat_template.jinja"] {
        std::fs::copy(folder("qwen3_5").join(name), checkpoint.join(name)).expect("a file of the fixture");
    }
    let change = |name: &str, change: fn(&mut Value)| {
        let mut file =
            serde_json::from_slice(&std::fs::read(folder("qwen3_5").join(name)).expect("a file")).expect("JSON");
        change(&mut file);
        std::fs::write(checkpoint.join(name), file.to_string()).expect("a file");
    };
    change("config.json", |config| config["text_config"]["max_position_embeddings"] = json!(4096));
    change("tokenizer.json", |tokenizer| {
        let marks = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"].iter().enumerate();
        let marks = marks.map(|(i, mark)| json!({"id": 710 + i, "content": mark, "special": false}));
        tokenizer["added_tokens"].as_array_mut().expect("a list").extend(marks);
    });
    let mut pack = Command::new(env!("CARGO_BIN_EXE_ocelli"));
    let packed = pack.arg("pack").arg(&checkpoint).args(["--quant", "f32", "--out"]).arg(&package).output();
    let packed = packed.expect("the command");
    assert!(packed.status.success(), "{packed:?}");
    package
});

fn start() -> Server {
    Server::of(PACKAGE.to_str().expect("UTF-8"), &["--context", "2400"])
}

/// A question that is answered with a call, and with reasoning if requested.
fn ask(path: &str, more: &Value) -> Value {
    let parameters = json!({"type": "object", "additionalProperties": false, "required": ["city", "days", "metric"],
        "properties": {"city": {"enum": CITIES}, "days": {"type": "integer", "minimum": 1, "maximum": 9}, "metric": {"type": "boolean"}}});
    let function = json!({"name": "get_weather", "description": "The weather of some days", "parameters": parameters});
    let question = json!([{"role": "user", "content": "How is it in Oslo?"}]);
    let request = match path == CHAT {
        true => json!({"messages": question, "max_tokens": 200, "tools": [{"type": "function", "function": function}]}),
        false => {
            json!({"input": question, "max_output_tokens": 200, "tools": [with(function, json!({"type": "function"}))]})
        }
    };
    with(
        with(request, json!({"temperature": 0, "tool_choice": "required", "parallel_tool_calls": false})),
        more.clone(),
    )
}

fn post(server: &Server, path: &str, request: &Value) -> Value {
    let reply = server.post(path, request);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

fn stream(server: &Server, path: &str, request: &Value) -> Reply {
    server.post(path, &with(request.clone(), json!({"stream": true})))
}

/// A chat, which must equal the sum of its stream.
fn chat(server: &Server, request: &Value) -> (Value, Added) {
    let (whole, reply) = (post(server, CHAT, request), stream(server, CHAT, request));
    let added = added_up(reply.events().filter(|data| *data != "[DONE]"));
    let wanted = Added::of(&whole);
    assert_eq!((&added.thoughts, &added.text, &added.reason), (&wanted.thoughts, &wanted.text, &wanted.reason));
    // Ids of calls differ between requests.
    let functions = |added: &Added| added.calls.iter().map(|call| call["function"].clone()).collect::<Vec<_>>();
    assert_eq!(functions(&added), functions(&wanted));
    (whole, wanted)
}

/// The output of a response, which must equal the sum of its stream except for ids.
fn respond(server: &Server, request: &Value) -> (Value, Vec<Value>) {
    let (whole, reply) = (post(server, RESPONSES, request), stream(server, RESPONSES, request));
    let (added, _) = replayed(reply.events());
    let said = |response: &Value| {
        let mut items = response["output"].as_array().expect("items").clone();
        items.iter_mut().filter_map(Value::as_object_mut).for_each(|item| {
            item.remove("id");
            item.remove("call_id");
        });
        (items, response["status"].clone())
    };
    assert_eq!(said(&added), said(&whole));
    let output = whole["output"].as_array().expect("items").clone();
    (whole, output)
}

fn check(name: &Value, arguments: &Value) {
    assert_eq!(name, "get_weather");
    let arguments: Value = serde_json::from_str(arguments.as_str().expect("text")).expect("JSON");
    let [city, days, metric] = ["city", "days", "metric"].map(|name| &arguments[name]);
    assert!(city.as_str().is_some_and(|city| CITIES.contains(&city)) && metric.is_boolean(), "{arguments}");
    assert!(days.as_u64().is_some_and(|days| (1..=9).contains(&days)), "{arguments}");
    assert_eq!(arguments.as_object().map(serde_json::Map::len), Some(3), "{arguments}");
}

#[test]
fn required_calls_fit_their_schema_and_accept_their_results() {
    let server = start();
    for thinks in [json!({}), json!({"enable_thinking": true, "thinking_budget": 6})] {
        let (whole, Added { thoughts, text, calls, reason }) = chat(&server, &ask(CHAT, &thinks));
        assert_eq!((text.as_str(), calls.len(), &reason), ("", 1, &json!("tool_calls")), "{whole}");
        assert_eq!(thoughts.is_empty(), thinks == json!({}), "{whole}");
        check(&calls[0]["function"]["name"], &calls[0]["function"]["arguments"]);
        let request = ask(CHAT, &json!({"tool_choice": "auto", "max_tokens": 8}));
        let said = whole["choices"][0]["message"].clone();
        let result = json!({"role": "tool", "tool_call_id": calls[0]["id"], "content": "3 degrees"});
        let messages = json!([request["messages"][0], said, result]);
        let (after, _) = chat(&server, &with(request, json!({"messages": messages})));
        let tokens = |whole: &Value| whole["usage"]["prompt_tokens"].as_u64().expect("a number");
        assert!(tokens(&after) > tokens(&whole) + 8, "{after}");

        // A response has the same content, and continues in the same way.
        let (response, output) = respond(&server, &ask(RESPONSES, &thinks));
        let call = output.last().expect("a call");
        assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!("get_weather")), "{response}");
        assert_eq!(call["arguments"], calls[0]["function"]["arguments"]);
        let thought = output.iter().find(|item| item["type"] == "reasoning").map(|item| &item["content"][0]["text"]);
        assert_eq!(
            (thought, output.len()),
            (Some(&json!(thoughts)).filter(|_| !thoughts.is_empty()), 1 + usize::from(!thoughts.is_empty()))
        );
        let request = ask(RESPONSES, &json!({"tool_choice": "auto", "max_output_tokens": 8}));
        let result = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "3 degrees"});
        let input = [&[request["input"][0].clone()], &output[..], &[result]].concat();
        let (again, items) = respond(&server, &with(request, json!({"input": input})));
        assert_eq!(again["usage"]["input_tokens"], after["usage"]["prompt_tokens"]);
        assert_eq!(items[0]["content"][0]["text"], after["choices"][0]["message"]["content"]);
    }
}

#[test]
fn thoughts_end_at_their_limit_and_the_answer_follows() {
    let server = start();
    let bare = json!({"tools": [], "tool_choice": "none"});
    let budget = 7;
    let request = with(ask(CHAT, &bare), json!({"reasoning_effort": "high", "thinking_budget": budget}));
    let (whole, Added { thoughts, text, calls, .. }) = chat(&server, &request);
    assert!(thoughts.contains("Considering the limited time") && !text.is_empty() && calls.is_empty(), "{whole}");
    let tokens = &whole["usage"]["completion_tokens_details"]["reasoning_tokens"];
    assert!(
        tokens.as_u64() > Some(budget) && tokens.as_u64() < whole["usage"]["completion_tokens"].as_u64(),
        "{whole}"
    );
    let request = with(ask(RESPONSES, &bare), json!({"reasoning": {"effort": "high"}, "thinking_budget": budget}));
    let (response, output) = respond(&server, &request);
    let told: Vec<_> = output.iter().map(|item| (&item["type"], &item["content"][0]["text"])).collect();
    assert_eq!(told, [(&json!("reasoning"), &json!(thoughts)), (&json!("message"), &json!(text))]);
    assert_eq!(&response["usage"]["output_tokens_details"]["reasoning_tokens"], tokens);
    let (cut, output) = respond(&server, &with(request, json!({"max_output_tokens": 5})));
    assert_eq!(
        (&cut["status"], output.len(), &output[0]["type"]),
        (&json!("incomplete"), 1, &json!("reasoning")),
        "{cut}"
    );
    let error = server.post(RESPONSES, &json!({"input": "a", "reasoning": {"effort": "much"}})).error();
    assert_eq!(error, (400, "invalid_value".into(), json!("reasoning.effort")));
    // A model that does not reason refuses to, but ignores an effort.
    let demo = Server::start(&[]);
    let refused = demo.post(RESPONSES, &json!({"input": "a", "enable_thinking": true})).error();
    assert_eq!(refused, (400, "unsupported_parameter".into(), json!("enable_thinking")));
    let effort = json!({"input": "a", "reasoning": {"effort": "low"}, "max_output_tokens": 2});
    assert_eq!(demo.post(RESPONSES, &effort).status, 200);
}
