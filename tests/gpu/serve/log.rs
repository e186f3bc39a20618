//! The log has ids, and nothing that users wrote or read.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Server, post};
use super::{CHAT, endless, with};

/// A word that is in requests alone.
const RARE: &str = "xylocarp";

#[test]
fn the_log_has_ids_of_requests_and_no_words_of_prompts() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
    command.args(["serve", "www/models/demo", "--port", "0", "--log", "json"]).env("RUST_LOG", "trace");
    let server = Server::run(command);
    let content = json!([{"role": "user", "content": RARE}]);
    let schema = |more: Value| json!({"type": "json_schema", "json_schema": {"name": RARE, "schema": more}});
    let requests = [
        endless(3, json!({"messages": content, "user": RARE})),
        endless(3, json!({"messages": content, "stream": true})),
        // Refused when it is read, when its schema is compiled, and when its picture is read.
        with(json!({"messages": content}), json!({RARE: 1, "temperature": RARE})),
        endless(3, json!({"response_format": schema(json!({"properties": {RARE: {"pattern": "(xylocarp"}}}))})),
        json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": format!("/{RARE}.png")}}]}]}),
    ];
    for request in &requests {
        let reply = server.post(CHAT, request);
        let id = reply.header("x-request-id").unwrap_or_else(|| panic!("{reply:?}")).to_owned();
        let began = Instant::now();
        let is_there =
            || server.log.lock().expect("lines").iter().any(|line| line.contains(id.trim_start_matches("req_")));
        while !is_there() {
            assert!(began.elapsed() < Duration::from_secs(60), "no line of {id}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    server.exchange(&post(CHAT, &[], format!("{{\"{RARE}\": ").as_bytes()));
    server.get(&format!("/v1/models/demo?q={RARE}"), &[]);
    assert_eq!(server.get("/health", &[]).status, 200);
    let log = server.log.lock().expect("lines");
    assert!(log.iter().filter(|line| line.starts_with('{')).count() >= requests.len(), "{log:?}");
    assert!(!log.iter().any(|line| line.contains(RARE)), "{log:?}");
}
