//! Requests that are meant to stop a server, to fill its memory or to learn of others.

use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Reply, Server, post, request};
use super::{CHAT, base64, endless, with};

/// Peak memory of a server in bytes.
#[cfg(target_os = "linux")]
pub(super) fn peak(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") << 10
}

/// A file of 10,000 x 10,000 black pixels.
pub(super) fn large_picture() -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    image::GrayImage::new(10_000, 10_000).write_to(&mut file, image::ImageFormat::Png).expect("a PNG file");
    file.into_inner()
}

pub(super) fn shown(file: &[u8]) -> Value {
    json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{}", base64(file))}})
}

#[test]
fn pictures_of_many_megapixels_do_not_stop_the_answers_of_others() {
    let server = Server::start(&[]);
    let mut stream = server.connect();
    let request = endless(150, json!({"stream": true}));
    stream.write_all(&post(CHAT, &[], request.to_string().as_bytes())).expect("a request");
    // The stream has begun.
    stream.read_exact(&mut [0; 64]).expect("a head");
    let file = large_picture();
    let pictures: Vec<Value> = (0..20_u32).map(|number| shown(&[&file[..], &number.to_le_bytes()].concat())).collect();
    let refused = server.post(CHAT, &json!({"messages": [{"role": "user", "content": pictures}]}));
    assert_eq!(refused.error(), (400, "invalid_value".into(), json!("pictures")), "{refused:?}");
    assert!(refused.body.contains("2000 megapixels together"), "{refused:?}");
    // One of them is within the limits, and is decoded while the stream continues.
    let allowed =
        server.post(CHAT, &json!({"messages": [{"role": "user", "content": [shown(&file)]}], "max_tokens": 1}));
    assert_eq!(allowed.status, 200, "{allowed:?}");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the rest of the stream");
    assert!(rest.contains("data: [DONE]"), "{rest}");
    #[cfg(target_os = "linux")]
    assert!(peak(&server) < 2 << 30, "{} MiB", peak(&server) >> 20);
}

/// Pictures are decoded in places of their own; answers of others do not wait for them.
#[test]
fn four_pictures_of_100_megapixels_do_not_hold_up_text() {
    let server = Server::start(&[]);
    let file = large_picture();
    let pictures: Vec<Value> = (0..4_u8).map(|number| shown(&[&file[..], &[number]].concat())).collect();
    let request = json!({"messages": [{"role": "user", "content": pictures}], "max_tokens": 1});
    let ended = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        // Some are decoded, and the others wait.
        for _ in 0..4 {
            let mut stream = server.connect();
            stream.write_all(&post(CHAT, &[], request.to_string().as_bytes())).expect("a request");
            scope.spawn(|| {
                let reply = Reply::read(stream);
                ended.fetch_add(1, Ordering::SeqCst);
                assert_eq!(reply.status, 200, "{reply:?}");
            });
        }
        // Sixteen pictures are decoded in the time of several texts.
        for text in 1..=3 {
            assert_eq!(server.post(CHAT, &endless(3, json!({}))).status, 200);
            let ended = ended.load(Ordering::SeqCst);
            assert!(ended < text, "text {text} was answered after the pictures of {ended} requests");
        }
    });
    assert_eq!(ended.into_inner(), 4);
}

/// A place is taken before the form is read, and returned however that ends.
#[cfg(target_os = "linux")]
#[test]
fn uploads_that_are_aborted_give_their_places_back() {
    let server = Server::start(&["--files-count", "20"]);
    for _ in 0..100 {
        let mut stream = server.connect();
        let head = "POST /v1/files HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary=x\r\n";
        stream.write_all(format!("{head}content-length: 0\r\n\r\n").as_bytes()).expect("a request");
        // The connection ends with a reset, which the server notices at once.
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("a socket");
    }
    let began = Instant::now();
    // The server may take a while to notice.
    while upload(&server, &[PURPOSE, (FILE, "{}")]).status != 200 {
        assert!(began.elapsed() < Duration::from_secs(60), "places are not returned");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_word_of_60_mebibytes_is_refused_before_it_is_encoded() {
    let server = Server::start(&[]);
    let content = "a".repeat(60 << 20);
    let refused = server.post(CHAT, &json!({"messages": [{"role": "user", "content": content}]}));
    assert_eq!(refused.error(), (400, "context_length_exceeded".into(), Value::Null));
    let refused = server.post("/v1/tokenize", &json!({"prompt": content}));
    assert_eq!(refused.error(), (400, "context_length_exceeded".into(), Value::Null));
    #[cfg(target_os = "linux")]
    assert!(peak(&server) < 2 << 30, "{} MiB", peak(&server) >> 20);
}

/// Embeddings are read and prepared as other requests are, and give way to them.
#[test]
fn embeddings_have_the_limits_of_all_requests() {
    const PATH: &str = "/v1/embeddings";
    let server = Server::start(&["--embeddings"]);
    let refused = server.post(PATH, &json!({"input": "a".repeat(60 << 20)}));
    assert_eq!(refused.error(), (400, "context_length_exceeded".into(), Value::Null));
    let file = large_picture();
    // Equal pictures count once.
    let pictures = (0..5_u8).map(|number| json!([shown(&[&file[..], &[number]].concat())]));
    let refused = server.post(PATH, &json!({"input": pictures.collect::<Vec<_>>()}));
    assert_eq!(refused.error(), (400, "invalid_value".into(), json!("pictures")), "{refused:?}");
    let refused = server.post(PATH, &json!({"input": vec!["a"; 2049]}));
    assert_eq!((refused.status, refused.error().2), (400, json!("input")), "{refused:?}");
    std::thread::scope(|scope| {
        // Equal texts would be computed once.
        let texts: Vec<String> = (0..1000).map(|number| format!("{number} {}", "some words ".repeat(20))).collect();
        let server = &server;
        let many = scope.spawn(move || server.post(PATH, &json!({"input": texts})));
        while !server.get("/metrics", &[]).body.lines().any(|line| line == "ocelli_requests_active 1") {
            assert!(!many.is_finished(), "1000 embeddings ended before they had begun");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(server.post(CHAT, &endless(3, json!({}))).status, 200);
        assert!(!many.is_finished(), "a chat waited for 1000 embeddings");
        let reply = many.join().expect("a reply");
        assert_eq!(reply.json()["data"].as_array().map(Vec::len), Some(1000));
    });
}

#[test]
fn grammars_that_recurse_without_end_do_not_stop_the_answers_of_others() {
    let server = Server::start(&[]);
    let mut stream = server.connect();
    let request = endless(150, json!({"stream": true}));
    stream.write_all(&post(CHAT, &[], request.to_string().as_bytes())).expect("a request");
    // The stream has begun.
    stream.read_exact(&mut [0; 64]).expect("a head");
    let chain: String = (0..20_000).map(|index| format!("r{index}: r{}\n", index + 1)).collect();
    for lark in ["a{".repeat(100_000), format!("a %if {}", "not(".repeat(50_000)), format!("r0\n{chain}")] {
        let format = json!({"type": "lark", "lark": format!("start: {lark}")});
        let refused = server.post(CHAT, &endless(3, json!({"response_format": format})));
        assert_eq!(refused.status, 400, "{refused:?}");
    }
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the rest of the stream");
    assert!(rest.contains("data: [DONE]"), "{rest}");
}

/// Formats, pictures and texts are prepared in places of their own.
#[test]
fn formats_that_take_seconds_to_compile_do_not_hold_up_text() {
    let server = Server::start(&[]);
    let ended = AtomicUsize::new(0);
    // More than are compiled at a time.
    let clients = 4 * std::thread::available_parallelism().map_or(4, NonZeroUsize::get).max(4);
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let format = json!({"type": "regex", "regex": "(a{700}){700}b"});
                let reply = server.post(CHAT, &endless(3, json!({"response_format": format})));
                ended.fetch_add(1, Ordering::SeqCst);
                assert!([200, 400].contains(&reply.status), "{reply:?}");
            });
        }
        // All of them have arrived.
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(server.post(CHAT, &endless(3, json!({}))).status, 200);
        let ended = ended.load(Ordering::SeqCst);
        assert!(ended < clients - 4, "{ended} of {clients} formats were compiled before a text was answered");
    });
}

#[test]
fn bodies_that_do_not_arrive_hold_up_nobody() {
    let server = Server::start(&[]);
    let mut halves = Vec::new();
    for _ in 0..100 {
        let mut half = server.connect();
        let whole = post(CHAT, &[], "x".repeat(1 << 20).as_bytes());
        half.write_all(&whole[..whole.len() / 2]).expect("half a request");
        halves.push(half);
    }
    let answered = server.post(CHAT, &endless(3, json!({})));
    assert_eq!(answered.status, 200, "{answered:?}");
}

#[test]
fn clients_that_give_up_leave_the_queue() {
    let server = Server::start(&[]);
    for _ in 0..300 {
        let mut stream = server.connect();
        stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout");
        stream.write_all(&post(CHAT, &[], endless(900, json!({})).to_string().as_bytes())).expect("a request");
    }
    // More than the queue holds have come and gone. The server may take a while to notice, but not the time of so many answers.
    let began = Instant::now();
    let mut answered = server.post(CHAT, &endless(3, json!({})));
    while answered.status != 200 && began.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(50));
        answered = server.post(CHAT, &endless(3, json!({})));
    }
    assert_eq!(answered.status, 200, "{answered:?}");
}

#[test]
fn cached_tokens_of_another_user_are_not_counted() {
    let server = Server::start(&[]);
    let cached = |more: Value| {
        let content = "The password of the cellar is a horse that eats batteries.";
        let request = json!({"messages": [{"role": "user", "content": content}], "max_tokens": 1});
        let answered = server.post(CHAT, &with(request, more)).json();
        answered["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().expect("a number")
    };
    assert_eq!(cached(json!({"user": "ann"})), 0);
    assert!(cached(json!({"user": "ann"})) > 5);
    for other in [json!({"user": "bob"}), json!({}), json!({"user": "ann", "prompt_cache_key": "x"})] {
        assert_eq!(cached(other.clone()), 0, "{other}");
    }
    let shared = Server::start(&["--share-cache"]);
    let ask = |user: &str| {
        let request = json!({"messages": [{"role": "user", "content": "Hello there, all of you"}], "max_tokens": 1, "user": user});
        shared.post(CHAT, &request).json()["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64()
    };
    assert_eq!(ask("ann"), Some(0));
    assert!(ask("bob") > Some(2));
}

/// Posts a form of parts, each a head and its content.
pub(super) fn upload(server: &Server, parts: &[(&str, &str)]) -> Reply {
    let parts: String = parts.iter().map(|(head, content)| format!("--x\r\n{head}\r\n\r\n{content}\r\n")).collect();
    let body = format!("{parts}--x--\r\n");
    let head = format!(
        "POST /v1/files HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    server.exchange(&[head.as_bytes(), body.as_bytes()].concat())
}

pub(super) const PURPOSE: (&str, &str) = ("content-disposition: form-data; name=\"purpose\"", "batch");
pub(super) const FILE: &str = "content-disposition: form-data; name=\"file\"; filename=\"a.jsonl\"";

#[test]
fn a_full_store_refuses_files_until_others_are_deleted() {
    let server = Server::start(&["--files-bytes", "1KiB"]);
    let file = |bytes: usize| upload(&server, &[PURPOSE, (FILE, &"a".repeat(bytes))]);
    let full = (413, "storage_full".into(), json!("file"));
    // The refused file leaves no bytes.
    assert_eq!(file(2000).error(), full);
    let stored = file(1000);
    assert_eq!((stored.status, &stored.json()["bytes"]), (200, &json!(1000)));
    assert_eq!(file(100).error(), full);
    let path = format!("/v1/files/{}", stored.json()["id"].as_str().expect("an id"));
    assert_eq!(server.exchange(&request("DELETE", &path, &[], b"")).status, 200);
    assert_eq!(file(1000).status, 200);
}

/// The announced length of a body is that of another one.
#[test]
fn lengths_that_lie_are_refused_or_end_the_connection() {
    let server = Server::start(&[]);
    let exchange = |length: &str, body: &str, is_over: bool| {
        let head =
            format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        let mut stream = server.connect();
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).expect("a request");
        if is_over {
            stream.shutdown(std::net::Shutdown::Write).expect("a stream");
        }
        let mut reply = String::new();
        let _ = stream.read_to_string(&mut reply);
        reply.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let send = |length: &str, body: &str| exchange(length, body, false);
    let body = endless(3, json!({})).to_string();
    let length = body.len();
    assert_eq!(send(&length.to_string(), &body), "200");
    for short in [(length / 2).to_string(), "1".into()] {
        assert_eq!(send(&short, &body), "400", "{short}");
    }
    // Refused before anything is read.
    assert_eq!(send(&(64_u64 << 30).to_string(), &body), "413");
    for wrong in ["-1", "18446744073709551616", "1, 2", "x"] {
        assert_eq!(send(wrong, &body), "400", "{wrong}");
    }
    // The rest never comes.
    assert_ne!(exchange(&(length + 1).to_string(), &body, true), "200");
    assert_eq!(send(&length.to_string(), &body), "200");
}

#[test]
fn heads_of_forms_are_bounded() {
    let server = Server::start(&[]);
    let form = |head: &str, content: &str| upload(&server, &[(head, content)]);
    let endless = format!("content-disposition: form-data; name=\"file\"; filename=\"{}\"", "a".repeat(8 << 20));
    let refused = form(&endless, "{}");
    assert_eq!(refused.error(), (400, "invalid_value".into(), json!("body")));
    assert!(refused.body.contains("the head of a part is too long"), "{refused:?}");
    let purpose = form("content-disposition: form-data; name=\"purpose\"", &"batch".repeat(100));
    assert_eq!(purpose.error(), (400, "invalid_value".into(), json!("purpose")));
    assert!(purpose.body.contains("has more than 64 bytes"), "{purpose:?}");
}

#[test]
fn health_and_metrics_are_reported() {
    let server = Server::start(&["--api-key", "secret", "--log", "off"]);
    let health = server.get("/health", &[]);
    assert_eq!((health.status, health.json()), (200, json!({"status": "ok"})), "probes have no key");
    assert!(health.headers.contains(&("cache-control".into(), "no-store".into())), "{health:?}");
    assert_eq!(server.get("/metrics", &[]).status, 401);
    let key = ["authorization: Bearer secret"];
    let body = endless(5, json!({})).to_string();
    assert_eq!(server.exchange(&post(CHAT, &key, body.as_bytes())).status, 200);
    let metrics = server.get("/metrics", &key).body;
    for line in [
        "ocelli_requests_total{path=\"/v1/chat/completions\",status=\"200\"} 1",
        "ocelli_requests_total{path=\"/metrics\",status=\"401\"} 1",
        "ocelli_completion_tokens_total 5",
        "ocelli_answer_seconds_count 1",
        "ocelli_requests_waiting 0",
        "# EOF",
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line}: {metrics}");
    }
}

#[cfg(unix)]
#[test]
fn files_of_a_server_are_readable_by_their_owner_alone() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = |name: &str| {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        folder
    };
    // Usage is written to a folder that others can read.
    let (folder, usage) = (folder("private-files"), folder("private-usage"));
    std::fs::create_dir(&usage).expect("a folder");
    std::fs::set_permissions(&usage, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let text = |path: &std::path::Path| path.to_str().expect("text").to_owned();
    let server = Server::start(&["--files", &text(&folder), "--usage", &text(&usage)]);
    assert_eq!(server.post(CHAT, &endless(2, json!({}))).status, 200);
    let stored = upload(&server, &[PURPOSE, (FILE, "{}")]).json();
    assert_eq!(stored["bytes"], 2, "{stored}");
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("a file").mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files = [&folder, &usage].map(|folder| std::fs::read_dir(folder).expect("a folder").flatten());
    let modes: Vec<u32> = files.into_iter().flatten().map(|entry| mode(&entry.path())).collect();
    // A lock in each, a file of the day, an object and its bytes.
    assert_eq!(modes, [0o600; 5]);
    let content = server.get(&format!("/v1/files/{}/content", stored["id"].as_str().expect("an id")), &[]);
    assert_eq!((content.body.as_str(), content.header("content-length")), ("{}", Some("2")));
}
