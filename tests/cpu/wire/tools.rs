//! Tool calls: required, allowed and forbidden, in streams and in whole answers, at both endpoints, after device losses.

use ocelli::Error;
use ocelli::api::Priority;
use ocelli::engine::Speculation;
use serde_json::{Value, json};

use super::desk::{Desk, Heard, run_to_the_end};
use super::{CHAT, RESPONSES, answer, are_the_same_whatever_is_lost, data, run_of, streamed, with, work};
use crate::generation::fake::Kind;
use crate::generation::{FakeEngine, KINDS, engine};
use crate::streams::{Added, added_up, replayed};

/// Large, because the definitions of the tools are long.
const CONTEXT: usize = 900;

fn fake() -> FakeEngine {
    engine(Kind::Attention, Speculation::Off, (CONTEXT, 8))
}

pub(super) fn weather() -> Value {
    json!({"name": "get_weather", "description": "The weather", "strict": true, "parameters": {"type": "object",
        "properties": {"city": {"enum": ["Oslo", "Rome"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["city", "days"], "additionalProperties": false}})
}

pub(super) fn clock() -> Value {
    json!({"name": "clock"})
}

fn ask(choice: &Value, more: &Value) -> Value {
    let tools = json!([{"type": "function", "function": weather()}, {"type": "function", "function": clock()}]);
    let request = json!({"messages": [{"role": "user", "content": "How is it in Oslo?"}], "temperature": 1.5, "seed": 4,
        "max_tokens": 60, "tools": tools, "tool_choice": choice});
    with(request, more)
}

/// A bias for the token that begins a call.
fn bias(bias: u32) -> Value {
    json!({fake().call_syntax().unwrap().begin().unwrap().to_string(): bias})
}

/// Makes a call likely, and allows only one.
fn soon() -> Value {
    json!({"logit_bias": bias(11), "parallel_tool_calls": false})
}

fn calls(whole: &Value) -> &Vec<Value> {
    whole["choices"][0]["message"]["tool_calls"].as_array().expect("calls")
}

pub(super) fn check(call: &Value) {
    let arguments = call["function"]["arguments"].as_str().unwrap();
    let value: Value = serde_json::from_str(arguments).unwrap_or_else(|error| panic!("{error}: {arguments}"));
    match call["function"]["name"].as_str().unwrap() {
        "get_weather" => {
            assert!(["Oslo", "Rome"].contains(&value["city"].as_str().unwrap()), "{value}");
            assert!((1..=9).contains(&value["days"].as_u64().unwrap()), "{value}");
        }
        "clock" => assert_eq!(value, json!({})),
        other => panic!("{other}"),
    }
    assert_eq!(call["type"], "function");
    assert!(call["id"].as_str().unwrap().starts_with("call_"));
}

#[test]
fn required_tools_are_called_with_arguments_that_fit() {
    for seed in 0..8 {
        let request = ask(&json!("required"), &json!({"seed": seed, "parallel_tool_calls": false}));
        let (whole, _) = answer(&mut fake(), CHAT, &request).unwrap();
        assert_eq!(calls(&whole).len(), 1);
        check(&calls(&whole)[0]);
        let choice = &whole["choices"][0];
        assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("tool_calls"), &Value::Null));
        assert_eq!(streamed(&mut fake(), &request), Added::of(&whole));
    }
    for name in ["get_weather", "clock"] {
        let named = json!({"type": "function", "function": {"name": name}});
        let (whole, _) = answer(&mut fake(), CHAT, &ask(&named, &json!({"parallel_tool_calls": false}))).unwrap();
        assert_eq!(calls(&whole)[0]["function"]["name"], name);
        let tools = json!([{"type": "function", "function": {"name": name}}]);
        let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": tools}});
        let (whole, _) = answer(&mut fake(), CHAT, &ask(&allowed, &json!({"parallel_tool_calls": false}))).unwrap();
        assert_eq!(calls(&whole)[0]["function"]["name"], name);
    }
}

#[test]
fn several_calls_follow_one_another() {
    let request = ask(&json!("required"), &json!({"logit_bias": bias(20), "stream": true, "max_tokens": 100}));
    let (whole, frames) = answer(&mut fake(), CHAT, &request).unwrap();
    let (last, others) = calls(&whole).split_last().unwrap();
    assert!(others.len() > 1, "{whole}");
    others.iter().for_each(check);
    assert_eq!(whole["choices"][0]["finish_reason"], "length", "it would never end: {last}");
    assert_eq!(added_up(data(&frames)), Added::of(&whole));
    let ids: std::collections::HashSet<_> = calls(&whole).iter().map(|call| call["id"].to_string()).collect();
    assert_eq!(ids.len(), calls(&whole).len(), "ids differ");
}

#[test]
fn an_optional_call_may_be_made_or_not() {
    let mut called = 0;
    for seed in 0..12 {
        let mut request = ask(&json!("auto"), &soon());
        (request["seed"], request["stream"]) = (json!(seed), json!(true));
        let (whole, frames) = answer(&mut fake(), CHAT, &request).unwrap();
        let message = &whole["choices"][0]["message"];
        assert_eq!(added_up(data(&frames)), Added::of(&whole));
        if message["tool_calls"].is_null() {
            continue;
        }
        called += 1;
        assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
        check(&calls(&whole)[0]);
    }
    assert!(called > 3, "{called} of 12 called");
    let tokens = |choice: &str| {
        let (whole, _) = answer(&mut fake(), CHAT, &ask(&json!(choice), &json!({"max_tokens": 4}))).unwrap();
        assert!(whole["choices"][0]["message"]["tool_calls"].is_null());
        whole["usage"]["prompt_tokens"].as_u64().unwrap()
    };
    assert!(tokens("auto") > tokens("none") + 100, "it is told of the tools that it may call, and of no others");
}

#[test]
fn calls_are_the_same_whatever_is_lost_and_however_tokens_are_computed() {
    let thrifty =
        json!({"logprobs": true, "logit_bias": bias(11), "parallel_tool_calls": false, "frequency_penalty": 0.5});
    for (choice, more) in [("auto", soon()), ("required", json!({})), ("auto", thrifty)] {
        for temperature in [0.0, 1.2] {
            let request = with(ask(&json!(choice), &more), &json!({"temperature": temperature}));
            let make = |kind, speculation| engine(kind, speculation, (CONTEXT, 8));
            are_the_same_whatever_is_lost(make, (CHAT, &request), 5);
        }
    }
}

#[test]
fn an_answer_that_is_parked_within_a_call_resumes_there() {
    for kind in KINDS {
        let request =
            ask(&json!("auto"), &json!({"stream": true, "n": 3, "logit_bias": bias(11), "parallel_tool_calls": false}));
        let (whole, _) = answer(&mut engine(kind, Speculation::Off, (CONTEXT, 8)), CHAT, &request).unwrap();
        let mut engine = engine(kind, Speculation::Off, (CONTEXT, 8));
        let (mut desk, [client, other]) = (Desk::default(), <[Heard; 2]>::default());
        client.borrow_mut().is_slow = true;
        desk.submit(run_of(&mut engine, CHAT, &request).unwrap(), Priority::Person, &client, 0);
        let more = json!({"messages": [{"role": "user", "content": "Else"}], "max_tokens": 3, "n": 40});
        desk.submit(run_of(&mut engine, CHAT, &more).unwrap(), Priority::Person, &other, 9);
        assert!(run_to_the_end(&mut engine, desk, &[client.clone(), other]) > 0, "it was paused");
        let body = client.borrow_mut().outcome.take().unwrap().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["choices"], whole["choices"], "{kind:?}");
    }
}

#[test]
fn an_answer_fits_its_format_or_calls() {
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "required": ["n"],
        "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}}}}});
    let (mut called, mut said) = (0, 0);
    for (seed, add) in (0..10).flat_map(|seed| [(seed, 0), (seed, 9)]) {
        let more =
            json!({"response_format": format, "seed": seed, "logit_bias": bias(add), "parallel_tool_calls": false});
        let (whole, _) = answer(&mut fake(), CHAT, &ask(&json!("auto"), &more)).unwrap();
        let message = &whole["choices"][0]["message"];
        match message["content"].as_str() {
            Some(text) => {
                let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
                assert!(value["n"].as_u64().is_some_and(|number| number < 100), "{text}");
                said += 1;
            }
            None => {
                calls(&whole).iter().for_each(check);
                called += 1;
            }
        }
    }
    assert!(called > 0 && said > 0, "{called} called, {said} said");
    let regex = json!({"response_format": {"type": "regex", "regex": "a+"}});
    assert!(matches!(work(CHAT, &ask(&json!("auto"), &regex)).unwrap_err(), Error::UnsupportedOption { .. }));
    let (whole, _) = answer(&mut fake(), CHAT, &ask(&json!("required"), &regex)).unwrap();
    check(&calls(&whole)[0]);
}

#[test]
fn a_schema_that_cannot_be_enforced_is_refused_with_its_place() {
    let parameters = json!({"type": "object", "properties": {"a": {"type": "string", "not": {"pattern": "b"}}}});
    let tools = json!([{"type": "function", "function": clock()},
        {"type": "function", "function": {"name": "f", "parameters": parameters}}]);
    let error = answer(&mut fake(), CHAT, &ask(&json!("auto"), &json!({"tools": tools}))).unwrap_err();
    let Error::UnsupportedSchema { pointer, keyword, .. } = error else { panic!("{error}") };
    assert_eq!((pointer.as_str(), keyword.as_str()), ("/tools/1/function/parameters/properties/a", "not"));
}

#[test]
fn responses_call_functions_and_accept_their_results() {
    let mut tool = weather();
    tool["type"] = json!("function");
    let request = json!({"input": "How is it in Oslo?", "temperature": 1.5, "seed": 4, "tools": [tool],
        "tool_choice": {"type": "function", "name": "get_weather"}, "parallel_tool_calls": false, "stream": true});
    let (whole, frames) = answer(&mut fake(), RESPONSES, &request).unwrap();
    let item = &whole["output"][0];
    check(
        &json!({"type": "function", "id": item["call_id"], "function": {"name": item["name"], "arguments": item["arguments"]}}),
    );
    assert_eq!(
        (&item["type"], &whole["status"], &whole["tools"]),
        (&json!("function_call"), &json!("completed"), &request["tools"])
    );
    let (replayed, names) = replayed(data(&frames));
    assert_eq!(replayed, whole);
    assert!(frames.len() > 7, "arguments come in pieces");
    let item_events =
        ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"];
    let events = [&["created", "in_progress"], &item_events[..], &["completed"]].concat();
    assert_eq!(names, events.iter().map(|name| format!("response.{name}")).collect::<Vec<_>>());

    let result = json!({"type": "function_call_output", "call_id": item["call_id"], "output": "3 degrees"});
    let asked = json!({"role": "user", "content": "How is it in Oslo?"});
    let more =
        json!({"input": [asked, item, result], "tools": request["tools"], "temperature": 0, "max_output_tokens": 8});
    let (after, _) = answer(&mut fake(), RESPONSES, &more).unwrap();
    assert_eq!(after["output"][0]["type"], "message");
}
