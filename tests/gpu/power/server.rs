//! A server with files, batches, usage and conversations.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Record, folder, ocelli, told};
use crate::serve::batches::{content, create, has_ended, line, upload, wait};
use crate::serve::client::{Server, request};
use crate::serve::{CHAT, WANTED, about_a_picture, endless, said};

const LINES: usize = 6;

fn args(root: &Path) -> Vec<String> {
    let below = |name: &str| root.join(name).to_str().expect("text").to_owned();
    let [files, usage, cache] = ["files", "usage", "kept/conversations"].map(below);
    let fixed = ["serve", "www/models/demo", "--port", "0", "--log", "off", "--device", "cpu", "--threads", "1"];
    let fixed = fixed.into_iter().map(str::to_owned);
    fixed.chain(["--files".into(), files, "--usage".into(), usage, "--cache".into(), cache]).collect()
}

/// A file is uploaded.
fn stored(record: &Record, server: &Server, text: &str) -> Value {
    let id = upload(server, "batch", text).json()["id"].clone();
    record.tell(&json!({"file": {"id": id, "text": text}}));
    id
}

/// A user asks.
fn asked(record: &Record, server: &Server, question: &Value) {
    let usage = server.post(CHAT, question).json()["usage"].clone();
    record.tell(&json!({"usage": usage["completion_tokens"]}));
}

fn delete(server: &Server, id: &Value) -> u16 {
    server.exchange(&request("DELETE", &format!("/v1/files/{}", id.as_str().expect("an id")), &[], b"")).status
}

/// Requests to a server until it ends, with everything that it acknowledges.
fn work(record: &Record) {
    let root = record.folder.join("root");
    let mut server = Server::run(record.command(args(&root)));
    let requests: Vec<String> =
        (0..LINES).map(|index| line(&index.to_string(), &endless(3 + index, json!({})))).collect();
    let input = stored(record, &server, &requests.join("\n"));
    let other = stored(record, &server, &"some bytes\n".repeat(4000));
    asked(record, &server, &endless(4, json!({"user": "ann"})));
    let batch = create(&server, input.as_str().expect("an id"))["id"].clone();
    record.tell(&json!({"batch": batch}));
    asked(record, &server, &endless(7, json!({"user": "ann"})));
    record.tell(&json!({"deleting": other}));
    assert_eq!(delete(&server, &other), 200);
    record.tell(&json!({"deleted": other}));
    let ended = wait(&server, &batch, has_ended);
    assert_eq!(ended["status"], "completed", "{ended}");
    record.tell(&json!({"completed": batch}));
    asked(record, &server, &about_a_picture(json!({"user": "ann"})));
    stored(record, &server, "the last file");
    let told = Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().expect("a signal");
    assert!(told.success() && server.child.wait().expect("it ends").success());
    record.tell(&json!({"ended": true}));
}

fn check_files(server: &Server, before: &[Value]) {
    let (deleting, deleted): (Vec<_>, Vec<_>) = (told(before, "deleting").collect(), told(before, "deleted").collect());
    for file in told(before, "file") {
        let reply = server.get(&format!("/v1/files/{}/content", file["id"].as_str().expect("an id")), &[]);
        if deleted.contains(&&file["id"]) {
            assert_eq!(reply.status, 404, "a deleted file");
        } else if !deleting.contains(&&file["id"]) {
            assert_eq!((reply.status, reply.body.as_str()), (200, file["text"].as_str().expect("text")));
        }
    }
}

fn check_batches(server: &Server, before: &[Value]) {
    for batch in told(before, "batch") {
        let is_completed = told(before, "completed").any(|completed| completed == batch);
        let now = wait(server, batch, |now| is_completed || has_ended(now));
        assert_eq!(now["status"], "completed", "{now}");
        let lines = content(server, &now["output_file_id"]);
        let ids: BTreeSet<&str> = lines.iter().map(|line| line["custom_id"].as_str().expect("an id")).collect();
        assert_eq!((lines.len(), ids.len()), (LINES, LINES), "{lines:?}");
    }
}

#[test]
fn a_server_has_everything_that_it_acknowledged_before_a_power_failure() {
    let folder = folder("server");
    let record = Record::begin(&folder);
    work(&record);
    record.check(|root, before| {
        let server = Server::run(ocelli(root, args(root)));
        check_files(&server, before);
        check_batches(&server, before);
        let usage = server.get("/v1/usage", &[]).json();
        let rows = usage["data"].as_array().expect("rows").iter().filter(|row| row["key"] == "ann");
        let counted: u64 = rows.filter_map(|row| row["completion_tokens"].as_u64()).sum();
        let acknowledged: u64 = told(before, "usage").filter_map(Value::as_u64).sum();
        assert!(counted >= acknowledged, "{counted} of {acknowledged} tokens: {usage}");
        let reply = server.post(CHAT, &about_a_picture(json!({"user": "ann"})));
        assert_eq!(said(&reply), WANTED);
        let cached = reply.json()["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64();
        assert!(told(before, "ended").next().is_none() || cached > Some(40), "a conversation was kept: {reply:?}");
    });
}
