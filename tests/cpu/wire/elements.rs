//! Tool calls whose arguments are elements: accepted values and their JSON, after, within and without reasoning.

use std::sync::Arc;

use ocelli::Error;
use ocelli::chat::CallPart;
use ocelli::chat::calls::TOKEN_MARK;
use serde_json::{Value, json};

use super::thoughts::{TOKENIZER, ask, message, thinker};
use super::{CHAT, answer, streamed, with, work_for};
use crate::streams::Added;

/// A schema with arguments of every kind.
fn schema() -> Value {
    json!({"type": "object", "properties": {
        "text": {"type": "string"},
        "colour": {"$ref": "#/$defs/Colour"},
        "other": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "sure": {"type": "boolean"},
        "size": {"$ref": "#/$defs/Size"},
        "day": {"type": "string", "pattern": "^[0-9]{2}$"},
        "level": {"type": ["string", "null"], "enum": ["a", null]},
    }, "required": ["text", "colour", "count", "sure", "size", "day", "level"],
    "$defs": {"Colour": {"enum": ["red", "dark blue"]}, "Size": {"type": "object", "required": ["w"],
        "properties": {"w": {"type": "integer", "minimum": 0, "maximum": 9}}}}})
}

/// The same without texts that never end in random answers.
pub(super) fn bounded_schema() -> Value {
    let mut schema = schema();
    let properties = schema["properties"].as_object_mut().unwrap();
    properties.shift_remove("other");
    properties["text"] = json!({"type": "string", "const": "two\nlines"});
    schema
}

pub(super) fn with_tool(schema: &Value, more: &Value) -> Value {
    let tool = json!({"type": "function", "function": {"name": "note", "parameters": schema}});
    with(ask(&json!({"tools": [tool], "max_tokens": 300, "parallel_tool_calls": false})), more)
}

fn check(call: &Value) {
    let arguments = call["function"]["arguments"].as_str().unwrap();
    let value: Value = serde_json::from_str(arguments).unwrap_or_else(|error| panic!("{error}: {arguments}"));
    assert!(value["text"] == "two\nlines" && value["sure"].is_boolean(), "{arguments}");
    assert!(["red", "dark blue"].contains(&value["colour"].as_str().unwrap()), "{arguments}");
    assert!((1..=9).contains(&value["count"].as_u64().unwrap()) && value["size"]["w"].as_u64().unwrap() < 10);
    assert!(value["day"].as_str().unwrap().len() == 2 && (value["level"] == "a" || value["level"].is_null()));
}

#[test]
fn only_elements_that_fit_their_schema_are_accepted_and_read_as_json() {
    let (mut engine, schema) = (thinker(), schema());
    let request = with_tool(&schema, &json!({"tool_choice": "auto"}));
    let wanted = work_for(&engine, CHAT, &request).unwrap().format.clone().unwrap();
    let grammar = engine.grammar(&wanted.format).unwrap();
    let syntax = engine.call_syntax().unwrap();
    let forms = Arc::new([("note".to_owned(), syntax.arguments(0, &schema).unwrap().forms)].into());
    let write = |elements: &[(&str, &str)]| -> String {
        let each = elements.iter().map(|(name, value)| format!("<parameter={name}>\n{value}\n</parameter>\n"));
        format!("\n<function=note>\n{}</function>\n", each.collect::<String>())
    };
    let taken = |text: &str, piece: usize| {
        let chars: Vec<char> = text.chars().collect();
        let pieces = chars.chunks(piece).flat_map(|piece| TOKENIZER.encode_text(&String::from_iter(piece)).unwrap());
        let tokens: Vec<u32> = pieces.chain([711]).collect();
        let mut constraint = grammar.start().unwrap();
        constraint.commit(&tokens).unwrap() == tokens.len() && constraint.is_finished().unwrap()
    };
    let read = |text: &str, piece: usize| {
        let (mut reader, chars) = (syntax.reader(Arc::clone(&forms)), text.chars().collect::<Vec<_>>());
        reader.begin();
        let mut told = String::new();
        let pieces = chars.chunks(piece).map(String::from_iter).chain([TOKEN_MARK.to_owned()]);
        for part in pieces.flat_map(|piece| reader.push(&piece)).collect::<Vec<_>>() {
            if let CallPart::Arguments(text) = part {
                told += &text;
            }
        }
        assert_eq!((reader.calls()[0].name.as_str(), &reader.calls()[0].arguments), ("note", &told));
        told
    };
    let most = [
        ("colour", "dark blue"),
        ("count", "7"),
        ("sure", "False"),
        ("size", "{\"w\": 3}"),
        ("day", "\"07\""),
        ("level", "null"),
    ];
    for (text, other) in [
        ("Oslo", None),
        ("", Some("null")),
        ("5", Some("nul")),
        ("two\nlines, \"quoted\" \\ </parameter> and é🙂\n</paramete", Some("")),
        ("\n\n  <tool_call>\n</function>\n", Some("null\n")),
        ("<parameter=count>\n3", Some("a\n</parameter")),
    ] {
        let mut elements = vec![("text", text), most[0]];
        elements.extend(other.map(|other| ("other", other)));
        elements.extend(&most[1..]);
        let written = write(&elements);
        for piece in [1, 3, 1000] {
            assert!(taken(&written, piece), "{written} in pieces of {piece}");
            let value: Value = serde_json::from_str(&read(&written, piece)).unwrap();
            assert_eq!(value["text"], text);
            let other = other.map(|other| if other == "null" { Value::Null } else { json!(other) });
            assert_eq!(value.get("other"), other.as_ref(), "{written}");
            let rest =
                json!([value["colour"], value["count"], value["sure"], value["size"], value["day"], value["level"]]);
            assert_eq!(rest, json!(["dark blue", 7, false, {"w": 3}, "07", null]));
        }
    }
    let refused = |change: &[(&str, &str)]| {
        let mut elements = vec![("text", "Oslo")];
        elements.extend(most);
        for (name, value) in change {
            elements.iter_mut().filter(|(known, _)| known == name).for_each(|element| element.1 = value);
        }
        taken(&write(&elements), 1)
    };
    assert!(refused(&[]), "as it is, it fits");
    for (name, value) in
        [("colour", "green"), ("count", "12"), ("sure", "maybe"), ("size", "{}"), ("day", "07"), ("level", "b")]
    {
        assert!(!refused(&[(name, value)]), "{name}: {value}");
    }
    assert!(!taken(&write(&most), 1), "a text is required");
    let mut more = vec![("text", "Oslo")];
    more.extend(most);
    more.push(("unknown", "1"));
    assert!(!taken(&write(&more), 1), "nobody knows that argument");
    assert!(
        !taken(&write(&more[..7]).replace("Oslo", "Oslo\n</parameter>\n"), 1),
        "a text cannot contain what ends it"
    );
}

#[test]
fn arguments_in_elements_fit_their_schema_with_and_without_thoughts() {
    for (seed, thinks) in (0..10).flat_map(|seed| [(seed, true), (seed, false)]) {
        let request = with_tool(
            &bounded_schema(),
            &json!({"seed": seed, "tool_choice": "required", "thinking_budget": 6,
            "chat_template_kwargs": {"enable_thinking": thinks}}),
        );
        let (whole, _) = answer(&mut thinker(), CHAT, &request).unwrap();
        let calls = message(&whole)["tool_calls"].as_array().unwrap_or_else(|| panic!("{whole}"));
        assert_eq!(streamed(&mut thinker(), &request), Added::of(&whole));
        assert!(thinks || message(&whole)["reasoning_content"].is_null(), "{whole}");
        assert_eq!((calls.len(), calls[0]["function"]["name"].as_str()), (1, Some("note")));
        assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
        check(&calls[0]);
    }
}

#[test]
fn a_model_may_call_within_its_thoughts_or_after_them() {
    let (mut called, mut within) = (0, 0);
    for seed in 0..16 {
        let mut request = with_tool(&bounded_schema(), &json!({"seed": seed, "tool_choice": "auto"}));
        request["logit_bias"]["710"] = json!(11);
        let (whole, _) = answer(&mut thinker(), CHAT, &request).unwrap();
        if let Some(calls) = message(&whole)["tool_calls"].as_array() {
            called += 1;
            within += usize::from(message(&whole)["content"].is_null());
            if whole["choices"][0]["finish_reason"] == "tool_calls" {
                check(&calls[0]);
            }
        }
    }
    assert!(called > 4 && within > 0, "{called} called, {within} at once");
}

#[test]
fn a_schema_that_elements_cannot_enforce_is_refused_with_its_place() {
    let refused = |parameters: Value| {
        let tools = json!([{"type": "function", "function": {"name": "f", "parameters": parameters}}]);
        let error = answer(&mut thinker(), CHAT, &ask(&json!({"tools": tools}))).unwrap_err();
        let Error::UnsupportedSchema { pointer, keyword, .. } = error else { panic!("{error}") };
        (pointer, keyword)
    };
    let place = "/tools/0/function/parameters";
    let either = json!({"type": "object", "anyOf": [{"required": ["a"]}], "properties": {"a": {"type": "string"}}});
    assert_eq!(refused(either), (place.into(), "anyOf".into()));
    let named = json!({"type": "object", "properties": {"a>b": {"type": "string"}}});
    assert_eq!(refused(named), (format!("{place}/properties/a>b"), "properties".into()));
    let inner = json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string", "not": {"pattern": "b"}}}}});
    assert_eq!(refused(inner), (format!("{place}/properties/a/items"), "not".into()));
}
