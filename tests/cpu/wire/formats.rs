//! Formats of answers: enforced, described in the prompt unless the request turns that off, and refused if they cannot be enforced.

use ocelli::api::Reply;
use ocelli::api::{Priority, Run};
use ocelli::{Error, Result};
use serde_json::{Value, json};

use super::desk::{Desk, Heard, run_to_the_end};
use super::{CHAT, RESPONSES, answer, fake, work};

fn record() -> Value {
    json!({"type": "object", "additionalProperties": false, "required": ["zeta", "alpha"],
        "properties": {"zeta": {"type": "integer", "minimum": 0, "maximum": 99}, "alpha": {"enum": ["red", "green"]}}})
}

fn schema(schema: &Value) -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "record", "strict": true, "schema": schema}})
}

fn ask(format: &Value) -> Value {
    json!({"messages": [{"role": "user", "content": "Hello"}], "temperature": 1.5, "seed": 4, "response_format": format})
}

fn text(whole: &Value) -> &str {
    whole["choices"][0]["message"]["content"].as_str().expect("text")
}

fn is_record(text: &str) -> bool {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return false };
    value["zeta"].as_u64().is_some_and(|number| number < 100)
        && ["red", "green"].map(Value::from).contains(&value["alpha"])
}

#[test]
fn answers_have_the_requested_format_at_both_endpoints() {
    let (whole, _) = answer(&mut fake(), CHAT, &ask(&schema(&record()))).unwrap();
    assert!(is_record(text(&whole)) && text(&whole).starts_with(r#"{"zeta": "#), "keys in their order: {whole}");
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    assert!(whole["usage"]["ocelli"]["forced_tokens"].as_u64().is_some_and(|forced| forced > 5), "{whole}");
    let mut streamed = ask(&schema(&record()));
    streamed["stream"] = json!(true);
    assert_eq!(answer(&mut fake(), CHAT, &streamed).unwrap().0["choices"], whole["choices"]);

    let format = json!({"type": "json_schema", "name": "record", "schema": record()});
    let request = json!({"input": "Hello", "temperature": 1.5, "seed": 4, "text": {"format": format}});
    let (response, _) = answer(&mut fake(), RESPONSES, &request).unwrap();
    assert_eq!(response["output"][0]["content"][0]["text"], text(&whole));
    assert_eq!((&response["text"]["format"], &response["status"]), (&format, &json!("completed")));

    let (regex, _) = answer(&mut fake(), CHAT, &ask(&json!({"type": "regex", "regex": "(ab|cd){2,5}x"}))).unwrap();
    assert!(text(&regex).ends_with('x') && text(&regex).len() % 2 == 1, "{regex}");
    let lark = json!({"type": "lark", "lark": "start: \"<\" /[a-z]{1,4}/ \">\""});
    let (lark, _) = answer(&mut fake(), CHAT, &ask(&lark)).unwrap();
    assert!(text(&lark).starts_with('<') && text(&lark).ends_with('>'), "{lark}");
    let mut object = ask(&json!({"type": "json_object"}));
    object["max_tokens"] = json!(60);
    let (object, _) = answer(&mut fake(), CHAT, &object).unwrap();
    assert!(text(&object).starts_with('{'), "{object}");
}

#[test]
fn a_format_may_be_used_with_several_answers_and_log_probabilities() {
    let mut request = ask(&schema(&record()));
    request["n"] = json!(3);
    request["logprobs"] = json!(true);
    request["top_logprobs"] = json!(2);
    let (whole, _) = answer(&mut fake(), CHAT, &request).unwrap();
    for choice in whole["choices"].as_array().unwrap() {
        let text = choice["message"]["content"].as_str().unwrap();
        assert!(is_record(text), "{text}");
        let tokens = choice["logprobs"]["content"].as_array().unwrap();
        let bytes: Vec<u8> = tokens
            .iter()
            .flat_map(|token| token["bytes"].as_array().unwrap())
            .map(|byte| byte.as_u64().unwrap() as u8)
            .collect();
        assert_eq!(String::from_utf8_lossy(&bytes), text, "every token is told, those that had to come too");
        assert!(tokens.iter().all(|token| token["top_logprobs"].as_array().is_some_and(|top| top.len() == 2)));
    }
}

#[test]
fn the_prompt_describes_the_format_unless_that_is_off() {
    let tokens = |more: Value| {
        let (whole, _) = answer(&mut fake(), CHAT, &ask(&more)).unwrap();
        whole["usage"]["prompt_tokens"].as_u64().unwrap()
    };
    let silent = |mut format: Value| {
        format["in_prompt"] = json!(false);
        tokens(format)
    };
    let free = tokens(json!({"type": "text"}));
    assert!(tokens(json!({"type": "regex", "regex": "a"})) > free);
    assert_eq!(silent(json!({"type": "regex", "regex": "a"})), free);
    assert_eq!(silent(schema(&record())), free);
}

fn refused<T: std::fmt::Debug>(outcome: Result<T>) -> (u16, Value) {
    let reply = Reply::from(&outcome.expect_err("it is refused"));
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    (reply.status, body["error"].clone())
}

#[test]
fn a_format_that_cannot_be_enforced_is_refused_with_place_and_keyword() {
    let mut nested = record();
    nested["properties"]["zeta"] = json!({"type": "integer", "not": {"multipleOf": 5}});
    let (status, error) = refused(answer(&mut fake(), CHAT, &ask(&schema(&nested))));
    let place = "/response_format/json_schema/schema/properties/zeta";
    assert_eq!((status, &error["code"], &error["param"]), (400, &json!("unsupported_schema"), &json!(place)));
    assert!(error["message"].as_str().unwrap().starts_with(&format!("{place}: not: ")), "{error}");
    let format = json!({"type": "json_schema", "name": "a", "schema": nested});
    let (_, error) = refused(answer(&mut fake(), RESPONSES, &json!({"input": "a", "text": {"format": format}})));
    assert_eq!(error["param"], "/text/format/schema/properties/zeta");
    let (status, error) = refused(answer(&mut fake(), CHAT, &ask(&json!({"type": "regex", "regex": "(a"}))));
    assert_eq!((status, &error["code"]), (400, &json!("invalid_grammar")));
    assert!(error["message"].as_str().unwrap().starts_with("/response_format/regex: "), "{error}");
}

#[test]
fn work_with_a_format_needs_its_grammar() {
    let run = Run::new(work(CHAT, &ask(&schema(&record()))).unwrap(), Vec::new());
    let (mut desk, client) = (Desk::default(), Heard::default());
    desk.submit(Box::new(run), Priority::Person, &client, 0);
    run_to_the_end(&mut fake(), desk, std::slice::from_ref(&client));
    let outcome = client.borrow().outcome.clone();
    assert!(matches!(outcome, Some(Err(Error::Internal { .. }))), "{outcome:?}");
}
