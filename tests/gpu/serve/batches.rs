//! Files and batches over HTTP.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Reply, Server, request};
use super::{CHAT, WANTED, about_a_picture, base64, endless, said};

/// An unused folder for this test; any older one is removed.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("serve").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

/// A form with a purpose and a file, like those of official clients.
pub(crate) fn form(purpose: &str, file: &str) -> (String, String) {
    let part = |name: &str, text: &str| format!("--edge\r\ncontent-disposition: form-data; {name}\r\n\r\n{text}\r\n");
    let parts = [part("name=\"purpose\"", purpose), part("name=\"file\"; filename=\"in.jsonl\"", file)];
    ("content-type: multipart/form-data; boundary=edge".into(), parts.concat() + "--edge--\r\n")
}

pub(crate) fn upload(server: &Server, purpose: &str, file: &str) -> Reply {
    let (kind, body) = form(purpose, file);
    server.exchange(&request("POST", "/v1/files", &[&kind], body.as_bytes()))
}

pub(crate) fn line(id: &str, body: &Value) -> String {
    json!({"custom_id": id, "method": "POST", "url": CHAT, "body": body}).to_string()
}

pub(crate) fn create(server: &Server, file: &str) -> Value {
    let batch =
        json!({"input_file_id": file, "endpoint": CHAT, "completion_window": "24h", "metadata": {"album": "1"}});
    server.post("/v1/batches", &batch).json()
}

fn batch(server: &Server, id: &Value) -> Value {
    server.get(&format!("/v1/batches/{}", id.as_str().expect("an id")), &[]).json()
}

/// Waits until `is_done` is true for a batch.
pub(crate) fn wait(server: &Server, id: &Value, is_done: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let batch = batch(server, id);
        if is_done(&batch) {
            return batch;
        }
        assert!(began.elapsed() < Duration::from_secs(600), "{batch}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn has_ended(batch: &Value) -> bool {
    ["completed", "failed", "cancelled"].contains(&batch["status"].as_str().expect("a status"))
}

/// The lines of an output file.
pub(crate) fn content(server: &Server, id: &Value) -> Vec<Value> {
    let reply = server.get(&format!("/v1/files/{}/content", id.as_str().expect("an id")), &[]);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Answers by request, none of them twice.
pub(super) fn answered(lines: &[Value]) -> BTreeMap<String, String> {
    let mut answers = BTreeMap::new();
    for line in lines {
        let (id, body) = (line["custom_id"].as_str().expect("an id"), &line["response"]["body"]);
        let text = body["choices"][0]["message"]["content"].as_str().expect("text");
        assert!(answers.insert(id.to_owned(), text.to_owned()).is_none(), "{id} twice");
    }
    answers
}

#[test]
fn a_batch_is_answered_like_single_requests_and_yields_to_a_person() {
    let server = Server::start(&[]);
    // Longer than the answer to a person, on any machine.
    let long = endless(900, json!({}));
    let alone = said(&server.post(CHAT, &long));
    let lines = [
        line("long 1", &long),
        line("picture", &about_a_picture(json!({}))),
        "no JSON".into(),
        line("refused", &json!({"messages": [], "n": 0})),
        line("long 2", &long),
        line("long 3", &long),
    ];
    let file = upload(&server, "batch", &lines.join("\n")).json();
    assert_eq!(
        (&file["object"], &file["filename"], &file["purpose"]),
        (&json!("file"), &json!("in.jsonl"), &json!("batch"))
    );
    assert_eq!(file["bytes"], lines.join("\n").len());
    let begun = create(&server, file["id"].as_str().expect("an id"));
    assert_eq!((&begun["object"], &begun["metadata"]["album"]), (&json!("batch"), &json!("1")));
    wait(&server, &begun["id"], |batch| batch["status"] == "in_progress");
    // It arrives during an answer of the batch, while others wait.
    assert_eq!(said(&server.post(CHAT, &about_a_picture(json!({})))), WANTED);
    let meanwhile = batch(&server, &begun["id"]);
    assert!(!has_ended(&meanwhile), "{meanwhile}");
    let ended = wait(&server, &begun["id"], has_ended);
    assert_eq!(
        (&ended["status"], &ended["request_counts"]),
        (&json!("completed"), &json!({"total": 6, "completed": 4, "failed": 2}))
    );
    let right = answered(&content(&server, &ended["output_file_id"]));
    let text = |text: &str| text.to_owned();
    let expected = [("long 1", &alone), ("long 2", &alone), ("long 3", &alone), ("picture", &text(WANTED))];
    assert_eq!(right, expected.map(|(id, said)| (id.to_owned(), said.clone())).into());
    let refused = content(&server, &ended["error_file_id"]);
    let told: Vec<_> = refused
        .iter()
        .map(|line| (&line["custom_id"], &line["error"]["line"], &line["response"]["status_code"]))
        .collect();
    assert_eq!(told, [(&Value::Null, &json!(3), &Value::Null), (&json!("refused"), &Value::Null, &json!(400))]);
    let list = server.get("/v1/batches?limit=1", &[]).json();
    assert_eq!((&list["data"][0]["id"], &list["has_more"]), (&begun["id"], &json!(false)));
}

#[test]
fn a_killed_server_resumes_its_batches() {
    let folder = folder("killed");
    let start = || Server::start(&["--files", folder.to_str().expect("UTF-8")]);
    let mut server = start();
    let requests: Vec<_> = (0..12).map(|index| line(&index.to_string(), &endless(20 + index, json!({})))).collect();
    let alone: Vec<_> = (0..12).map(|index| said(&server.post(CHAT, &endless(20 + index, json!({}))))).collect();
    let file = upload(&server, "batch", &requests.join("\n")).json();
    let id = create(&server, file["id"].as_str().expect("an id"))["id"].clone();
    for some in [2, 5, 9] {
        wait(&server, &id, |batch| batch["request_counts"]["completed"].as_u64().expect("a count") >= some);
        // Dropping the server kills it.
        drop(server);
        server = start();
    }
    let second = Server::attempt(&["--files", folder.to_str().expect("UTF-8")]);
    assert!(second.contains("another server has this folder"), "{second}");
    let ended = wait(&server, &id, has_ended);
    assert_eq!(ended["request_counts"], json!({"total": 12, "completed": 12, "failed": 0}));
    let expected = alone.into_iter().enumerate().map(|(index, said)| (index.to_string(), said));
    assert_eq!(answered(&content(&server, &ended["output_file_id"])), expected.collect());
}

#[test]
fn a_line_that_ends_two_servers_is_passed_over() {
    let folder = folder("attempt");
    let mut server = Server::start(&["--files", folder.to_str().expect("UTF-8")]);
    // It takes a while to decode.
    let mut png = std::io::Cursor::new(Vec::new());
    image::GrayImage::new(9000, 9000).write_to(&mut png, image::ImageFormat::Png).expect("a picture");
    let url = format!("data:image/png;base64,{}", base64(&png.into_inner()));
    let parts = json!([{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What is this?"}]);
    let large = json!({"messages": [{"role": "user", "content": parts}], "max_tokens": 2});
    let lines = [line("large", &large), line("small", &endless(2, json!({})))];
    let file = upload(&server, "batch", &lines.join("\n")).json();
    let id = create(&server, file["id"].as_str().expect("an id"))["id"].clone();
    let is_noted = |note: &str| {
        let entries = std::fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.path());
        let mut notes = entries.filter(|path| path.extension().is_some_and(|ending| ending == "attempt"));
        notes.any(|path| std::fs::read_to_string(path).is_ok_and(|notes| notes.contains(note)))
    };
    for end in 1..=2 {
        let began = Instant::now();
        while !is_noted(&format!("\"large\":{end}")) {
            assert!(began.elapsed() < Duration::from_secs(600), "the line is not prepared");
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(server);
        server = Server::start(&["--files", folder.to_str().expect("UTF-8")]);
    }
    let ended = wait(&server, &id, has_ended);
    assert_eq!(ended["request_counts"], json!({"total": 2, "completed": 1, "failed": 1}));
    let refused = &content(&server, &ended["error_file_id"])[0]["response"]["body"]["error"]["message"];
    assert!(refused.as_str().expect("a message").contains("2 processes ended"), "{refused}");
}

#[test]
fn invalid_files_and_batches_are_refused_and_a_batch_can_be_cancelled() {
    let server = Server::start(&[]);
    let invalid = |field: &str| (400, "invalid_value".to_owned(), json!(field));
    let missing = (404, "not_found".to_owned(), Value::Null);
    assert_eq!(upload(&server, "fine-tune", "{}").error(), invalid("purpose"));
    let plain = server.post("/v1/files", &json!({"purpose": "batch"}));
    assert_eq!(plain.error(), invalid("body"));
    for id in ["file-0", "file-..%2f..%2fetc%2fpasswd", "passwd", "batch_0"] {
        assert_eq!(server.get(&format!("/v1/files/{id}"), &[]).error(), missing, "{id}");
    }
    assert_eq!(server.get("/v1/batches/batch_0", &[]).error(), missing);
    let many: Vec<_> = (0..200).map(|index| line(&index.to_string(), &endless(200, json!({})))).collect();
    let file = upload(&server, "batch", &many.join("\n")).json()["id"].clone();
    for (field, value) in [("input_file_id", "file-0"), ("endpoint", "/v1/embeddings"), ("completion_window", "1h")] {
        let mut batch = json!({"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"});
        batch[field] = value.into();
        assert_eq!(server.post("/v1/batches", &batch).error(), invalid(field));
    }
    let id = create(&server, file.as_str().expect("an id"))["id"].clone();
    let path = format!("/v1/batches/{}/cancel", id.as_str().expect("an id"));
    assert!(
        ["cancelling", "cancelled"]
            .contains(&server.post(&path, &json!({})).json()["status"].as_str().expect("a status"))
    );
    assert_eq!(wait(&server, &id, has_ended)["status"], "cancelled");
    let path = format!("/v1/files/{}", file.as_str().expect("an id"));
    assert_eq!(server.exchange(&request("DELETE", &path, &[], b"")).json()["deleted"], true);
    assert_eq!(server.get(&path, &[]).error(), missing);
}
