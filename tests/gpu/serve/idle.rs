//! A model that is unloaded while nobody asks.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use super::batches::folder;
use super::client::{Server, post};
use super::hostile::{peak, shown};
use super::{CHAT, WANTED, about_a_picture, endless, said};

/// A value in the server's metrics, such as `ocelli_gpu_memory_bytes`.
fn metric(server: &Server, name: &str) -> f64 {
    let metrics = server.get("/metrics", &[]).body;
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.expect("a metric").parse().expect("a number")
}

/// Writes the demo model's package into `folder`.
#[cfg(unix)]
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

/// Sources of pictures are dropped once the pictures are prepared: the memory of bodies is given back then.
#[cfg(target_os = "linux")]
#[test]
fn requests_that_wait_keep_no_bodies() {
    let package = folder("waiting");
    copy_demo(&package);
    let server = Server::of(package.to_str().expect("text"), &["--idle-unload", "1"]);
    while metric(&server, "ocelli_gpu_memory_bytes") > 0.0 {
        sleep(Duration::from_millis(100));
    }
    // The engine is not loaded again, so that all requests wait for it.
    never_answer(&package);
    let before = peak(&server);
    let mut file = std::fs::read("www/models/demo/gallery/scene-01.png").expect("a picture");
    file.resize(15 << 20, 0);
    let request = endless(3, json!({"messages": [{"role": "user", "content": [shown(&file)]}]})).to_string();
    let waiting = |number| {
        let mut stream = server.connect();
        stream.write_all(&post(CHAT, &[], request.as_bytes())).expect("a request");
        while metric(&server, "ocelli_requests_waiting") < f64::from(number) {
            sleep(Duration::from_millis(10));
        }
        stream
    };
    let _streams: Vec<_> = (1..=20).map(waiting).collect();
    let more = (peak(&server) - before) >> 20;
    // A few bodies, and what the allocator keeps of them; not 20 of 20 MiB, as text and decoded.
    assert!(more < 300, "{more} MiB");
}
