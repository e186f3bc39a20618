//! Requests and responses on the wire, and whole requests against the reference's tokens and resampled pictures.

use ocelli::Error;
use ocelli::api::{ChatRequest, PictureUrl, ScoreRequest};
use ocelli::chat::{ChatTemplate, ContentPart, Message, Role, Tokenizer};
use ocelli::engine::{Detail, Prompt};
use ocelli::families::definition;
use ocelli::image::decode;
use ocelli::import::hf::read_settings;
use ocelli::package::source::Directory;
use ocelli::sampling::SamplingOptions;
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde_json::{Value, json};
const CHECKPOINTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/checkpoints");

fn read(path: &str) -> Vec<u8> {
    std::fs::read(format!("{CHECKPOINTS}/{path}")).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read_json(path: &str) -> Value {
    serde_json::from_slice(&read(path)).unwrap()
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// Request in, token ids and pixels out, for every case of every checkpoint.
#[test]
fn published_requests_become_the_references_ids_and_pixels() {
    let (mut chats, mut pictures) = (0, 0);
    for entry in std::fs::read_dir(CHECKPOINTS).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let tokenizer = Tokenizer::from_json(&read(&format!("{name}/tokenizer.json"))).unwrap();
        let settings = pollster::block_on(read_settings(&Directory(format!("{CHECKPOINTS}/{name}").into()))).unwrap();
        let model = definition(&settings.config);
        let layout = model.chat_layout(&settings.chat.template).unwrap();
        let template = ChatTemplate { layout, bos: settings.chat.bos_token_id, default_system: None };
        let expected = read(&format!("{name}/expected.safetensors"));
        let expected = SafeTensors::deserialize(&expected).unwrap();
        for case in read_json(&format!("{name}/cases.json"))["cases"].as_array().unwrap() {
            let label = format!("{name} {}", case["name"]);
            let input_ids = numbers(&case["input_ids"]);
            assert_eq!(tokenizer.decode(&numbers(&case["greedy"])), case["greedy_text"].as_str().unwrap(), "{label}");
            let request = ScoreRequest::from_json(&case["request"]).unwrap();
            if let Prompt::Ids(ids) = &request.prompt {
                assert_eq!(*ids, input_ids, "{label}");
            }
            let mut tokens = Vec::new();
            for (n, url) in request.picture_urls.iter().enumerate() {
                let rules = model.pictures().unwrap();
                let decoded = decode(&read(&format!("{name}/{url}")), 64).unwrap();
                let prepared = rules.prepare(&decoded, rules.largest_edge()).unwrap();
                assert_eq!(
                    [prepared.height as u32, prepared.width as u32],
                    numbers(&case["image_sizes"][n])[..],
                    "{label}"
                );
                let tensor = format!("{}.image.{n}.resized", case["name"].as_str().unwrap());
                if let Ok(pixels) = expected.tensor(&tensor) {
                    assert!(prepared.rgb == pixels.data(), "{label} {tensor}");
                    pictures += 1;
                }
                tokens.push(rules.tokens(prepared.grid));
            }
            if let Prompt::Messages(messages) = request.prompt {
                assert_eq!(template.encode(&messages, &tokens, &tokenizer).unwrap().ids, input_ids, "{label}");
                chats += 1;
            }
        }
    }
    assert!(chats >= 7 && pictures >= 7, "{chats} chats, {pictures} pictures");
}

pub(crate) fn chat(request: &Value) -> ChatRequest {
    ChatRequest::from_json(request).unwrap_or_else(|error| panic!("{error}: {request}"))
}

/// A request with one more field.
pub(crate) fn with(field: &str, value: Value) -> Value {
    let mut request = json!({"messages": [{"role": "user", "content": "Hi"}]});
    request[field] = value;
    request
}

#[test]
fn a_full_request_is_read() {
    let request = json!({
        "model": "ministral", "stream": true, "stream_options": {"include_usage": true},
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "Compare"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "original"}},
                {"type": "image_url", "image_url": "https://example.invalid/b.jpg"}]},
            {"role": "assistant", "content": "They differ.", "refusal": null, "tool_calls": null},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "c.webp", "detail": "low"}}]}],
        "max_tokens": 50, "max_completion_tokens": 50, "stop": ["\n", "END"], "temperature": 0.5, "top_k": 20, "top_p": 0.9,
        "min_p": 0.05, "seed": -1, "frequency_penalty": 0.25, "presence_penalty": -0.5, "repetition_penalty": 1.25, "logit_bias": {"50": -100, "7": 1.5},
        "n": 3, "response_format": {"type": "text"}, "logprobs": true, "top_logprobs": 20, "user": "u-1", "tools": [], "tool_choice": null,
        "metadata": {"a": "b"}, "store": true, "service_tier": "auto", "modalities": ["text"], "parallel_tool_calls": true
    });
    let text = |role, text: &str| Message::text(role, text);
    let expected = ChatRequest {
        asker: ocelli::api::Asker { key: "u-1".into(), ..ocelli::api::Asker::default() },
        messages: vec![
            text(Role::System, "Be brief."),
            Message {
                role: Role::User,
                content: vec![ContentPart::Text("Compare".into()), ContentPart::Image(0), ContentPart::Image(1)],
            },
            text(Role::Assistant, "They differ."),
            Message { role: Role::User, content: vec![ContentPart::Image(2)] },
        ],
        pictures: [
            ("data:image/png;base64,AA==", "messages[1].content[1].image_url.url", Detail::High),
            ("https://example.invalid/b.jpg", "messages[1].content[2].image_url", Detail::Auto),
            ("c.webp", "messages[3].content[0].image_url.url", Detail::Low),
        ]
        .map(|(url, field, detail)| PictureUrl { url: url.into(), field: field.into(), detail })
        .into(),
        sampling: SamplingOptions {
            temperature: 0.5,
            top_k: Some(20),
            top_p: 0.9,
            min_p: 0.05,
            seed: u64::MAX,
            frequency_penalty: 0.25,
            presence_penalty: -0.5,
            repetition_penalty: 1.25,
            logit_bias: [(50, -100.0), (7, 1.5)].into(),
            logprobs: Some(20),
        },
        max_tokens: Some(50),
        stop: vec!["\n".into(), "END".into()],
        format: None,
        thinking: None,
        tools: None,
        truncates: false,
        n: 3,
        stream: true,
        include_usage: true,
        model: Some("ministral".into()),
    };
    assert_eq!(chat(&request), expected);
    assert_eq!(request.to_string().parse::<ChatRequest>().unwrap(), expected);
}

#[test]
fn missing_fields_have_defaults() {
    let bare = chat(&with("stream", Value::Null));
    assert_eq!(bare.sampling, SamplingOptions::default());
    let absent = (bare.max_tokens, bare.stop, bare.stream, bare.include_usage, bare.model);
    assert_eq!(absent, (None, vec![], false, false, None));
    let defaults = SamplingOptions { temperature: 0.1, seed: 9, ..SamplingOptions::default() };
    let request = ChatRequest::with_defaults(&with("top_p", json!(0.5)), &defaults).unwrap();
    assert_eq!(request.sampling, SamplingOptions { top_p: 0.5, ..defaults });
    assert_eq!(chat(&with("stop", json!("x"))).stop, ["x"]);
    assert_eq!(chat(&with("max_completion_tokens", json!(5.0))).max_tokens, Some(5));
    assert_eq!(chat(&with("seed", json!(u64::MAX))).sampling.seed, u64::MAX);
}

/// Code and field of a refused request.
pub(crate) fn refused(request: &Value) -> (&'static str, String) {
    match ChatRequest::from_json(request) {
        Err(error) => match &error {
            Error::InvalidRequest { field, reason } | Error::UnsupportedOption { field, reason } => {
                assert!(!reason.is_empty());
                (error.code(), field.clone())
            }
            other => panic!("{other:?}"),
        },
        Ok(_) => panic!("accepted: {request}"),
    }
}

#[test]
fn unsupported_fields_are_refused_by_name() {
    let unsupported = |field: &str, value: Value, expected: &str| {
        assert_eq!(refused(&with(field, value)), ("unsupported-option", expected.to_owned()));
    };
    for field in ["best_of", "temprature", "audio", "top_a", ""] {
        unsupported(field, json!(1), field);
    }
    unsupported("tools", json!([{"type": "web_search"}]), "tools[0].type");
    unsupported("tools", json!([{"type": "function", "name": "f"}]), "tools[0].name");
    unsupported("functions", json!([{"name": "f"}]), "functions");
    unsupported("function_call", json!({"name": "f"}), "function_call");
    unsupported("modalities", json!(["text", "audio"]), "modalities[1]");
    unsupported("response_format", json!({"type": "structural_tag"}), "response_format.type");
    let schema = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "mode": "strict"}});
    unsupported("response_format", schema, "response_format.json_schema.mode");
    unsupported("response_format", json!({"type": "text", "strict": true}), "response_format.strict");
    unsupported("messages", json!([{"role": "function", "name": "f", "content": "22"}]), "messages[0].role");
    unsupported("messages", json!([{"role": "user", "content": "a", "weight": 1}]), "messages[0].weight");
    unsupported(
        "messages",
        json!([{"role": "user", "content": [{"type": "input_audio"}]}]),
        "messages[0].content[0].type",
    );
    unsupported(
        "messages",
        json!([{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}]}]),
        "messages[0].content[0].cache_control",
    );
    let mut stream = with("stream", json!(true));
    stream["stream_options"] = json!({"include_cost": true});
    assert_eq!(refused(&stream), ("unsupported-option", "stream_options.include_cost".into()));
}

#[test]
fn tools_and_calls_that_make_no_sense_are_refused_with_their_path() {
    let malformed = |request: Value, expected: &str| {
        assert_eq!(refused(&request), ("invalid-request", expected.to_owned()), "{request}");
    };
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    let tools = |tools: Value, choice: Value| json!({"messages": [{"role": "user", "content": "a"}], "tools": tools, "tool_choice": choice});
    malformed(with("tool_choice", json!("required")), "tool_choice");
    malformed(with("tool_choice", json!("sometimes")), "tool_choice");
    malformed(with("tool_choice", json!({"type": "function", "function": {"name": "f"}})), "tool_choice.function.name");
    malformed(with("parallel_tool_calls", json!(1)), "parallel_tool_calls");
    malformed(tools(json!([tool("f"), tool("f")]), json!("auto")), "tools[1].function.name");
    malformed(tools(json!([tool("no spaces")]), json!("auto")), "tools[0].function.name");
    malformed(tools(json!([tool(&"f".repeat(65))]), json!("auto")), "tools[0].function.name");
    malformed(tools(json!((0..129).map(|i| tool(&format!("f{i}"))).collect::<Vec<_>>()), json!("auto")), "tools");
    let named = json!({"type": "function", "function": {"name": "g"}});
    malformed(tools(json!([tool("f")]), named.clone()), "tool_choice.function.name");
    let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named]}});
    malformed(tools(json!([tool("f")]), allowed), "tool_choice.allowed_tools.tools[0].function.name");
    let list = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}]);
    malformed(tools(list, json!("auto")), "tools[0].function.name");
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let after = |messages: &[Value]| {
        let asked = json!({"role": "user", "content": "a"});
        let called = json!({"role": "assistant", "content": null, "tool_calls": [call("1"), call("2")]});
        let messages = [&[asked, called], messages].concat();
        json!({ "messages": messages })
    };
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "22"});
    malformed(after(&[]), "messages[1].tool_calls[0]");
    malformed(after(&[result("1")]), "messages[1].tool_calls[1]");
    malformed(after(&[result("1"), json!({"role": "user", "content": "b"})]), "messages[1].tool_calls[1]");
    malformed(after(&[result("3")]), "messages[2].tool_call_id");
    malformed(after(&[result("1"), result("1")]), "messages[3].tool_call_id");
    assert!(ChatRequest::from_json(&after(&[result("2"), result("1")])).is_ok());
}

#[test]
fn malformed_fields_are_refused_with_their_path() {
    let malformed = |field: &str, value: Value, expected: &str| {
        assert_eq!(refused(&with(field, value)), ("invalid-request", expected.to_owned()));
    };
    malformed("messages", Value::Null, "messages");
    malformed("messages", json!([]), "messages");
    malformed("messages", json!("Hi"), "messages");
    malformed("messages", json!(["Hi"]), "messages[0]");
    malformed("messages", json!([{"content": "Hi"}]), "messages[0].role");
    malformed("messages", json!([{"role": 5, "content": "Hi"}]), "messages[0].role");
    malformed("messages", json!([{"role": "narrator", "content": "Hi"}]), "messages[0].role");
    malformed("messages", json!([{"role": "user"}]), "messages[0].content");
    malformed("messages", json!([{"role": "user", "content": 5}]), "messages[0].content");
    malformed("messages", json!([{"role": "user", "content": ["a"]}]), "messages[0].content[0]");
    malformed("messages", json!([{"role": "user", "content": [{"type": "text"}]}]), "messages[0].content[0].text");
    let picture = |image_url: Value| {
        let content = json!([{"type": "image_url", "image_url": image_url}]);
        json!([{"role": "user", "content": "a"}, {"role": "user", "content": content}])
    };
    malformed("messages", json!([{"role": "tool", "content": "22"}]), "messages[0].tool_call_id");
    malformed("messages", json!([{"role": "tool", "tool_call_id": "1", "content": "22"}]), "messages[0].tool_call_id");
    malformed("messages", picture(json!({})), "messages[1].content[0].image_url.url");
    malformed("messages", picture(json!({"url": 7})), "messages[1].content[0].image_url.url");
    malformed("messages", picture(json!({"url": ""})), "messages[1].content[0].image_url.url");
    malformed("messages", picture(json!("")), "messages[1].content[0].image_url");
    malformed("messages", picture(json!(7)), "messages[1].content[0].image_url");
    malformed("messages", picture(json!({"url": "a", "detail": "tiny"})), "messages[1].content[0].image_url.detail");
    malformed("temperature", json!("hot"), "temperature");
    malformed("temperature", json!(2.5), "temperature");
    malformed("temperature", json!(1e300), "temperature");
    malformed("top_k", json!(0), "top_k");
    malformed("top_k", json!(1.5), "top_k");
    malformed("max_tokens", json!(0), "max_tokens");
    malformed("max_tokens", json!(-3), "max_tokens");
    malformed("max_tokens", json!(1e10), "max_tokens");
    malformed("n", json!(0), "n");
    malformed("n", json!(129), "n");
    malformed("n", json!("1"), "n");
    malformed("logprobs", json!(1), "logprobs");
    malformed("top_logprobs", json!(3), "top_logprobs");
    malformed("seed", json!("x"), "seed");
    malformed("stop", json!(5), "stop");
    malformed("stop", json!([""]), "stop[0]");
    malformed("stop", json!(["a", 5]), "stop[1]");
    malformed("stop", json!(vec!["a"; 17]), "stop");
    malformed("stop", json!("a".repeat(1025)), "stop");
    malformed("stream", json!("yes"), "stream");
    malformed("stream_options", json!({"include_usage": true}), "stream_options");
    malformed("logit_bias", json!([1]), "logit_bias");
    malformed("logit_bias", json!({"x": 1}), "logit_bias.x");
    malformed("logit_bias", json!({"5": 101}), "logit_bias.5");
    malformed("response_format", json!("text"), "response_format");
    malformed("response_format", json!({"type": "json_schema"}), "response_format.json_schema");
    let of = |schema| json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});
    malformed("response_format", of(json!("a")), "response_format.json_schema.schema");
    malformed("response_format", of(Value::Null), "response_format.json_schema.schema");
    malformed("model", json!(5), "model");
    let mut both = with("max_tokens", json!(5));
    both["max_completion_tokens"] = json!(6);
    assert_eq!(refused(&both), ("invalid-request", "max_completion_tokens".into()));
    for not_an_object in [json!([]), json!("x"), Value::Null] {
        assert_eq!(refused(&not_an_object), ("invalid-request", "body".into()));
    }
    assert!(matches!("{".parse::<ChatRequest>(), Err(Error::InvalidRequest { field, .. }) if field == "body"));
}

#[test]
fn score_requests_are_read() {
    let ids = ScoreRequest::from_json(&json!({"input_ids": [1, 3, 4], "images": ["a.png"]})).unwrap();
    let (prompt, picture_urls) = (Prompt::Ids(vec![1, 3, 4]), vec!["a.png".into()]);
    assert_eq!(ids, ScoreRequest { prompt, picture_urls, details: vec![Detail::High] });
    let bare = r#"{"input_ids": [7]}"#.parse::<ScoreRequest>().unwrap();
    assert_eq!(bare, ScoreRequest { prompt: Prompt::Ids(vec![7]), picture_urls: vec![], details: vec![] });
    let field = |request: Value| match ScoreRequest::from_json(&request) {
        Err(Error::InvalidRequest { field, .. } | Error::UnsupportedOption { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(json!({})), "body");
    assert_eq!(field(json!({"input_ids": []})), "input_ids");
    assert_eq!(field(json!({"input_ids": [1, -1]})), "input_ids[1]");
    assert_eq!(field(json!({"input_ids": [1, 4_294_967_296u64]})), "input_ids[1]");
    assert_eq!(field(json!({"input_ids": [1], "images": [5]})), "images[0]");
    assert_eq!(field(json!({"input_ids": [1], "image": []})), "image");
    assert_eq!(field(json!({"input_ids": [1], "messages": [{"role": "user", "content": "a"}]})), "input_ids");
}

/// Paths of every value in a document.
fn pointers(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), v)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        _ => Vec::new(),
    };
    let below = children.iter().flat_map(|(k, v)| pointers(v).into_iter().map(move |p| format!("/{k}{p}")));
    std::iter::once(String::new()).chain(below).collect()
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z_]{1,6}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(crate::fixed_cases(4000))]

    #[test]
    fn any_change_is_read_or_refused_with_a_field(at in any::<prop::sample::Index>(), value in any_json()) {
        let mut request = json!({
            "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "b"}}]}],
            "stream": true, "stream_options": {"include_usage": true}, "stop": ["x"], "temperature": 1, "top_k": 4, "seed": 3,
            "logit_bias": {"4": 1}, "max_tokens": 3, "response_format": {"type": "text"}
        });
        let pointers = pointers(&request);
        *request.pointer_mut(&pointers[at.index(pointers.len())]).unwrap() = value;
        match ChatRequest::from_json(&request) {
            Ok(read) => prop_assert!(read.sampling.validate().is_ok() && !read.messages.is_empty()),
            Err(Error::InvalidRequest { field, .. } | Error::UnsupportedOption { field, .. }) => prop_assert!(!field.is_empty()),
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }
}
