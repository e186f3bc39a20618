//! Signals to a server that is still loading its model.
#![cfg(unix)]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::batches::folder;
use super::client::{Reply, request};

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

/// Status of `/health`.
fn health(address: SocketAddr) -> u16 {
    let mut stream = TcpStream::connect(address).expect("a connection");
    std::io::Write::write_all(&mut stream, &request("GET", "/health", &[], b"")).expect("a request");
    Reply::read(stream).status
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
        assert_eq!(health(address), 503);
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
