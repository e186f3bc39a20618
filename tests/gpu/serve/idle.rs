//! A model that is unloaded while nobody asks.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use super::batches::folder;
use super::client::{Reply, Server, post};
use super::hostile::{peak, shown};
use super::{CHAT, WANTED, about_a_picture, base64, endless, said};

/// A value in the server's metrics, such as `ocelli_gpu_memory_bytes`.
pub(super) fn metric(server: &Server, name: &str) -> f64 {
    let metrics = server.get("/metrics", &[]).body;
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.expect("a metric").parse().expect("a number")
}

/// Writes the demo model's package into `folder`.
pub(super) fn copy_demo(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    for file in std::fs::read_dir("www/models/demo").expect("a package").flatten().map(|entry| entry.path()) {
        if file.is_file() {
            std::fs::copy(&file, folder.join(file.file_name().expect("a name"))).expect("a copy");
        }
    }
}

/// Replaces the manifest of a package by a pipe to which nothing is written: whoever opens it waits.
#[cfg(unix)]
pub(super) fn never_answer(package: &Path) {
    let manifest = package.join("model.json");
    std::fs::remove_file(&manifest).expect("a file");
    assert!(Command::new("mkfifo").arg(&manifest).status().expect("the command").success());
}

#[test]
fn an_idle_server_frees_its_memory_and_loads_the_model_again() {
    let server = Server::start(&["--idle-unload", "1"]);
    for round in 0..2 {
        let reply = server.post(CHAT, &about_a_picture(json!({})));
        assert_eq!(said(&reply), WANTED, "{round}");
        // A busy machine may take long between the answer and this look.
        while metric(&server, "ocelli_gpu_memory_bytes") > 0.0 {
            sleep(Duration::from_millis(100));
        }
        assert_eq!(server.get("/health", &[]).status, 200);
    }
    let streamed = server.post(CHAT, &about_a_picture(json!({"stream": true})));
    assert_eq!(streamed.streamed_text(), WANTED);
}

/// A server whose engine is unloaded and not loaded again, so that all requests wait for it, once `first` was answered.
#[cfg(unix)]
fn waiting(name: &str, first: impl FnOnce(&Server)) -> Server {
    let package = folder(name);
    copy_demo(&package);
    let server = Server::of(package.to_str().expect("text"), &["--idle-unload", "1"]);
    first(&server);
    while metric(&server, "ocelli_gpu_memory_bytes") > 0.0 {
        sleep(Duration::from_millis(100));
    }
    never_answer(&package);
    server
}

/// A picture whose file has so many mebibytes more than its content.
#[cfg(unix)]
fn padded(mebibytes: usize) -> Vec<u8> {
    let mut file = std::fs::read("www/models/demo/gallery/scene-01.png").expect("a picture");
    file.resize(mebibytes << 20, 0);
    file
}

/// Sources of pictures are dropped once the pictures are prepared: the memory of bodies is given back then.
#[cfg(target_os = "linux")]
#[test]
fn requests_that_wait_keep_no_bodies() {
    let server = waiting("waiting", |_| ());
    let before = peak(&server);
    let messages = json!([{"role": "user", "content": [shown(&padded(15))]}]);
    let request = endless(3, json!({"messages": messages})).to_string();
    let ask = |number| {
        let mut stream = server.connect();
        stream.write_all(&post(CHAT, &[], request.as_bytes())).expect("a request");
        while metric(&server, "ocelli_requests_waiting") < f64::from(number) {
            sleep(Duration::from_millis(10));
        }
        stream
    };
    let _streams: Vec<_> = (1..=20).map(ask).collect();
    let more = (peak(&server) - before) >> 20;
    // A few bodies, and what the allocator keeps of them; not 20 of 20 MiB, as text and decoded.
    assert!(more < 300, "{more} MiB");
}

/// A short request may refer to items that are as large as the largest body.
#[cfg(unix)]
#[test]
fn stored_items_of_requests_that_wait_are_counted_in_the_memory_of_all() {
    const PATH: &str = "/v1/responses";
    let address = format!("data:image/png;base64,{}", base64(&padded(10)));
    let content = json!([{"type": "input_image", "image_url": address}]);
    let stored = json!({"type": "message", "id": "msg_large", "role": "user", "content": content});
    let server = waiting("stored", |server| {
        let request = json!({"input": [stored, {"role": "user", "content": "Hi"}], "max_output_tokens": 2});
        assert_eq!(server.post(PATH, &request).status, 200);
    });
    let reference = json!({"type": "item_reference", "id": "msg_large"});
    let request = json!({"input": vec![reference; 4], "truncation": "auto"}).to_string();
    let mut streams = Vec::new();
    // Each refers to 53 MiB.
    let refused = loop {
        let before = metric(&server, "ocelli_requests_waiting");
        let mut stream = server.connect();
        stream.write_all(&post(PATH, &[], request.as_bytes())).expect("a request");
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        while metric(&server, "ocelli_requests_waiting") <= before && stream.peek(&mut [0]).is_err() {}
        if metric(&server, "ocelli_requests_waiting") <= before {
            stream.set_read_timeout(None).expect("a timeout");
            break Reply::read(stream).status;
        }
        streams.push(stream);
    };
    assert_eq!(refused, 429);
    assert!((15..=20).contains(&streams.len()), "a gibibyte is the memory of {} requests", streams.len());
}
