//! `ocelli serve` over real sockets: answers are those of the engine, errors are OpenAI's, and slow, broken, malicious or many clients do
//! not affect others.

mod agents;
pub(crate) mod batches;
mod budgets;
pub(crate) mod client;
pub(crate) mod downloads;
mod hostile;
mod idle;
mod keys;
mod log;
mod models;
mod page;
mod pictures;
mod restart;
mod signals;
mod storage;
mod thoughts;

use std::io::{Read, Write};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::{Reply, Server, post, request};
use serde_json::{Value, json};

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const WANTED: &str = "An orange circle above the purple word \"SEA\" on a gray background.";

/// A greedy question about a picture from the gallery.
pub(crate) fn about_a_picture(more: Value) -> Value {
    let bytes = std::fs::read("www/models/demo/gallery/scene-01.png").expect("a picture");
    let url = format!("data:image/png;base64,{}", base64(&bytes));
    let content =
        json!([{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "Describe this image."}]);
    with(json!({"messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": 60}), more)
}

/// A question with an answer of exactly `tokens` tokens.
pub(crate) fn endless(tokens: usize, more: Value) -> Value {
    let bias = json!({"2": -100});
    let request = json!({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": tokens, "temperature": 0, "logit_bias": bias});
    with(request, more)
}

/// Waits for the next day of UTC if it is about to begin, for tests of what is counted by day.
fn not_at_midnight() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
    let left = 86_400 - now % 86_400;
    if left < 180 {
        std::thread::sleep(Duration::from_secs(left));
    }
}

fn with(mut request: Value, more: Value) -> Value {
    request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    request
}

pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let value = (word >> (18 - 6 * digit)) & 63;
            text.push(if digit > three.len() { '=' } else { DIGITS[value as usize] as char });
        }
    }
    text
}

pub(crate) fn said(reply: &Reply) -> String {
    reply.json()["choices"][0]["message"]["content"].as_str().unwrap_or_else(|| panic!("{reply:?}")).to_owned()
}

#[test]
fn answers_streams_and_errors_are_those_of_the_api() {
    let server = Server::start(&["--alias", "gpt-4o", "--origin", "https://app.example"]);
    let whole = server.post(CHAT, &about_a_picture(json!({"model": "gpt-4o"})));
    assert_eq!((whole.status, said(&whole).as_str(), &whole.json()["model"]), (200, WANTED, &json!("demo")));
    assert!(whole.header("x-request-id").is_some_and(|id| id.starts_with("req_")), "{whole:?}");
    let streamed = server.post(CHAT, &about_a_picture(json!({"stream": true})));
    assert_eq!(
        (streamed.streamed_text().as_str(), streamed.header("content-type")),
        (WANTED, Some("text/event-stream"))
    );
    let input = about_a_picture(json!({}))["messages"][0]["content"][0]["image_url"]["url"].clone();
    let input = json!([{"role": "user", "content": [{"type": "input_image", "image_url": input}, {"type": "input_text", "text": "Describe this image."}]}]);
    let response = server.post("/v1/responses", &json!({"input": input, "temperature": 0})).json();
    assert_eq!(response["output"][0]["content"][0]["text"], WANTED);
    assert_eq!(server.get("/v1/models/demo", &[]).json()["id"], "demo");
    let invalid = |code: &str, field: Value| (400, code.to_owned(), field);
    let named = |field: &str| invalid("unsupported_parameter", json!(field));
    assert_eq!(
        server.post(CHAT, &about_a_picture(json!({"tools": [{"type": "custom"}]}))).error(),
        named("tools[0].type")
    );
    let outside =
        json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}]);
    let field = json!("messages[0].content[0].image_url.url");
    assert_eq!(server.post(CHAT, &json!({"messages": outside})).error(), invalid("invalid_value", field));
    let broken = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]);
    assert_eq!(server.post(CHAT, &json!({"messages": broken})).error(), invalid("image_parse_error", Value::Null));
    assert_eq!(
        server.exchange(&post(CHAT, &[], b"{\"messages\": [\xff]}")).error(),
        invalid("invalid_value", Value::Null)
    );
    assert_eq!(server.exchange(&post(CHAT, &[], b"{")).error(), invalid("invalid_value", json!("body")));
    assert_eq!(server.get("/v1/nowhere", &[]).error(), (404, "unknown_url".into(), Value::Null));
    assert_eq!(server.get(CHAT, &[]).error(), (405, "method_not_supported".into(), Value::Null));
    // A page of another site is refused, and an allowed one passes its preflight request.
    assert_eq!(server.get("/v1/models", &["origin: https://evil.example"]).error().0, 403);
    let preflight = ["origin: https://app.example", "access-control-request-headers: x-stainless-os, authorization"];
    let allowed = server.exchange(&request("OPTIONS", CHAT, &preflight, b""));
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (204, Some("https://app.example")));
    assert_eq!(allowed.header("access-control-allow-headers"), Some("x-stainless-os, authorization"));
}

#[test]
fn formats_are_enforced_or_refused_before_a_stream_begins() {
    let server = Server::start(&[]);
    let ask = |schema: Value, more: Value| {
        let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});
        server.post(CHAT, &with(about_a_picture(json!({"response_format": format, "temperature": 1.5})), more))
    };
    let record = json!({"type": "object", "additionalProperties": false, "required": ["shape", "count"],
        "properties": {"shape": {"enum": ["circle", "star"]}, "count": {"type": "integer", "minimum": 0, "maximum": 9}}});
    let whole = ask(record.clone(), json!({"seed": 3}));
    let answer: Value = serde_json::from_str(&said(&whole)).unwrap_or_else(|_| panic!("{whole:?}"));
    assert!(answer["count"].is_u64() && (answer["shape"] == "circle" || answer["shape"] == "star"), "{answer}");
    assert_eq!(ask(record, json!({"seed": 3, "stream": true})).streamed_text(), said(&whole));
    let place = json!("/response_format/json_schema/schema/items");
    let impossible =
        ask(json!({"type": "array", "items": {"type": "string", "not": {"pattern": "b"}}}), json!({"stream": true}));
    assert_eq!(impossible.error(), (400, "unsupported_schema".into(), place));
}

#[test]
fn a_server_that_others_can_reach_requires_a_key() {
    let open =
        Command::new(env!("CARGO_BIN_EXE_ocelli")).args(["serve", "www/models/demo", "--host", "0.0.0.0"]).output();
    let open = open.expect("the command");
    assert!(
        !open.status.success() && String::from_utf8_lossy(&open.stderr).starts_with("error[invalid-request]: api_key")
    );
    let server = Server::start(&["--api-key", "secret"]);
    let wrong = (401, "invalid_api_key".to_owned(), Value::Null);
    assert_eq!(server.get("/v1/models", &[]).error(), wrong);
    assert_eq!(server.get("/v1/models", &["authorization: Bearer secrets"]).error(), wrong);
    assert_eq!(server.get("/v1/models", &["authorization: Bearer secret"]).status, 200);
}

/// Shares are fair by work, not by order (see `tests/cpu/wire/fairness.rs`), so this checks only that all are answered.
#[test]
fn many_clients_are_all_answered() {
    let server = Server::start(&[]);
    let mut texts = vec![String::new(); 32];
    std::thread::scope(|scope| {
        for (number, text) in texts.iter_mut().enumerate() {
            let server = &server;
            scope.spawn(move || {
                let reply = server.post(CHAT, &about_a_picture(json!({"stream": number % 2 == 0})));
                *text = if number % 2 == 0 { reply.streamed_text() } else { said(&reply) };
            });
        }
    });
    assert!(texts.iter().all(|text| text == WANTED), "{texts:?}");
}

#[test]
fn slow_dead_and_malicious_clients_do_no_harm() {
    let server = Server::start(&[]);
    // Half a head or half a body, and nothing more.
    let halves: Vec<_> = (0..40)
        .map(|number| {
            let mut stream = server.connect();
            let whole = post(CHAT, &[], about_a_picture(json!({})).to_string().as_bytes());
            stream.write_all(&whole[..if number % 2 == 0 { 30 } else { whole.len() / 2 }]).expect("it is taken");
            stream
        })
        .collect();
    // A body that is too large.
    let head =
        format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 100000000\r\n\r\n");
    let large = server.exchange(&[head.as_bytes(), &vec![b' '; 100_000_000]].concat());
    assert_eq!(large.error(), (413, "request_too_large".into(), Value::Null));
    // Streams without readers, the last of which holds the engine, and some whose clients disconnect.
    let unread: Vec<_> = (0..6)
        .map(|number| {
            let mut stream = server.connect();
            let body = endless(380, json!({"stream": true, "n": 8, "logprobs": true, "top_logprobs": 20}));
            stream.write_all(&post(CHAT, &[], body.to_string().as_bytes())).expect("it is taken");
            let mut some = [0; 500];
            if number == 0 {
                stream.read_exact(&mut some).expect("it begins");
            }
            stream
        })
        .collect();
    // The number of steps is checked without a device, in `tests/cpu/wire/fairness.rs`.
    assert_eq!(said(&server.post(CHAT, &about_a_picture(json!({})))), WANTED);
    drop(unread);
    drop(halves);
    assert_eq!(server.post(CHAT, &about_a_picture(json!({"stream": true}))).streamed_text(), WANTED);
}

#[test]
fn a_server_completes_active_answers_after_a_signal_to_end() {
    let mut server = Server::start(&[]);
    let mut stream = server.connect();
    stream
        .write_all(&post(CHAT, &[], endless(40, json!({"stream": true})).to_string().as_bytes()))
        .expect("it is taken");
    let mut first = [0; 200];
    stream.read_exact(&mut first).expect("it begins");
    let told = Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().expect("a signal");
    assert!(told.success());
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the rest");
    assert!(rest.contains("\"finish_reason\":\"length\"") && rest.contains("[DONE]"), "{rest}");
    assert!(server.child.wait().expect("it ends").success());
}
