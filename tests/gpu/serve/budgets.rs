//! Budgets over HTTP: refusals, answers that end at a budget, and stored usage.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::batches::{content, create, folder, has_ended, line, upload, wait};
use super::client::{Reply, Server};
use super::{CHAT, about_a_picture, endless, not_at_midnight, with};

/// A server that stores usage in a folder.
fn start(folder: &Path, more: &[&str]) -> Server {
    Server::start(&[&["--usage", folder.to_str().expect("UTF-8")], more].concat())
}

fn total(body: &Value) -> u64 {
    body["usage"]["total_tokens"].as_u64().unwrap_or_else(|| panic!("{body}"))
}

/// Status, code and detail of a refusal.
fn refused(reply: &Reply) -> (u16, Value, Value) {
    let error = &reply.json()["error"];
    (reply.status, error["code"].clone(), error["detail"].clone())
}

fn of(user: &str, tokens: usize) -> Value {
    endless(tokens, json!({"user": user}))
}

#[test]
fn a_budget_refuses_before_any_work_ends_answers_at_its_limit_and_outlives_a_kill() {
    not_at_midnight();
    let folder = folder("usage");
    let limits = ["--request-tokens", "45", "--key-tokens", "200"];
    let server = start(&folder, &limits);
    let cut = server.post(CHAT, &of("ann", 300)).json();
    assert_eq!((total(&cut), &cut["choices"][0]["finish_reason"]), (45, &json!("length")), "{cut}");
    let own = server.post(CHAT, &endless(300, json!({"user": "bob", "budget": {"tokens": 30}}))).json();
    assert_eq!(total(&own), 30, "{own}");
    let wrong = server.post(CHAT, &endless(300, json!({"budget": {"tokens": "30"}})));
    assert_eq!(wrong.error(), (400, "invalid_value".into(), json!("budget.tokens")));

    // The prompt alone is too long, streamed or not; the picture is not encoded.
    let long = json!({"messages": [{"role": "user", "content": "word ".repeat(100)}], "user": "carl"});
    for request in [long.clone(), with(long, json!({"stream": true})), about_a_picture(json!({"user": "carl"}))] {
        let reply = server.post(CHAT, &request);
        let (status, code, detail) = refused(&reply);
        assert_eq!((status, code), (429, json!("budget_exceeded")), "{reply:?}");
        assert_eq!((&detail["scope"], &detail["limit"], &detail["spent"]), (&json!("request"), &json!(45), &json!(0)));
        assert!(detail["asked"].as_u64() > Some(45) && detail["renews_at"].is_null(), "{detail}");
        assert_eq!((reply.header("x-should-retry"), reply.header("retry-after")), (Some("false"), None));
    }

    // A response and a stream use the rest of the day's budget.
    let response = json!({"input": "Hello", "user": "ann", "temperature": 0, "max_output_tokens": 300});
    let response = server.post("/v1/responses", &response).json();
    assert!(total(&response) <= 45, "{response}");
    let options = json!({"stream": true, "stream_options": {"include_usage": true}});
    let streamed = server.post(CHAT, &with(of("ann", 300), options));
    assert!(streamed.body.contains("\"total_tokens\":45"), "{streamed:?}");
    let mut spent = 45 + total(&response) + 45;
    let last = loop {
        let reply = server.post(CHAT, &of("ann", 300));
        if reply.status != 200 {
            break reply;
        }
        spent += total(&reply.json());
    };
    let (status, code, detail) = refused(&last);
    assert_eq!(
        (status, code, &detail["scope"], &detail["spent"]),
        (429, json!("budget_exceeded"), &json!("key"), &json!(spent))
    );
    assert!(spent <= 200, "{spent}");
    let after: u64 = last.header("retry-after").expect("a time").parse().expect("a number");
    assert!((1..=86_400).contains(&after), "{after}");
    assert_eq!(server.post(CHAT, &of("dora", 5)).status, 200, "another key has its own");

    let report = server.get("/v1/usage", &[]).json();
    let row = |report: &Value, key: &str| {
        let rows = report["data"].as_array().expect("rows");
        rows.iter().find(|row| row["key"] == key).cloned().unwrap_or_else(|| panic!("no {key}: {report}"))
    };
    let ann = row(&report, "ann");
    let tokens = |name: &str| ann[name].as_u64().expect("a number");
    assert_eq!(
        (tokens("prompt_tokens") + tokens("completion_tokens"), &ann["refusals"]),
        (spent, &json!(1)),
        "{report}"
    );
    assert!(ann["seconds"].as_f64() > Some(0.0), "{report}");
    assert_eq!((&row(&report, "carl")["requests"], &row(&report, "carl")["refusals"]), (&json!(0), &json!(3)));
    let csv = server.get("/v1/usage?format=csv", &[]);
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(csv.body.starts_with("day,key,requests,") && csv.body.contains(",\"ann\","), "{csv:?}");

    // Killed while it wrote a line.
    drop(server);
    let day = ann["day"].as_str().expect("a day");
    let path = folder.join(format!("{day}.jsonl"));
    let text = std::fs::read_to_string(&path).expect("the file of the day");
    std::fs::write(&path, text + "{\"day\": \"20").expect("a file");
    let told = Command::new(env!("CARGO_BIN_EXE_ocelli")).arg("usage").arg(&folder).output().expect("the command");
    let kept: Value = serde_json::from_slice(&told.stdout).unwrap_or_else(|error| panic!("{error}: {told:?}"));
    assert_eq!((&row(&kept, "ann")["requests"], &kept["damaged_lines"]), (&ann["requests"], &json!(1)));
    assert!(String::from_utf8_lossy(&told.stderr).contains("is damaged"), "{told:?}");
    let server = start(&folder, &limits);
    assert_eq!(server.post(CHAT, &of("dora", 5)).status, 200);
    let today = server.get("/v1/usage", &[]).json();
    // The day may have changed meanwhile.
    if row(&today, "dora")["requests"] == 2 {
        assert_eq!(refused(&server.post(CHAT, &of("ann", 300))).0, 429);
    }
}

#[test]
fn simultaneous_clients_of_a_key_exceed_its_budget_by_at_most_a_token_each() {
    not_at_midnight();
    let server = Server::start(&["--key-tokens", "150"]);
    let spent: u64 = std::thread::scope(|scope| {
        let ask = |number: usize| {
            let reply = server.post(CHAT, &endless(100, json!({"safety_identifier": "all", "n": 1 + number % 3})));
            match reply.status {
                200 => total(&reply.json()),
                _ => {
                    assert_eq!(refused(&reply).1, "budget_exceeded", "{reply:?}");
                    0
                }
            }
        };
        let clients: Vec<_> = (0..6).map(|number| scope.spawn(move || ask(number))).collect();
        clients.into_iter().map(|client| client.join().expect("an answer")).sum()
    });
    assert!((140..=150 + 7).contains(&spent), "{spent}");
    let report = server.get("/v1/usage", &[]).json();
    let row = &report["data"][0];
    let counted = row["prompt_tokens"].as_u64().zip(row["completion_tokens"].as_u64());
    assert_eq!(counted.map(|(prompt, completion)| prompt + completion), Some(spent), "{report}");
}

#[test]
fn nothing_is_counted_without_limits() {
    let server = Server::start(&["--api-key", "secret"]);
    assert_eq!(server.get("/v1/usage", &["authorization: Bearer secret"]).error().1, "unknown_url");
}

#[test]
fn a_batch_has_its_own_budget_and_the_default_user_is_that_of_the_api_key() {
    not_at_midnight();
    let server = Server::start(&["--batch-tokens", "120"]);
    let lines: Vec<String> = (0..10).map(|index| line(&index.to_string(), &endless(40, json!({})))).collect();
    let file = upload(&server, "batch", &lines.join("\n")).json();
    let id = create(&server, file["id"].as_str().expect("an id"))["id"].clone();
    let ended = wait(&server, &id, has_ended);
    assert_eq!((&ended["status"], &ended["request_counts"]["total"]), (&json!("completed"), &json!(10)));
    let right = content(&server, &ended["output_file_id"]);
    let spent: u64 = right.iter().map(|line| total(&line["response"]["body"])).sum();
    assert!((110..=120 + 7).contains(&spent), "{spent}");
    let beyond = content(&server, &ended["error_file_id"]);
    assert_eq!(right.len() + beyond.len(), 10);
    for line in &beyond {
        let response = &line["response"];
        assert_eq!(
            (&response["status_code"], &response["body"]["error"]["detail"]["scope"]),
            (&json!(429), &json!("batch"))
        );
    }
    assert_eq!(server.post(CHAT, &endless(40, json!({}))).status, 200, "others have no limit");
    assert_eq!(server.get("/v1/usage", &[]).json()["data"][0]["key"], "");

    let server = Server::start(&["--api-key", "secret", "--key-tokens", "1"]);
    let body = endless(5, json!({})).to_string();
    let headers = ["authorization: Bearer secret"];
    let reply = server.exchange(&super::post(CHAT, &headers, body.as_bytes()));
    assert_eq!(refused(&reply).2["scope"], "key");
    assert_eq!(server.get("/v1/usage", &headers).json()["data"][0]["key"], "api-key");
}
