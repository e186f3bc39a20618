//! A model that is unloaded while nobody asks.

use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use super::client::Server;
use super::{CHAT, WANTED, about_a_picture, said};

/// Memory of the device in the server's metrics.
fn memory(server: &Server) -> f64 {
    let metrics = server.get("/metrics", &[]).body;
    let line = metrics.lines().find(|line| line.starts_with("ocelli_gpu_memory_bytes ")).expect("a metric").to_owned();
    line.rsplit(' ').next().expect("a number").parse().expect("a number")
}

#[test]
fn an_idle_server_frees_its_memory_and_loads_the_model_again() {
    let server = Server::start(&["--idle-unload", "1"]);
    for round in 0..2 {
        let reply = server.post(CHAT, &about_a_picture(json!({})));
        assert_eq!(said(&reply), WANTED, "{round}");
        // A busy machine may take long between the answer and this look.
        while memory(&server) > 0.0 {
            sleep(Duration::from_millis(100));
        }
        assert_eq!(server.get("/health", &[]).status, 200);
    }
    let streamed = server.post(CHAT, &about_a_picture(json!({"stream": true})));
    assert_eq!(streamed.streamed_text(), WANTED);
}
