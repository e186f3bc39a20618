//! Options of `ocelli batch`: one request at a time, and budgets of seconds.

use std::fs;

use serde_json::{Value, json};

use super::batch::{answers, command, folder, request, said, told};

/// Beside others the short answer would be complete first.
#[test]
fn a_batch_of_one_request_at_a_time_has_its_answers_in_order() {
    let folder = folder("in-order");
    let body = |tokens: u32| json!({"prompt": "Hello", "max_tokens": tokens, "logit_bias": {"2": -100}});
    let lines = [("long", 60), ("short", 2)].map(|(id, tokens)| request(id, "/v1/completions", &body(tokens)));
    fs::write(folder.join("in.jsonl"), lines.join("\n")).expect("a file");
    let order = |more: &[&str]| {
        let _ = fs::remove_file(folder.join("out.jsonl"));
        let output = command(&folder).args(more).output().expect("the command");
        assert!(output.status.success(), "{}", said(&output));
        let text = fs::read_to_string(folder.join("out.jsonl")).expect("answers");
        let id = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["custom_id"].clone();
        text.lines().map(id).collect::<Vec<_>>()
    };
    assert_eq!(order(&["--at-once", "1"]), ["long", "short"]);
    assert_eq!(order(&[]), ["short", "long"]);
}

#[test]
fn budgets_of_seconds_refuse_requests() {
    let folder = folder("seconds");
    let body = json!({"prompt": "Hello", "max_tokens": 2, "user": "ann"});
    fs::write(folder.join("in.jsonl"), request("a", "/v1/completions", &body)).expect("a file");
    for (option, scope) in [("--request-seconds", "request"), ("--key-seconds", "key"), ("--batch-seconds", "batch")] {
        let _ = fs::remove_file(folder.join("out.jsonl"));
        let output = command(&folder).args([option, "0"]).output().expect("the command");
        assert!(output.status.success(), "{}", said(&output));
        let (answers, _) = answers(&folder);
        let error = &answers["a"]["body"]["error"];
        assert_eq!(
            (told(&answers["a"]), error["detail"]["scope"].as_str()),
            ("budget_exceeded", Some(scope)),
            "{error}"
        );
    }
}
