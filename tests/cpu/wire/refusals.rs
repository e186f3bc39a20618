//! Refused requests, and the errors that the API reports.

use ocelli::api::Reply;
use ocelli::{Error, Result};
use serde_json::{Value, json};

use super::{answer, fake, get, work};

/// Status, code and field of an error, and whether clients may retry.
fn told(error: &Error) -> (u16, String, Value, Option<bool>) {
    let reply = Reply::from(error);
    let body: Value = serde_json::from_str(&reply.body).expect("JSON");
    let kind = if reply.status < 500 { "invalid_request_error" } else { "server_error" };
    assert_eq!(body["error"]["type"], kind);
    assert_eq!(body["error"]["message"], error.to_string());
    (
        reply.status,
        body["error"]["code"].as_str().expect("a code").into(),
        body["error"]["param"].clone(),
        reply.may_retry,
    )
}

fn refused<T>(outcome: Result<T>) -> (u16, String, Value) {
    let (status, code, field, may_retry) = told(&outcome.err().expect("it is refused"));
    assert_eq!(may_retry, None, "clients do not repeat these by themselves");
    (status, code, field)
}

fn with(more: Value) -> Value {
    let request = json!({"messages": [{"role": "user", "content": "Hello"}], "input": "Hello", "prompt": "Hello"});
    super::with(request, &more)
}

#[test]
fn unsupported_fields_are_refused_by_name_at_every_endpoint() {
    let chat = ["input", "prompt"];
    let of = |path: &str, drop: &[&str], more: Value| {
        let mut request = with(more);
        drop.iter().for_each(|name| drop_field(&mut request, name));
        refused(work(path, &request))
    };
    let unsupported = |field: &str| (400, "unsupported_parameter".to_owned(), json!(field));
    for (field, value) in
        [("functions", json!([{"name": "f"}])), ("audio", json!({})), ("web_search_options", json!({}))]
    {
        assert_eq!(of("/v1/chat/completions", &chat, json!({field: value})), unsupported(field));
    }
    for (field, value) in
        [("echo", json!(true)), ("suffix", json!("end")), ("best_of", json!(3)), ("messages", json!([]))]
    {
        assert_eq!(of("/v1/completions", &["input", "messages"], json!({field: value})), unsupported(field));
    }
    let response = |more| of("/v1/responses", &["prompt", "messages"], more);
    let cases = [
        (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
        (json!({"conversation": "conv_1"}), "conversation"),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
        (json!({"background": true}), "background"),
        (json!({"truncation": "middle"}), "truncation"),
        (json!({"reasoning": {"effort": "high"}, "thinking_budget": 9}), "reasoning.effort"),
        (json!({"reasoning": {"mode": "pro"}}), "reasoning.mode"),
        (json!({"reasoning": {"context": "all_turns"}}), "reasoning.context"),
        (json!({"tools": [{"type": "function", "name": "f", "defer_loading": true}]}), "tools[0].defer_loading"),
        (
            json!({"tools": [{"type": "function", "name": "f", "allowed_callers": ["programmatic"]}]}),
            "tools[0].allowed_callers",
        ),
        (json!({"enable_thinking": true}), "enable_thinking"),
        (json!({"include": ["usage.details"]}), "include[0]"),
        (json!({"text": {"format": {"type": "grammar"}}}), "text.format.type"),
        (json!({"input": [{"type": "computer_call"}]}), "input[0].type"),
        (json!({"input": [{"type": "item_reference", "id": "msg_1"}]}), "input[0].id"),
        (json!({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}), "input[0].content[0].type"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}]}),
            "input[0].content[0].file_id",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_data": "data:application/pdf;base64,AA=="}]}]}),
            "input[0].content[0].file_data",
        ),
    ];
    for (more, field) in cases {
        assert_eq!(response(more), unsupported(field));
    }
}

fn drop_field(request: &mut Value, name: &str) {
    // A field that the case itself sets stays.
    if request[name] == "Hello" || request[name][0]["content"] == "Hello" {
        request.as_object_mut().unwrap().remove(name);
    }
}

#[test]
fn endpoints_methods_models_and_bodies_are_checked() {
    let code = |outcome: Result<Value>| refused(outcome);
    assert_eq!(code(get("/v1/nowhere")), (404, "unknown_url".into(), Value::Null));
    assert_eq!(code(get("/v1/chat/completions")), (405, "method_not_supported".into(), Value::Null));
    assert_eq!(code(get("/v1/models/gpt-5")), (404, "model_not_found".into(), json!("model")));
    let other = json!({"model": "gpt-5", "messages": [{"role": "user", "content": "Hello"}]});
    assert_eq!(refused(work("/v1/chat/completions", &other)), (404, "model_not_found".into(), json!("model")));
    assert_eq!(refused(work("/v1/responses", &json!([]))), (400, "invalid_value".into(), json!("body")));
    let long = json!({"prompt": vec![100; 240]});
    assert_eq!(
        refused(answer(&mut fake(), "/v1/completions", &long)),
        (400, "context_length_exceeded".into(), Value::Null)
    );
}

#[test]
fn only_temporary_errors_may_be_retried() {
    let lost = told(&Error::DeviceLost { reason: "gone".into() });
    assert_eq!(lost, (503, "device_lost".into(), Value::Null, Some(true)));
    let wrong = told(&Error::Internal { detail: "?".into() });
    assert_eq!(wrong, (500, "internal".into(), Value::Null, Some(false)));
    let image = told(&Error::InvalidImage { reason: "?".into() });
    assert_eq!(image, (400, "image_parse_error".into(), Value::Null, None));
    assert_eq!(Reply::error("io", "?", Some("messages[0]")).status, 400, "a picture that cannot be fetched");
    assert_eq!(Reply::error("io", "?", None).status, 500);
}
