//! Signals to a server that is still loading its model, and to one whose engine hangs.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::batches::folder;
use super::client::{Reply, post, request};
use super::idle::{copy_demo, never_answer};
use super::{CHAT, endless};

/// A process, killed on drop.
struct Loading(Child);

impl Drop for Loading {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that loads `package`, and its address. The free port may be taken before the server listens: then another one is tried.
fn listening(package: &Path, temporary: &Path) -> (Loading, SocketAddr) {
    for _ in 0..5 {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
        command.arg("serve").arg(package).args(["--port", &port.port().to_string()]);
        let mut server = Loading(command.env("TMPDIR", temporary).stderr(Stdio::null()).spawn().expect("the command"));
        if listens(&mut server, port) {
            return (server, port);
        }
    }
    panic!("the server ends");
}

/// Waits until the server listens; false if it ends.
fn listens(server: &mut Loading, address: SocketAddr) -> bool {
    let began = Instant::now();
    loop {
        // Another process may listen there, if the server has ended.
        let is_there = TcpStream::connect(address).is_ok();
        if server.0.try_wait().expect("a state").is_some() {
            return false;
        }
        if is_there {
            return true;
        }
        assert!(began.elapsed() < Duration::from_secs(600), "it does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn get(address: SocketAddr, path: &str) -> Reply {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(&request("GET", path, &[], b"")).expect("a request");
    Reply::read(stream)
}

/// A pipe in place of the manifest, to which nothing is written: the model is loading for ever.
#[test]
fn a_signal_while_the_model_is_loading_ends_the_server_and_its_temporary_files() {
    for signal in ["-TERM", "-INT", "-TERM", "-INT"] {
        let (package, temporary) = (folder("loading"), folder("loading-files"));
        [&package, &temporary].into_iter().for_each(|folder| std::fs::create_dir_all(folder).expect("a folder"));
        let pipe = Command::new("mkfifo").arg(package.join("model.json")).status().expect("the command");
        assert!(pipe.success());
        let (mut server, address) = listening(&package, &temporary);
        assert_eq!(get(address, "/health").status, 503);
        let files = || std::fs::read_dir(&temporary).expect("a folder").count();
        assert_eq!(files(), 1);
        let (sent, began) = (Command::new("kill").args([signal, &server.0.id().to_string()]).status(), Instant::now());
        assert!(sent.expect("a signal").success());
        let status = server.0.wait().expect("it ends");
        // No driver crashes in an exit handler.
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert_eq!((status.code(), status.signal(), files()), (Some(130), None, 0));
    }
}

/// Next line of a server's log that has these words.
fn told(lines: &mut impl Iterator<Item = std::io::Result<String>>, words: &str) {
    let found = lines.map(|line| line.expect("text")).find(|line| line.contains(words));
    assert!(found.is_some(), "it does not say {words:?}");
}

fn send(server: &Loading, signal: &str) {
    let sent = Command::new("kill").args([signal, &server.0.id().to_string()]).status();
    assert!(sent.expect("the command").success());
}

/// The model is unloaded, and loaded again from a pipe to which nothing is written.
#[test]
fn the_third_signal_ends_a_server_whose_engine_hangs_and_its_temporary_files() {
    let (package, temporary) = (folder("hanging"), folder("hanging-files"));
    std::fs::create_dir_all(&temporary).expect("a folder");
    copy_demo(&package);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
    command.arg("serve").arg(&package).args(["--port", "0", "--idle-unload", "1"]).env("TMPDIR", &temporary);
    let mut server = Loading(command.stderr(Stdio::piped()).spawn().expect("the command"));
    let mut lines = BufReader::new(server.0.stderr.take().expect("its standard error")).lines();
    let address = loop {
        let line = lines.next().expect("a line that says where it listens").expect("text");
        if let Some((_, rest)) = line.split_once("http://") {
            break rest.trim_end_matches("/v1").parse::<SocketAddr>().expect("an address");
        }
    };
    told(&mut lines, "the model is unloaded");
    never_answer(&package);
    let mut asking = TcpStream::connect(address).expect("a connection");
    asking.write_all(&post(CHAT, &[], endless(3, json!({})).to_string().as_bytes())).expect("a request");
    while !get(address, "/metrics").body.contains("ocelli_requests_waiting 1\n") {
        std::thread::sleep(Duration::from_millis(20));
    }
    // The engine's thread, which waits for requests, opens the pipe.
    std::thread::sleep(Duration::from_millis(500));
    let files = || std::fs::read_dir(&temporary).expect("a folder").count();
    send(&server, "-TERM");
    told(&mut lines, "a second signal ends them too");
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!((server.0.try_wait().expect("a state"), files()), (None, 1));
        send(&server, "-TERM");
    }
    let began = Instant::now();
    while server.0.try_wait().expect("a state").is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = server.0.wait().expect("it has ended");
    assert_eq!((status.code(), status.signal(), files()), (Some(130), None, 0));
}
