//! `ocelli serve` as a separate process, and a minimal client: bytes over a socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// A server process, killed on drop.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    /// Lines on its standard error after the address.
    pub(crate) log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves the demo model.
    pub(crate) fn start(more: &[&str]) -> Self {
        Self::of("www/models/demo", more)
    }

    /// Serves any package.
    pub(crate) fn of(package: &str, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
        command.args(["serve", package, "--port", "0"]).args(more);
        Self::run(command)
    }

    /// Runs a command `ocelli serve`.
    pub(crate) fn run(mut command: Command) -> Self {
        // Location of files that a killed server leaves.
        command.env("TMPDIR", env!("CARGO_TARGET_TMPDIR"));
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the command");
        let mut lines = BufReader::new(child.stderr.take().expect("its standard error")).lines();
        let address = loop {
            let line = lines.next().expect("a line that says where it listens").expect("text");
            if let Some((_, rest)) = line.split_once("http://") {
                break rest.trim_end_matches("/v1").parse().expect("an address");
            }
        };
        // Output must be read, or the server blocks.
        let log = Arc::<Mutex<Vec<String>>>::default();
        let kept = log.clone();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| kept.lock().expect("lines").push(line)));
        Self { child, address, log }
    }

    /// Error output of a server that does not start.
    pub(crate) fn attempt(more: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
        let output =
            command.args(["serve", "www/models/demo", "--port", "0"]).args(more).output().expect("the command");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        // A limit for a server that hangs, not for a busy machine.
        stream.set_read_timeout(Some(Duration::from_secs(900))).expect("a timeout");
        stream
    }

    /// Sends bytes and reads until the connection is closed.
    pub(crate) fn exchange(&self, request: &[u8]) -> Reply {
        let mut stream = self.connect();
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(request);
        Reply::read(stream)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.exchange(&post(path, &[], body.to_string().as_bytes()))
    }

    pub(crate) fn get(&self, path: &str, headers: &[&str]) -> Reply {
        self.exchange(&request("GET", path, headers, b""))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn request(method: &str, path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n"
    );
    [head.as_bytes(), body].concat()
}

pub(crate) fn post(path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    request("POST", path, &[headers, &["content-type: application/json"]].concat(), body)
}

/// A whole reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A reset after the reply does not matter.
        let _ = stream.read_to_end(&mut bytes);
        let _ = stream.shutdown(Shutdown::Both);
        let split = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..split].to_vec()).expect("text");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status").parse().expect("a number");
        let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers: Vec<_> = lines.filter_map(pair).collect();
        let is_chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let body = if is_chunked { joined(&bytes[split + 4..]) } else { bytes[split + 4..].to_vec() };
        Self { status, headers, body: String::from_utf8(body).expect("text") }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status, code and field of an error.
    pub(crate) fn error(&self) -> (u16, String, Value) {
        let error = &self.json()["error"];
        (self.status, error["code"].as_str().expect("a code").into(), error["param"].clone())
    }

    /// The data of a stream's events.
    pub(crate) fn events(&self) -> impl Iterator<Item = &str> {
        self.body.lines().filter_map(|line| line.strip_prefix("data: "))
    }

    /// The text of a streamed chat, which must be complete.
    pub(crate) fn streamed_text(&self) -> String {
        let events: Vec<&str> = self.events().collect();
        assert_eq!(events.last(), Some(&"[DONE]"), "{self:?}");
        let text = |event: &&str| {
            let chunk: Value = serde_json::from_str(event).expect("JSON");
            chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
        };
        events[..events.len() - 1].iter().map(text).collect()
    }
}

/// Joins the chunks of a body.
fn joined(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).expect("text"), 16).expect("a size");
        if size == 0 {
            break;
        }
        body.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 4 + size..];
    }
    body
}
