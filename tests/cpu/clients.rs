//! Requests in the forms of newer clients and of other servers.

use ocelli::api::{PictureUrl, ResponseRequest};
use ocelli::engine::Detail;
use serde_json::{Value, json};

use crate::api::{chat, refused, with};

/// Fields that clients of newer versions and of other servers send, none of which asks for anything.
#[test]
fn fields_that_ask_for_nothing_are_accepted() {
    let plain = chat(&with("store", json!(true)));
    for (field, value) in [
        ("prompt_cache_options", json!({"scope": "session"})),
        ("prompt_cache_retention", json!("24h")),
        ("verbosity", json!("low")),
    ] {
        assert_eq!(chat(&with(field, value)), plain, "{field}");
    }
    let marked = |mark: Value| {
        let text = json!({"type": "text", "text": "a", "prompt_cache_breakpoint": mark});
        let picture = json!({"type": "image_url", "image_url": {"url": "b"}, "prompt_cache_breakpoint": mark});
        chat(&json!({"messages": [{"role": "user", "content": [text, picture]}]}))
    };
    assert_eq!(marked(json!({"type": "explicit"})), marked(Value::Null));
    let tool = |more: Value| {
        let mut function = json!({"name": "f", "parameters": {"type": "object"}});
        function.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        chat(&with("tools", json!([{"type": "function", "function": function}])))
    };
    let more = json!({"output_schema": {"type": "object"}, "defer_loading": false, "allowed_callers": ["direct"]});
    assert_eq!(tool(more), tool(json!({})));
    // LiteLLM sends its answers back with a field of its own.
    let sent = |more: Value| {
        let mut answer = json!({"role": "assistant", "content": "a"});
        answer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        chat(&json!({"messages": [{"role": "user", "content": "a"}, answer]}))
    };
    assert_eq!(sent(json!({"provider_specific_fields": {"refusal": null}})), sent(json!({})));
}

#[test]
fn pictures_may_be_files() {
    let chat_part = |file: Value| json!({"type": "file", "file": file});
    let data = "data:image/png;base64,AA==";
    let parts =
        json!([chat_part(json!({"file_id": "file-1"})), chat_part(json!({"file_data": data, "filename": "a.png"}))]);
    let read = chat(&json!({"messages": [{"role": "user", "content": parts}]}));
    assert_eq!(read.pictures.iter().map(PictureUrl::file_id).collect::<Vec<_>>(), [Some("file-1"), None]);
    assert_eq!(read.pictures[1].url, data);
    let items = json!([
        {"type": "input_image", "file_id": "file-1", "detail": "low"},
        {"type": "input_file", "file_id": "file-2", "detail": "high"},
        {"type": "input_file", "file_data": data},
        {"type": "input_file", "file_url": "https://example.invalid/a.png"},
    ]);
    let read = ResponseRequest::from_json(&json!({"input": [{"role": "user", "content": items}]})).unwrap();
    let pictures: Vec<_> = read.pictures.iter().map(|picture| (picture.file_id(), picture.detail)).collect();
    let auto = Detail::default();
    assert_eq!(pictures, [(Some("file-1"), Detail::Low), (Some("file-2"), Detail::High), (None, auto), (None, auto)]);
    assert_eq!(read.pictures[0].field, "input[0].content[0].file_id");
    let pdf = json!([chat_part(json!({"file_data": "data:application/pdf;base64,AA=="}))]);
    let place = "messages[0].content[0].file.file_data";
    assert_eq!(refused(&json!({"messages": [{"role": "user", "content": pdf}]})), ("unsupported-option", place.into()));
}

#[test]
fn formats_are_read_in_the_forms_of_other_servers() {
    let schema = json!({"type": "object", "required": ["a"]});
    let read = |format: Value| chat(&with("response_format", format)).format.unwrap();
    let named = read(json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}));
    for (format, place) in [
        (json!({"type": "json_object", "schema": schema}), "/response_format/schema"),
        (json!({"type": "json_schema", "schema": schema}), "/response_format/schema"),
        (json!({"type": "json_schema", "json_schema": {"schema": schema}}), "/response_format/json_schema/schema"),
    ] {
        let other = read(format);
        assert_eq!((&other.format, other.place.as_str()), (&named.format, place));
    }
    let wrong = json!({"type": "json_object", "schema": schema, "mode": "strict"});
    assert_eq!(refused(&with("response_format", wrong)), ("unsupported-option", "response_format.mode".into()));
    let wrong = json!({"type": "json_object", "schema": "object"});
    assert_eq!(refused(&with("response_format", wrong)), ("invalid-request", "response_format.schema".into()));
}
