//! Answers of a model with reasoning: with and without it, limited, within formats, before calls, after device losses.

use std::sync::{Arc, LazyLock};

use ocelli::Error;
use ocelli::chat::Tokenizer;
use ocelli::engine::{Engine, LoadOptions, Speculation};
use ocelli::layout::Layout;
use ocelli::package::manifest::Manifest;
use ocelli_synth::published;
use serde_json::{Value, json};

use super::elements::{bounded_schema, with_tool};
use super::{CHAT, answer, are_the_same_whatever_is_lost, streamed, with, work, work_for};
use crate::generation::FakeEngine;
use crate::generation::backend::FakeBackend;
use crate::generation::fake::Kind;
use crate::manifests;
use crate::streams::Added;

const CUT: &str = "Considering the limited time by the user";

/// Vocabulary of the tiny checkpoint, with the marks of calls.
pub(super) static TOKENIZER: LazyLock<Arc<Tokenizer>> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/checkpoints/qwen3_5/tokenizer.json");
    let mut file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let added = file["added_tokens"].as_array_mut().unwrap();
    for (i, name) in ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"].iter().enumerate() {
        added.push(json!({"id": 710 + i, "content": name, "special": false}));
    }
    Arc::new(Tokenizer::from_json(file.to_string().as_bytes()).unwrap())
});

pub(super) fn thinker_of(kind: Kind, speculation: Speculation) -> FakeEngine {
    let config = published("qwen3.5-0.8b").unwrap();
    let mut manifest: Manifest = manifests::manifest(config, Layout::Q4_0, Layout::Q4_0);
    (manifest.chat.template, manifest.chat.eos_token_ids) = ("qwen3.5".into(), vec![702]);
    let backend = FakeBackend::new(kind, manifest, TOKENIZER.vocab_size(), (2400, 16)).with(40, 2);
    Engine::new(backend, TOKENIZER.clone(), &LoadOptions { speculation, ..LoadOptions::new(|| 0.0) })
}

pub(super) fn thinker() -> FakeEngine {
    thinker_of(Kind::Recurrence, Speculation::Off)
}

pub(super) fn ask(more: &Value) -> Value {
    let request = json!({"messages": [{"role": "user", "content": "How is it?"}], "temperature": 1.5, "top_k": null,
        "presence_penalty": 0, "max_tokens": 60, "chat_template_kwargs": {"enable_thinking": true}, "logit_bias": {"709": 11}});
    with(request, more)
}

pub(super) fn message(whole: &Value) -> &Value {
    &whole["choices"][0]["message"]
}

#[test]
fn thoughts_are_separated_from_the_answer() {
    let (mut ended, mut stopped) = (0, 0);
    for seed in 0..12 {
        let request = ask(&json!({"seed": seed}));
        let (whole, _) = answer(&mut thinker(), CHAT, &request).unwrap();
        let said = message(&whole);
        let told = streamed(&mut thinker(), &request);
        assert_eq!(told, Added::of(&whole), "{whole}");
        let Added { thoughts, text, .. } = told;
        assert!(!text.contains("</think>") && !thoughts.contains("</think>") && text.trim_start() == text);
        assert_eq!(thoughts.trim(), thoughts);
        let details = &whole["usage"]["completion_tokens_details"];
        ended += usize::from(!text.is_empty());
        let counted = details["reasoning_tokens"].as_u64().unwrap_or_default();
        assert!(counted <= whole["usage"]["completion_tokens"].as_u64().unwrap());
        // Stop strings apply only to the answer.
        if let (Some(first), Some(word)) = (thoughts.chars().next(), text.chars().nth(3)) {
            let stops = [first.to_string(), word.to_string()];
            let (again, _) = answer(&mut thinker(), CHAT, &ask(&json!({"seed": seed, "stop": stops}))).unwrap();
            assert_eq!(message(&again)["reasoning_content"], said["reasoning_content"]);
            assert!(!message(&again)["content"].as_str().unwrap().contains(&stops[..].concat()));
            stopped += 1;
        }
    }
    assert!(ended > 4 && stopped > 2, "{ended} of 12 have an answer, {stopped} were stopped");
}

#[test]
fn the_fields_of_all_clients_turn_thoughts_on_and_they_are_off_by_default() {
    let tokens = |more: &Value| {
        let request = json!({"messages": [{"role": "user", "content": "a"}], "temperature": 0, "max_tokens": 4});
        let (whole, _) = answer(&mut thinker(), CHAT, &with(request, more)).unwrap();
        (whole["usage"]["prompt_tokens"].as_u64().unwrap(), !message(&whole)["reasoning_content"].is_null())
    };
    let (at_once, _) = tokens(&json!({}));
    for on in [
        json!({"enable_thinking": true}),
        json!({"chat_template_kwargs": {"enable_thinking": true}}),
        json!({"reasoning_effort": "low"}),
        json!({"reasoning_effort": "high"}),
        json!({"thinking_budget": 50}),
        json!({"thinking_token_budget": -1}),
        json!({"enable_thinking": true, "thinking_budget_tokens": 7}),
        json!({"chat_template_kwargs": {"enable_thinking": true}, "reasoning_effort": "none"}),
    ] {
        let (tokens, thinks) = tokens(&on);
        assert!(thinks && tokens < at_once, "{on}");
    }
    for off in [
        json!({"enable_thinking": false}),
        json!({"chat_template_kwargs": {"enable_thinking": false}, "reasoning_effort": "high"}),
        json!({"reasoning_effort": "none"}),
        json!({"reasoning_effort": "auto"}),
        json!({"enable_thinking": true, "thinking_budget": 0}),
        json!({"enable_thinking": false, "thinking_budget": 9}),
    ] {
        assert_eq!(tokens(&off), (at_once, false), "{off}");
    }
    let refused = |more: &Value| work_for(&thinker(), CHAT, &ask(more)).unwrap_err();
    assert!(
        matches!(refused(&json!({"reasoning_effort": "much"})), Error::InvalidRequest { field, .. } if field == "reasoning_effort")
    );
    assert!(
        matches!(refused(&json!({"thinking_budget": -2})), Error::InvalidRequest { field, .. } if field == "thinking_budget")
    );
    let unknown = refused(&json!({"chat_template_kwargs": {"add_vision_id": true}}));
    assert!(matches!(unknown, Error::UnsupportedOption { field, .. } if field == "chat_template_kwargs.add_vision_id"));
    // A model without reasoning refuses it, unless the request turns it off.
    let other = |more: &Value| work(CHAT, &with(json!({"messages": [{"role": "user", "content": "a"}]}), more));
    let error = other(&json!({"chat_template_kwargs": {"enable_thinking": true}})).unwrap_err();
    assert!(matches!(error, Error::UnsupportedOption { field, .. } if field == "chat_template_kwargs.enable_thinking"));
    assert!(other(&json!({"chat_template_kwargs": {"enable_thinking": false}, "reasoning_effort": "none"})).is_ok());
    // Applications set an effort for all models.
    assert!(other(&json!({"reasoning_effort": "high"})).is_ok());
    let error = other(&json!({"reasoning_effort": "much"})).unwrap_err();
    assert!(matches!(error, Error::InvalidRequest { field, .. } if field == "reasoning_effort"));
}

#[test]
fn sampling_defaults_follow_the_model_card_with_and_without_thoughts() {
    let sampling = |messages: Value, thinks: bool| {
        let request = json!({"messages": messages, "enable_thinking": thinks});
        let work = format!("{:?}", work_for(&thinker(), CHAT, &request).unwrap());
        let field = |name: &str| {
            let rest = work.split(&format!("{name}: ")).nth(1).unwrap();
            rest[..rest.find(',').unwrap()].to_owned()
        };
        ["temperature", "top_p", "presence_penalty", "top_k"].map(field)
    };
    let text = json!([{"role": "user", "content": "a"}]);
    let picture = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]);
    assert_eq!(sampling(text.clone(), true), ["1.0", "0.95", "1.5", "Some(20)"]);
    assert_eq!(sampling(picture, true), ["0.6", "0.95", "0.0", "Some(20)"]);
    assert_ne!(sampling(text, false)[1], "0.95");
}

#[test]
fn thoughts_that_become_too_long_are_cut() {
    for (budget, speculation) in [(1, Speculation::Off), (9, Speculation::Off), (9, Speculation::Always)] {
        let request = ask(&json!({"temperature": 0, "thinking_budget": budget, "max_tokens": 140, "logit_bias": {}}));
        let engine = &mut thinker_of(Kind::Attention, speculation);
        let (whole, _) = answer(engine, CHAT, &request).unwrap();
        let said = message(&whole);
        let thoughts = said["reasoning_content"].as_str().unwrap();
        let (before, cut) = thoughts.split_at(thoughts.find(CUT).unwrap_or_else(|| panic!("{whole}")));
        let tokens = whole["usage"]["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap() as usize;
        // The token that ends the reasoning is not counted.
        assert_eq!(tokens + 1, budget + engine.thinking().unwrap().syntax.cut.len(), "{before}");
        assert!(cut.ends_with("directly now."), "{cut}");
        assert!(said["content"].as_str().unwrap().len() > 20, "the answer continues: {whole}");
        assert_eq!(streamed(&mut thinker_of(Kind::Attention, speculation), &request), Added::of(&whole));
        // An answer with fewer tokens ends within its reasoning.
        let (short, _) = answer(
            engine,
            CHAT,
            &ask(&json!({"temperature": 0, "thinking_budget": budget,
            "max_tokens": budget + 3, "logit_bias": {}})),
        )
        .unwrap();
        assert_eq!(
            (&message(&short)["content"], &short["choices"][0]["finish_reason"]),
            (&json!(""), &json!("length"))
        );
        assert_eq!(short["usage"]["completion_tokens"], budget + 3);
    }
}

#[test]
fn a_format_applies_after_the_thoughts() {
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "required": ["n"],
        "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}}}}});
    for seed in 0..8 {
        let request = ask(&json!({"seed": seed, "response_format": format, "thinking_budget": 12, "max_tokens": 200}));
        let (whole, _) = answer(&mut thinker(), CHAT, &request).unwrap();
        assert_eq!(whole["choices"][0]["finish_reason"], "stop", "{whole}");
        let value: Value = serde_json::from_str(message(&whole)["content"].as_str().unwrap()).unwrap();
        assert!(value["n"].as_u64().is_some_and(|number| number < 100), "{whole}");
        assert_eq!(streamed(&mut thinker(), &request), Added::of(&whole));
    }
}

#[test]
fn thoughts_and_calls_are_the_same_whatever_is_lost_and_however_tokens_are_computed() {
    for request in [
        ask(&json!({"temperature": 0, "thinking_budget": 9, "max_tokens": 60, "logit_bias": {}})),
        ask(&json!({"seed": 2, "presence_penalty": 0.5, "logprobs": true})),
        with_tool(&bounded_schema(), &json!({"tool_choice": "required", "thinking_budget": 5, "max_tokens": 90})),
    ] {
        are_the_same_whatever_is_lost(thinker_of, (CHAT, &request), 17);
    }
}
