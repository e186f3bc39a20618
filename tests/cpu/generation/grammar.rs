//! Answers follow their grammar, whatever the model prefers, whatever fails meanwhile and however forced tokens are computed.

use std::rc::Rc;
use std::sync::LazyLock;

use ocelli::engine::{FinishReason, Request, Speculation};
use ocelli::grammar::native::NativeGrammars;
use ocelli::grammar::{Format, Grammar};
use ocelli::sampling::SamplingOptions;

use super::{KINDS, MANIFEST, TOKENIZER, ask, engine, generate};

fn grammar(format: &Format) -> Rc<dyn Grammar> {
    thread_local! {
        static GRAMMARS: LazyLock<NativeGrammars> =
            LazyLock::new(|| NativeGrammars::new(&TOKENIZER, &MANIFEST.chat.eos_token_ids).expect("a vocabulary"));
    }
    Rc::new(GRAMMARS.with(|grammars| grammars.grammar(format)).expect("a grammar"))
}

fn formats() -> [Format; 4] {
    let record = r#"{"type": "object", "properties": {"zeta": {"type": "integer", "minimum": 0, "maximum": 99},
        "alpha": {"enum": ["red", "green", "blue"]}, "list": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3}},
        "required": ["zeta", "alpha", "list"], "additionalProperties": false}"#;
    [
        Format::JsonSchema(record.into()),
        Format::JsonSchema(r#"{"const": {"nothing": ["to", "choose"]}}"#.into()),
        Format::Regex("(ab|cd){2,5}x".into()),
        Format::Lark("start: \"[\" item (\", \" item){0,4} \"]\"\nitem: /[a-z]{1,4}/".into()),
    ]
}

/// A greedy request and a random one.
fn requests(format: &Format) -> [Request; 2] {
    [0.0, 1.5].map(|temperature| {
        let sampling = SamplingOptions { temperature, seed: 3, ..SamplingOptions::default() };
        Request { sampling, grammar: Some(grammar(format)), ..ask(&[1, 2, 3, 4], 120) }
    })
}

#[test]
fn answers_fit_their_grammar_and_end() {
    for format in formats() {
        for request in requests(&format) {
            let mut engine = engine(KINDS[0], Speculation::Off, (300, 8));
            let answer = generate(&mut engine, &request).expect("an answer");
            let text = &answer.text;
            assert_eq!(answer.finish_reason, FinishReason::Stop, "{text}");
            match &format {
                Format::JsonSchema(schema) if schema.contains("zeta") => {
                    assert!(
                        text.starts_with(r#"{"zeta": "#),
                        "fixed separators, and keys in the schema's order: {text}"
                    );
                    let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
                    assert!(value["zeta"].as_u64().is_some_and(|number| number < 100), "{text}");
                    assert!(["red", "green", "blue"].contains(&value["alpha"].as_str().expect("a string")), "{text}");
                    assert!(value["list"].as_array().is_some_and(|list| list.len() <= 3), "{text}");
                    assert!(answer.usage.forced_tokens > 5, "{:?}", answer.usage);
                }
                Format::JsonSchema(_) => {
                    assert_eq!(text, r#"{"nothing": ["to", "choose"]}"#);
                    assert_eq!(answer.usage.forced_tokens, answer.tokens.len(), "nothing was drawn");
                }
                Format::Regex(_) => {
                    let pairs = text.strip_suffix('x').expect("x").as_bytes().chunks(2);
                    assert!(
                        (2..=5).contains(&pairs.len()) && pairs.into_iter().all(|pair| pair == b"ab" || pair == b"cd")
                    );
                }
                Format::Lark(_) | Format::Rules { .. } => {
                    assert!(text.starts_with('[') && text.ends_with(']') && !text.contains(", ]"), "{text}");
                }
            }
        }
    }
}

/// Formats with many forced tokens, some of them within strings, numbers and lists.
fn mostly_forced() -> [Format; 5] {
    let list = r#"{"type": "array", "items": {"type": "object", "properties": {"name": {"enum": ["left", "right"]},
        "box": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 4, "maxItems": 4}},
        "required": ["name", "box"], "additionalProperties": false}, "minItems": 2, "maxItems": 3}"#;
    let deep = r#"{"type": "object", "properties": {"outer": {"type": "object", "properties": {"inner": {"type": "object",
        "properties": {"is_set": {"type": "boolean"}}, "required": ["is_set"], "additionalProperties": false}},
        "required": ["inner"], "additionalProperties": false}, "note": {"type": "string", "maxLength": 4}},
        "required": ["outer", "note"], "additionalProperties": false}"#;
    let choice = r#"{"anyOf": [{"const": {"kind": "circle", "radius": 1}}, {"const": {"kind": "square", "side": 2}}, {"type": "null"}]}"#;
    [
        Format::JsonSchema(list.into()),
        Format::JsonSchema(deep.into()),
        Format::JsonSchema(choice.into()),
        Format::JsonSchema(r#"{"type": "string", "pattern": "^[A-F]{2}-[0-9]{3}/[a-c]$"}"#.into()),
        Format::Regex("(yes|no), because (it is|they are) (small|large)\\.".into()),
    ]
}

/// Forced tokens are computed in the pass of the token drawn before them, 8 rows per pass, and nothing is drawn without a choice.
#[test]
fn forced_tokens_take_no_pass_of_their_own() {
    let mut forced_in_all = 0;
    for format in formats().into_iter().chain(mostly_forced()) {
        for request in requests(&format) {
            let mut engine = engine(KINDS[0], Speculation::Always, (300, 8));
            let answer = generate(&mut engine, &request).expect("an answer");
            let mut constraint = grammar(&format).start().expect("an answer that has not begun");
            let (mut passes, mut run, mut forced) = (0, 0usize, 0);
            let mut mask = vec![0u32; TOKENIZER.vocab_size().div_ceil(32)]; // [vocab / 32]
            for &token in &answer.tokens {
                if constraint.forced().expect("what must come").is_empty() {
                    passes += run.div_ceil(8);
                    run = 0;
                    constraint.mask(&mut mask).expect("what may come");
                    let choices: u32 = mask.iter().map(|word| word.count_ones()).sum();
                    assert!(choices > 1, "{:?} was forced after {} passes of {:?}", token, passes, answer.text);
                } else {
                    forced += 1;
                }
                run += 1;
                assert_eq!(constraint.commit(&[token]).expect("a token"), 1);
            }
            assert_eq!(answer.usage.forced_tokens, forced, "{}", answer.text);
            assert_eq!(engine.backend().faults.borrow().passes, passes, "{}", answer.text);
            forced_in_all += forced;
        }
    }
    assert!(forced_in_all > 200, "{forced_in_all}");
}

#[test]
fn device_losses_draft_passes_and_limits_change_no_answer() {
    for kind in KINDS {
        for format in formats() {
            for request in requests(&format) {
                let plain = generate(&mut engine(kind, Speculation::Off, (300, 8)), &request).expect("an answer");
                let mut engine = engine(kind, Speculation::Always, (300, 8));
                let passes = generate(&mut engine, &request).expect("an answer");
                assert_eq!(passes.tokens, plain.tokens, "{kind:?} {format:?}");
                let (end, mut at) = (engine.backend().faults.borrow().operations, 0);
                while at < end {
                    let now = engine.backend().faults.borrow().operations;
                    engine.backend().faults.borrow_mut().lose_at = vec![now + at, now + at + 9];
                    let again = generate(&mut engine, &request).expect("an answer");
                    assert_eq!(again.tokens, plain.tokens, "{kind:?} {format:?} lost at {at}");
                    at += 3;
                }
                engine.backend().faults.borrow_mut().lose_at.clear();
                for most in 1..plain.tokens.len() {
                    let cut = generate(&mut engine, &Request { max_tokens: Some(most), ..request.clone() });
                    let cut = cut.expect("an answer");
                    assert_eq!((&cut.tokens[..], cut.finish_reason), (&plain.tokens[..most], FinishReason::Length));
                }
            }
        }
    }
}
