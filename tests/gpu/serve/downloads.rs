//! Pictures of hosts that the server was started with.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::batches::{content, create, has_ended, line, upload, wait};
use super::client::{Reply, Server};
use super::{CHAT, WANTED, said};

const FIELD: &str = "messages[0].content[0].image_url.url";

/// A host of pictures on this machine.
pub(crate) struct Pictures {
    address: SocketAddr,
    /// Number of requests so far.
    requests: Arc<AtomicUsize>,
}

impl Pictures {
    /// Answers `/a.png` with a picture, `/to?ADDRESS` with a redirection, `/large` with too many bytes and `/slow` never.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (address, requests) = (listener.local_addr().expect("an address"), Arc::<AtomicUsize>::default());
        let counted = requests.clone();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let first = lines.next().unwrap_or_default();
                let path = first.split(' ').nth(1).unwrap_or_default();
                while lines.next().is_some_and(|line| !line.is_empty()) {}
                drop(lines);
                let picture = std::fs::read("www/models/demo/gallery/scene-01.png").expect("a picture");
                let (head, body) = match path.split_once('?') {
                    Some((_, to)) => (format!("302 Found\r\nlocation: {to}\r\ncontent-length: 0"), Vec::new()),
                    None if path == "/a.png" => (format!("200 OK\r\ncontent-length: {}", picture.len()), picture),
                    None if path == "/large" => {
                        (format!("200 OK\r\ncontent-length: {}", 65u64 << 20), vec![0; 65 << 20])
                    }
                    None if path == "/slow" => {
                        open.push(stream);
                        continue;
                    }
                    None => ("404 Not Found\r\ncontent-length: 0".to_owned(), Vec::new()),
                };
                let head = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n");
                // The server may close it before.
                let _ = (&stream).write_all(&[head.as_bytes(), &body].concat());
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn body(url: &str) -> Value {
    let content =
        json!([{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "Describe this image."}]);
    json!({"messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": 60})
}

fn ask(server: &Server, url: &str) -> Reply {
    server.post(CHAT, &body(url))
}

#[track_caller]
fn refused(reply: &Reply, wanted: &str) {
    assert_eq!(reply.error(), (400, "invalid_value".into(), json!(FIELD)), "{reply:?}");
    let message = reply.json()["error"]["message"].as_str().expect("a message").to_owned();
    assert!(message.contains(wanted), "{message}");
}

#[test]
fn pictures_are_downloaded_from_hosts_that_were_named() {
    let (pictures, other) = (Pictures::start(), Pictures::start());
    let server = Server::start(&["--fetch-pictures", &pictures.address.to_string(), "--fetch-pictures", "a.invalid"]);
    assert_eq!(said(&ask(&server, &pictures.url("/a.png"))), WANTED);
    assert_eq!(said(&ask(&server, &pictures.url("/to?/a.png"))), WANTED);
    let before = pictures.requests.load(Ordering::SeqCst);
    assert_eq!(before, 3);
    refused(&ask(&server, &other.url("/a.png")), "--fetch-pictures names");
    refused(&ask(&server, &format!("http://localhost:{}/a.png", pictures.address.port())), "--fetch-pictures names");
    refused(&ask(&server, "http://a.invalid/a.png"), "--fetch-pictures names");
    refused(&ask(&server, "https://user@a.invalid/a.png"), "--fetch-pictures names");
    refused(&ask(&server, "https://a.invalid/a.png"), "a.invalid");
    assert_eq!(pictures.requests.load(Ordering::SeqCst), before);
    refused(&ask(&server, &pictures.url(&format!("/to?{}", other.url("/a.png")))), "leads to another host");
    refused(&ask(&server, &pictures.url("/to?//other/a.png")), "leads to another host");
    refused(&ask(&server, &pictures.url("/to?/to?/to?/to?/to?/a.png")), "leads on more than 3 times");
    refused(&ask(&server, &pictures.url("/large")), "bytes that are left");
    refused(&ask(&server, &pictures.url("/missing")), "status 404");
    assert_eq!(other.requests.load(Ordering::SeqCst), 0);
}

#[test]
fn a_host_that_does_not_answer_holds_up_its_own_request_alone_and_not_for_ever() {
    let pictures = Pictures::start();
    let server = Server::start(&["--fetch-pictures", &pictures.address.to_string()]);
    std::thread::scope(|scope| {
        let slow = [(); 3].map(|()| scope.spawn(|| ask(&server, &pictures.url("/slow"))));
        while pictures.requests.load(Ordering::SeqCst) < 3 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(said(&ask(&server, &pictures.url("/a.png"))), WANTED);
        assert!(slow.iter().all(|slow| !slow.is_finished()));
        slow.into_iter().for_each(|slow| refused(&slow.join().expect("a reply"), "within 30 s"));
    });
}

#[test]
fn requests_of_batches_name_pictures_of_hosts() {
    let pictures = Pictures::start();
    let server = Server::start(&["--fetch-pictures", &pictures.address.to_string()]);
    let file = upload(&server, "batch", &line("a", &body(&pictures.url("/a.png")))).json();
    let batch = create(&server, file["id"].as_str().expect("an id"));
    let ended = wait(&server, &batch["id"], has_ended);
    let answers = content(&server, &ended["output_file_id"]);
    assert_eq!(answers[0]["response"]["body"]["choices"][0]["message"]["content"], WANTED);
}
