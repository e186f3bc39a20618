//! Stored files and batches: limits, expiry, deletion, missing and large contents.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::batches::{content, create, folder, has_ended, line, upload, wait};
use super::client::{Reply, Server, request};
use super::hostile::{FILE, PURPOSE, upload as upload_parts};
use super::{CHAT, endless};

fn delete(server: &Server, path: &str) -> Reply {
    server.exchange(&request("DELETE", path, &[], b""))
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs()
}

/// Writes the description of a file as a server does.
fn describe(folder: &Path, id: &str, bytes: u64, expires_at: Option<u64>) {
    fs::create_dir_all(folder).expect("a folder");
    let mut file = json!({"id": id, "object": "file", "bytes": bytes, "created_at": 1, "filename": "a.jsonl", "purpose": "batch", "status": "processed"});
    if let Some(at) = expires_at {
        file["expires_at"] = at.into();
    }
    fs::write(folder.join(format!("{id}.json")), file.to_string()).expect("a file");
}

/// Answers are counted when they are written. A batch whose answers have no room fails, and keeps those that it has.
#[test]
fn a_batch_fails_when_its_answers_have_no_room() {
    let server = Server::start(&["--files-bytes", "8KiB"]);
    let lines: Vec<_> = (0..25).map(|number| line(&number.to_string(), &endless(3, json!({})))).collect();
    let file = upload(&server, "batch", &lines.join("\n")).json();
    let ended = wait(&server, &create(&server, text(&file["id"]))["id"], has_ended);
    let error = &ended["errors"]["data"][0];
    assert_eq!((&ended["status"], &error["code"]), (&json!("failed"), &json!("storage-full")), "{ended}");
    assert!(text(&error["message"]).contains("no room for more answers"), "{error}");
    let output = format!("/v1/files/{}", text(&ended["output_file_id"]));
    let answers = content(&server, &ended["output_file_id"]);
    assert!(!answers.is_empty() && answers.len() < 25, "{}", answers.len());
    assert_eq!(ended["request_counts"]["completed"], answers.len());
    assert!(answers.iter().all(|answer| answer["response"]["status_code"] == 200));
    let bytes = [&file, &server.get(&output, &[]).json()].map(|file| file["bytes"].as_u64().expect("bytes"));
    assert!(bytes.iter().sum::<u64>() <= 8 << 10, "{bytes:?}");
    // Its room is given back with the file.
    assert_eq!(upload(&server, "batch", &"a".repeat(bytes[1] as usize)).status, 413);
    assert_eq!(delete(&server, &output).status, 200);
    assert_eq!(upload(&server, "batch", &"a".repeat(bytes[1] as usize)).status, 200);
}

#[test]
fn batches_are_deleted_with_their_answers() {
    let server = Server::start(&["--files-count", "2"]);
    let file = upload(&server, "batch", &line("a", &endless(2, json!({})))).json();
    let ended = wait(&server, &create(&server, text(&file["id"]))["id"], has_ended);
    assert_eq!(upload(&server, "batch", "{}").error().1, "storage_full");
    let path = format!("/v1/batches/{}", text(&ended["id"]));
    let deleted = delete(&server, &path).json();
    assert_eq!(deleted, json!({"id": ended["id"], "object": "batch", "deleted": true}));
    for path in [
        path,
        format!("/v1/files/{}", text(&ended["output_file_id"])),
        format!("/v1/files/{}", text(&ended["error_file_id"])),
    ] {
        assert_eq!(server.get(&path, &[]).error().0, 404, "{path}");
    }
    // The batch and the files of its answers have left their places.
    assert_eq!(upload(&server, "batch", "{}").status, 200);
    assert_eq!(server.get(&format!("/v1/files/{}", text(&file["id"])), &[]).status, 200, "its requests stay");
}

#[test]
fn an_active_batch_and_its_answers_are_not_deleted() {
    let server = Server::start(&[]);
    let many: Vec<_> = (0..200).map(|number| line(&number.to_string(), &endless(200, json!({})))).collect();
    let file = upload(&server, "batch", &many.join("\n")).json();
    let begun = wait(&server, &create(&server, text(&file["id"]))["id"], |batch| batch["status"] == "in_progress");
    let path = format!("/v1/batches/{}", text(&begun["id"]));
    assert_eq!(delete(&server, &path).error(), (400, "invalid_value".into(), json!("batch_id")));
    let output = format!("/v1/files/{}", text(&begun["output_file_id"]));
    assert_eq!(delete(&server, &output).error(), (400, "invalid_value".into(), json!("file_id")));
    assert_eq!(server.post(&format!("{path}/cancel"), &json!({})).status, 200);
    wait(&server, &begun["id"], has_ended);
    assert_eq!(delete(&server, &path).status, 200);
    assert_eq!(server.get(&output, &[]).error().0, 404);
}

#[test]
fn metadata_and_lifetimes_of_batches_are_bounded() {
    let server = Server::start(&[]);
    let file = upload(&server, "batch", &line("a", &endless(2, json!({})))).json();
    let create = |field: &str, value: Value| {
        let mut batch = json!({"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h"});
        batch[field] = value;
        server.post("/v1/batches", &batch)
    };
    let pairs = |number: usize| (0..number).map(|number| (number.to_string(), json!("a"))).collect::<Value>();
    let long = |name: usize, value: usize| json!({"ä".repeat(name): "ä".repeat(value)});
    for wrong in [pairs(17), long(65, 1), long(1, 513), json!({"a": 1})] {
        assert_eq!(create("metadata", wrong).error(), (400, "invalid_value".into(), json!("metadata")));
    }
    for right in [pairs(16), long(64, 512), Value::Null] {
        assert_eq!(create("metadata", right.clone()).json()["metadata"], right);
    }
    let after = |seconds: u64| json!({"anchor": "created_at", "seconds": seconds});
    let field = json!("output_expires_after.seconds");
    assert_eq!(create("output_expires_after", after(3599)).error(), (400, "invalid_value".into(), field));
    assert_eq!(create("output_expires_after", json!({"anchor": "end", "seconds": 3600})).status, 400);
    let ended = wait(&server, &create("output_expires_after", after(3600)).json()["id"], has_ended);
    let output = server.get(&format!("/v1/files/{}", text(&ended["output_file_id"])), &[]).json();
    for at in [&ended["removed_at"], &output["expires_at"]] {
        assert!(at.as_u64().is_some_and(|at| (now() + 3500..=now() + 3600).contains(&at)), "{ended} {output}");
    }
}

#[test]
fn files_expire() {
    let folder = folder("expiry");
    describe(&folder, "file-0123456789abcdef", 2, Some(now() + 20));
    fs::write(folder.join("file-0123456789abcdef.jsonl"), "{}").expect("a file");
    let server = Server::start(&["--files", folder.to_str().expect("UTF-8")]);
    let expiring = |anchor: &str, seconds: &str| {
        let [to, after] =
            ["anchor", "seconds"].map(|name| format!("content-disposition: form-data; name=\"expires_after[{name}]\""));
        upload_parts(&server, &[PURPOSE, (FILE, "{}"), (&*to, anchor), (&*after, seconds)])
    };
    let invalid = |field: &str| (400, "invalid_value".to_owned(), json!(field));
    for wrong in ["3599", "2592001", "-1", "x"] {
        assert_eq!(expiring("created_at", wrong).error(), invalid("expires_after.seconds"), "{wrong}");
    }
    assert_eq!(expiring("now", "3600").error(), invalid("expires_after.anchor"));
    let file = expiring("created_at", "3600").json();
    assert!(file["expires_at"].as_u64().is_some_and(|at| (now() + 3500..=now() + 3600).contains(&at)), "{file}");
    let began = Instant::now();
    while server.get("/v1/files/file-0123456789abcdef", &[]).status == 200 {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not expire");
        std::thread::sleep(Duration::from_millis(100));
    }
    let listed = server.get("/v1/files", &[]).json();
    assert_eq!((listed["data"].as_array().map(Vec::len), &listed["data"][0]["id"]), (Some(1), &file["id"]));
    // It is removed from the disk without another request.
    while folder.join("file-0123456789abcdef.jsonl").exists() {
        assert!(began.elapsed() < Duration::from_secs(180), "it is not removed");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn contents_that_are_missing_are_an_error() {
    let folder = folder("missing");
    let server = Server::start(&["--files", folder.to_str().expect("UTF-8")]);
    let file = upload(&server, "batch", &line("a", &endless(2, json!({})))).json();
    fs::remove_file(folder.join(format!("{}.jsonl", text(&file["id"])))).expect("its bytes");
    let lost = server.get(&format!("/v1/files/{}/content", text(&file["id"])), &[]);
    assert_eq!(lost.error(), (500, "io".into(), Value::Null));
    let ended = wait(&server, &create(&server, text(&file["id"]))["id"], has_ended);
    assert_eq!((&ended["status"], &ended["errors"]["data"][0]["code"]), (&json!("failed"), &json!("io")), "{ended}");
    assert_eq!(server.get("/v1/files", &[]).json()["data"].as_array().map(Vec::len), Some(1), "it has no answers");
}

#[cfg(target_os = "linux")]
#[test]
fn contents_of_large_files_are_not_kept_in_memory() {
    use std::io::{Read, Write};

    use super::hostile::peak;

    const BYTES: u64 = 400 << 20;
    let folder = folder("large");
    describe(&folder, "file-0123456789abcdef", BYTES, None);
    let bytes = fs::File::create(folder.join("file-0123456789abcdef.jsonl")).expect("a file");
    bytes.set_len(BYTES).expect("a length");
    let server = Server::start(&["--files", folder.to_str().expect("UTF-8")]);
    let before = peak(&server);
    let get = || {
        let mut stream = server.connect();
        let get = request("GET", "/v1/files/file-0123456789abcdef/content", &[], b"");
        stream.write_all(&get).expect("a request");
        stream
    };
    // Some read nothing but the beginning.
    let _slow: Vec<_> =
        (0..8).map(|_| get()).inspect(|mut stream| stream.read_exact(&mut [0; 64]).expect("a head")).collect();
    let all = std::io::copy(&mut get(), &mut std::io::sink()).expect("the content");
    assert!((BYTES..BYTES + 1024).contains(&all), "{all} bytes");
    let more = (peak(&server) - before) >> 20;
    assert!(more < 64, "{more} MiB");
}
