//! Calls that no token begins: an answer of a model of Llama 3.2's kind is a call or text, and its first character tells which.

use std::sync::{Arc, LazyLock};

use ocelli::Error;
use ocelli::chat::Tokenizer;
use ocelli::engine::{Engine, LoadOptions, Speculation};
use ocelli::families::published;
use ocelli::weights::layout::Layout;
use serde_json::{Value, json};

use super::tools::added_up;
use super::{answer, work_for};
use crate::generation::backend::FakeBackend;
use crate::generation::fake::Kind;
use crate::generation::{FakeEngine, KINDS};
use crate::on_paper;

const CHAT: &str = "/v1/chat/completions";

static TOKENIZER: LazyLock<Arc<Tokenizer>> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/checkpoints/mllama/tokenizer.json");
    Arc::new(Tokenizer::from_json(&std::fs::read(path).unwrap()).unwrap())
});

fn llama(kind: Kind, speculation: Speculation) -> FakeEngine {
    let mut manifest = on_paper::manifest(published("llama-3.2-11b-vision").unwrap(), Layout::Q4_0, Layout::Q4_0);
    (manifest.chat.template, manifest.chat.eos_token_ids) = ("llama3_vision".into(), vec![326]);
    let backend = FakeBackend::new(kind, manifest, TOKENIZER.vocab_size(), (2400, 16)).with(40, 2);
    Engine::new(backend, TOKENIZER.clone(), &LoadOptions { speculation, ..LoadOptions::new(|| 0.0) })
}

fn engine() -> FakeEngine {
    llama(Kind::Attention, Speculation::Off)
}

fn ask(choice: &str, more: &Value) -> Value {
    let parameters = json!({"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}, "days": {"type": "integer",
        "minimum": 1, "maximum": 9}}, "required": ["city", "days"], "additionalProperties": false});
    let tools = json!([{"type": "function", "function": {"name": "get_weather", "parameters": parameters}},
        {"type": "function", "function": {"name": "clock"}}]);
    let mut request = json!({"messages": [{"role": "user", "content": "How is it in Oslo?"}], "temperature": 1.5, "max_tokens": 90,
        "tools": tools, "tool_choice": choice});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

fn check(call: &Value) {
    let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    match call["function"]["name"].as_str().unwrap() {
        "clock" => assert_eq!(arguments, json!({})),
        name => {
            assert_eq!(name, "get_weather");
            assert!(["Oslo", "Rome"].contains(&arguments["city"].as_str().unwrap()), "{arguments}");
            assert!((1..=9).contains(&arguments["days"].as_u64().unwrap()), "{arguments}");
        }
    }
}

/// Makes a brace as likely as a letter; most of what the model says by itself begins no text.
fn braces() -> Value {
    let token = |text: &str| TOKENIZER.encode_text(text).unwrap()[0].to_string();
    json!({token("{"): 12, token("x"): 12})
}

#[test]
fn a_call_that_must_come_is_one_and_fits() {
    for seed in 0..8 {
        let request = ask("required", &json!({"seed": seed}));
        let (whole, _) = answer(&mut engine(), CHAT, &request).unwrap();
        let choice = &whole["choices"][0];
        let calls = choice["message"]["tool_calls"].as_array().unwrap_or_else(|| panic!("{whole}"));
        assert_eq!((calls.len(), &choice["finish_reason"]), (1, &json!("tool_calls")), "{whole}");
        assert_eq!(choice["message"]["content"], Value::Null);
        check(&calls[0]);
        let (_, frames) =
            answer(&mut engine(), CHAT, &ask("required", &json!({"seed": seed, "stream": true}))).unwrap();
        assert_eq!(added_up(&frames), (String::new(), calls.clone(), json!("tool_calls")));
    }
}

#[test]
fn an_answer_is_a_call_or_text_and_nothing_holds_text() {
    let (mut called, mut said) = (0, 0);
    for seed in 0..20 {
        let request = ask("auto", &json!({"seed": seed, "logit_bias": braces()}));
        let (whole, _) = answer(&mut engine(), CHAT, &request).unwrap();
        let choice = &whole["choices"][0];
        match choice["message"]["tool_calls"].as_array() {
            Some(calls) => {
                assert_eq!((calls.len(), &choice["finish_reason"]), (1, &json!("tool_calls")));
                check(&calls[0]);
                called += 1;
            }
            None => {
                let text = choice["message"]["content"].as_str().unwrap();
                assert!(!text.starts_with('{') && text.contains('{'), "braces may come later: {text}");
                assert_eq!(whole["usage"]["completion_tokens"], 90);
                said += 1;
            }
        }
    }
    assert!(called > 2 && said > 2, "{called} called, {said} said");
    // Behind the first token drafts are taken again.
    let mut drafting = llama(Kind::Attention, Speculation::Always);
    let (text, _) = answer(&mut drafting, CHAT, &ask("auto", &json!({"temperature": 0}))).unwrap();
    let drafted = &text["usage"]["completion_tokens_details"]["accepted_prediction_tokens"];
    assert!(drafted.as_u64().unwrap() > 0, "{text}");
}

#[test]
fn calls_and_text_are_the_same_whatever_is_lost() {
    for kind in KINDS {
        for request in
            [ask("auto", &json!({"seed": 1})), ask("auto", &json!({"temperature": 0})), ask("required", &json!({}))]
        {
            let (whole, _) = answer(&mut llama(kind, Speculation::Off), CHAT, &request).unwrap();
            let mut other = llama(kind, Speculation::Always);
            assert_eq!(
                answer(&mut other, CHAT, &request).unwrap().0["choices"],
                whole["choices"],
                "{kind:?} {request}"
            );
            let (end, mut at) = (other.backend().faults.borrow().operations, 0);
            while at < end {
                let now = other.backend().faults.borrow().operations;
                other.backend().faults.borrow_mut().lose_at = vec![now + at];
                let (again, _) = answer(&mut other, CHAT, &request).unwrap();
                assert_eq!(again["choices"], whole["choices"], "{kind:?} lost at {at}: {request}");
                at += 13;
            }
        }
    }
}

#[test]
fn a_format_beside_tools_that_may_be_called_is_refused() {
    let format = json!({"response_format": {"type": "json_object"}});
    let error = work_for(&engine(), CHAT, &ask("auto", &format)).unwrap_err();
    assert!(matches!(error, Error::UnsupportedOption { field, .. } if field == "response_format"));
    assert!(work_for(&engine(), CHAT, &ask("required", &format)).is_ok(), "then it is a call");
}
