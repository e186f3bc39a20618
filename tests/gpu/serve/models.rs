//! Several models by name, of which one is loaded at a time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::batches::{answered, content, create, folder, has_ended, line, upload, wait};
use super::client::{Reply, Server};
use super::idle::{copy_demo, metric};
use super::{CHAT, WANTED, about_a_picture, endless, said};

/// Packages with these names.
fn packages<const N: usize>(folder_name: &str, names: [&str; N]) -> [PathBuf; N] {
    let folder = folder(folder_name);
    names.map(|name| {
        let package = folder.join(name);
        copy_demo(&package);
        package
    })
}

/// A server of all the packages.
fn serve(packages: &[PathBuf], more: &[&str]) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
    command.arg("serve").args(packages).args(["--port", "0"]).args(more);
    Server::run(command)
}

/// A request to a model.
fn to(model: &str, request: Value) -> Value {
    let mut request = request;
    request["model"] = model.into();
    request
}

/// The model that answered, as it says.
fn model(reply: &Reply) -> String {
    reply.json()["model"].as_str().unwrap_or_else(|| panic!("{}", reply.body)).to_owned()
}

#[test]
fn requests_choose_among_several_models_of_which_one_is_loaded() {
    let server = serve(&packages("several", ["first", "second"]), &["--alias", "gpt-4o"]);
    let listed = || server.get("/v1/models", &[]).json()["data"].clone();
    let before = listed();
    assert_eq!([&before[0]["id"], &before[1]["id"]], ["first", "second"]);
    assert!(before[0]["max_model_len"].is_u64() && before[1]["max_model_len"].is_null(), "{before}");
    assert_eq!(model(&server.post(CHAT, &about_a_picture(json!({})))), "first", "without a name");
    let alone = metric(&server, "ocelli_gpu_memory_bytes");
    for name in ["first", "second", "second", "first", "gpt-4o"] {
        let reply = server.post(CHAT, &to(name, about_a_picture(json!({}))));
        assert_eq!((model(&reply).as_str(), said(&reply)), (name.replace("gpt-4o", "first").as_str(), WANTED.into()));
        // Both have the same size.
        assert!(metric(&server, "ocelli_gpu_memory_bytes") < 1.5 * alone, "two models are loaded");
    }
    assert!(listed()[1]["max_model_len"].is_u64(), "it has been loaded");
    assert_eq!(server.get("/v1/models/second", &[]).json()["id"], "second");
    for reply in [server.post(CHAT, &to("third", endless(2, json!({})))), server.get("/v1/models/third", &[])] {
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, error["code"].as_str()), (404, Some("model_not_found")));
        assert!(error["message"].as_str().is_some_and(|text| text.contains("first, second")), "{error}");
    }
    let streamed = server.post(CHAT, &to("second", about_a_picture(json!({"stream": true}))));
    assert_eq!(streamed.streamed_text(), WANTED);
}

#[test]
fn as_many_models_are_loaded_as_have_a_place() {
    let server = serve(&packages("places", ["first", "second", "third"]), &["--resident-models", "2"]);
    let bytes_after = |name: &str| {
        assert_eq!(model(&server.post(CHAT, &to(name, endless(3, json!({}))))), name);
        metric(&server, "ocelli_gpu_memory_bytes")
    };
    let alone = bytes_after("first");
    let unloaded = || {
        let log = server.log.lock().expect("lines");
        let count = |name| log.iter().filter(|line| line.contains("is unloaded") && line.contains(name)).count();
        ["first", "second", "third"].map(count)
    };
    for (name, models) in [("second", 2.0), ("first", 2.0), ("third", 2.0), ("first", 2.0)] {
        let bytes = bytes_after(name);
        assert!((bytes / alone - models).abs() < 0.5, "{name}: {bytes} bytes, one model has {alone}");
    }
    // The log is read on another thread.
    for _ in 0..600 {
        if unloaded() == [0, 1, 0] {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(unloaded(), [0, 1, 0], "the least recently used one");
}

/// A response of one model is continued by another, and lines of a batch name both.
#[test]
fn models_share_responses_and_batches() {
    let server = serve(&packages("sharing", ["first", "second"]), &[]);
    let asked = json!({"model": "first", "input": "Hello", "max_output_tokens": 4});
    let stored = server.post("/v1/responses", &asked).json()["id"].clone();
    let path = format!("/v1/responses/{}", stored.as_str().expect("an id"));
    assert_eq!(server.get(&path, &[]).json()["model"], "first");
    let continued = json!({"model": "second", "previous_response_id": stored, "input": "And?", "max_output_tokens": 4});
    let reply = server.post("/v1/responses", &continued);
    assert_eq!((reply.status, model(&reply).as_str()), (200, "second"));

    let name = |index: usize| ["first", "second"][index % 2];
    let lines: Vec<_> =
        (0..12).map(|index| line(&index.to_string(), &to(name(index), endless(8 + index, json!({}))))).collect();
    let alone = |index| said(&server.post(CHAT, &to(name(index), endless(8 + index, json!({})))));
    let expected: BTreeMap<String, String> = (0..12).map(|index| (index.to_string(), alone(index))).collect();
    let file = upload(&server, "batch", &lines.join("\n")).json();
    let id = create(&server, file["id"].as_str().expect("an id"))["id"].clone();
    let ended = wait(&server, &id, has_ended);
    assert_eq!(ended["request_counts"], json!({"total": 12, "completed": 12, "failed": 0}));
    let lines = content(&server, &ended["output_file_id"]);
    for line in &lines {
        let index: usize = line["custom_id"].as_str().and_then(|id| id.parse().ok()).expect("a number");
        assert_eq!(line["response"]["body"]["model"], name(index));
    }
    assert_eq!(answered(&lines), expected);
}

/// Requests to one of the models come all the time.
#[test]
fn a_model_under_load_makes_room_for_another() {
    let server = serve(&packages("load", ["busy", "other"]), &[]);
    let is_over = AtomicBool::new(false);
    let ask = &|tokens: usize| {
        let (mut count, request) = (0, to("busy", endless(tokens, json!({}))));
        while !is_over.load(Ordering::SeqCst) {
            assert_eq!(model(&server.post(CHAT, &request)), "busy");
            count += 1;
        }
        count
    };
    thread::scope(|scope| {
        let clients = [61, 97, 140, 203, 260, 333, 411, 500].map(|tokens| scope.spawn(move || ask(tokens)));
        for _ in 0..2 {
            assert_eq!(model(&server.post(CHAT, &to("other", endless(3, json!({}))))), "other");
        }
        is_over.store(true, Ordering::SeqCst);
        let counts = clients.map(|client| client.join().expect("no panic"));
        assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
    });
}

#[test]
fn a_model_that_cannot_be_loaded_fails_its_own_requests() {
    let packages = packages("broken", ["whole", "broken"]);
    let server = serve(&packages, &[]);
    let manifest = packages[1].join("model.json");
    let text = std::fs::read(&manifest).expect("a manifest");
    std::fs::write(&manifest, "{}").expect("a file");
    let ask = |name: &str| server.post(CHAT, &to(name, endless(2, json!({})))).status;
    assert_eq!(["broken", "whole", "broken"].map(ask), [500, 200, 500]);
    assert_eq!(server.get("/health", &[]).status, 200);
    std::fs::write(&manifest, text).expect("a file");
    assert_eq!(["broken", "whole"].map(ask), [200, 200]);
}

#[test]
fn names_must_tell_models_apart() {
    let [first, second] = packages("names", ["a/model", "b/model"]);
    let refused = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
        let output = command.arg("serve").args([&first, &second]).args(["--port", "0"]).args(more).output();
        let output = output.expect("the command");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused(&[]).contains("two of them have the name \"model\""), "{}", refused(&[]));
    assert!(refused(&["--model", "x"]).contains("several models have the names of their folders"));
}
