//! Calls that no token begins: an answer of a model like Llama 3.2 is a call or text, which its first character decides.

use std::sync::{Arc, LazyLock};

use ocelli::Error;
use ocelli::chat::Tokenizer;
use ocelli::engine::{Engine, LoadOptions, Speculation};
use ocelli::layout::Layout;
use ocelli_synth::published;
use serde_json::{Value, json};

use super::tools::{check, clock, weather};
use super::{CHAT, answer, are_the_same_whatever_is_lost, streamed, with, work_for};
use crate::generation::FakeEngine;
use crate::generation::backend::FakeBackend;
use crate::generation::fake::Kind;
use crate::manifests;
use crate::streams::Added;

static TOKENIZER: LazyLock<Arc<Tokenizer>> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/checkpoints/mllama/tokenizer.json");
    Arc::new(Tokenizer::from_json(&std::fs::read(path).unwrap()).unwrap())
});

fn llama(kind: Kind, speculation: Speculation) -> FakeEngine {
    let mut manifest = manifests::manifest(published("llama-3.2-11b-vision").unwrap(), Layout::Q4_0, Layout::Q4_0);
    (manifest.chat.template, manifest.chat.eos_token_ids) = ("llama3_vision".into(), vec![326]);
    let backend = FakeBackend::new(kind, manifest, TOKENIZER.vocab_size(), (2400, 16)).with(40, 2);
    Engine::new(backend, TOKENIZER.clone(), &LoadOptions { speculation, ..LoadOptions::new(|| 0.0) })
}

fn engine() -> FakeEngine {
    llama(Kind::Attention, Speculation::Off)
}

fn ask(choice: &str, more: &Value) -> Value {
    let tools = json!([{"type": "function", "function": weather()}, {"type": "function", "function": clock()}]);
    let request = json!({"messages": [{"role": "user", "content": "How is it in Oslo?"}], "temperature": 1.5, "max_tokens": 90,
        "tools": tools, "tool_choice": choice});
    with(request, more)
}

/// Makes a brace as likely as a letter; most tokens that the model prefers begin no text.
fn braces() -> Value {
    let token = |text: &str| TOKENIZER.encode_text(text).unwrap()[0].to_string();
    json!({token("{"): 12, token("x"): 12})
}

#[test]
fn a_required_call_is_made_and_fits() {
    for seed in 0..8 {
        let request = ask("required", &json!({"seed": seed}));
        let (whole, _) = answer(&mut engine(), CHAT, &request).unwrap();
        let choice = &whole["choices"][0];
        let calls = choice["message"]["tool_calls"].as_array().unwrap_or_else(|| panic!("{whole}"));
        assert_eq!((calls.len(), &choice["finish_reason"]), (1, &json!("tool_calls")), "{whole}");
        assert_eq!(choice["message"]["content"], Value::Null);
        check(&calls[0]);
        assert_eq!(streamed(&mut engine(), &request), Added::of(&whole));
    }
}

#[test]
fn an_answer_is_a_call_or_unconstrained_text() {
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
    // After the first token, drafts are used again.
    let mut drafting = llama(Kind::Attention, Speculation::Always);
    let (text, _) = answer(&mut drafting, CHAT, &ask("auto", &json!({"temperature": 0}))).unwrap();
    let drafted = &text["usage"]["completion_tokens_details"]["accepted_prediction_tokens"];
    assert!(drafted.as_u64().unwrap() > 0, "{text}");
}

#[test]
fn calls_and_text_are_the_same_whatever_is_lost() {
    for request in
        [ask("auto", &json!({"seed": 1})), ask("auto", &json!({"temperature": 0})), ask("required", &json!({}))]
    {
        are_the_same_whatever_is_lost(llama, (CHAT, &request), 13);
    }
}

#[test]
fn a_format_with_optional_tools_is_refused() {
    let format = json!({"response_format": {"type": "json_object"}});
    let error = work_for(&engine(), CHAT, &ask("auto", &format)).unwrap_err();
    assert!(matches!(error, Error::UnsupportedOption { field, .. } if field == "response_format"));
    assert!(work_for(&engine(), CHAT, &ask("required", &format)).is_ok(), "then it is a call");
}
