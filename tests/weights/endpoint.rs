//! `ocelli batch --endpoint` against test servers with faults.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::command::text;
use super::common::Scratch;

/// A request as a server saw it: headers, and the body.
type Asked = (HashMap<String, String>, Value);
/// The reply to the request with a number: status, further headers, and the body; `None` to break the connection.
type Reply = Option<(u16, &'static str, String)>;

/// A server with a reply for each request.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn start(reply: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let (asked, reply) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::new(reply));
        let log = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, reply) = (log.clone(), reply.clone());
                // Errors of connections that the client closes are ignored.
                thread::spawn(move || drop(answer(&stream, &log, &*reply)));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("a log").clone()
    }
}

fn answer(stream: &TcpStream, log: &Mutex<Vec<Asked>>, reply: &impl Fn(usize, &Value) -> Reply) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut headers = HashMap::new();
    for line in reader.by_ref().lines().skip(1) {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let number = {
        let mut log = log.lock().expect("a log");
        log.push((headers, body.clone()));
        log.len()
    };
    let Some((status, more, text)) = reply(number, &body) else { return Ok(()) };
    let length = text.len();
    write!(
        &mut &*stream,
        "HTTP/1.1 {status} Any\r\ncontent-type: application/json\r\n{more}content-length: {length}\r\nconnection: close\r\n\r\n{text}"
    )
}

/// An answer that repeats the question.
fn echo(body: &Value) -> Reply {
    let answer = json!({
        "choices": [{"message": {"content": body["messages"][0]["content"]}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    });
    Some((200, "", answer.to_string()))
}

fn write_requests(path: &Path, ids: impl Iterator<Item = usize>) {
    let line = |id: usize| {
        let body = json!({"messages": [{"role": "user", "content": format!("question {id}")}]});
        json!({"custom_id": id.to_string(), "method": "POST", "url": "/v1/chat/completions", "body": body}).to_string()
            + "\n"
    };
    std::fs::write(path, ids.map(line).collect::<String>()).expect("a file");
}

fn batch(scratch: &Scratch, servers: &[&Server], more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
    command.arg("batch").args([scratch.0.join("in.jsonl"), scratch.0.join("out.jsonl")]).args(more);
    for server in servers {
        command.args(["--endpoint", &server.address]);
    }
    command.env_remove("OPENAI_API_KEY").env("OCELLI_ENDPOINT_KEY", "secret");
    command
}

fn run(scratch: &Scratch, servers: &[&Server], more: &[&str]) -> Output {
    batch(scratch, servers, more).output().expect("the command")
}

/// Complete lines of the answers by id; an id that is answered twice fails.
fn answers(scratch: &Scratch) -> HashMap<String, Value> {
    let text = std::fs::read_to_string(scratch.0.join("out.jsonl")).unwrap_or_default();
    let mut answers = HashMap::new();
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let id = line["custom_id"].as_str().expect("an id").to_owned();
        assert!(answers.insert(id, line["response"].clone()).is_none(), "an id that is answered twice: {line}");
    }
    answers
}

/// Kills a command once there are this many answers.
fn kill_after(mut child: Child, scratch: &Scratch, number: usize) {
    while answers(scratch).len() < number {
        assert!(child.try_wait().expect("a process").is_none(), "it ended before it was killed");
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("a process");
    child.wait().expect("a process");
}

/// A reply that fails for five of 100 requests, each in another way.
fn faulty(number: usize, body: &Value) -> Reply {
    thread::sleep(Duration::from_millis(3));
    match number % 100 {
        7 => Some((500, "", "{\"error\": {}}".into())),
        29 => Some((503, "retry-after: 0.05\r\n", "<html>".into())),
        43 => Some((429, "retry-after-ms: 20\r\n", "{}".into())),
        61 => Some((200, "", "{\"choices\": [".into())),
        83 => None,
        _ => echo(body),
    }
}

#[test]
fn a_thousand_requests_to_three_faulty_servers_are_answered_once_each_though_the_command_is_killed_twice() {
    let scratch = Scratch::new();
    write_requests(&scratch.0.join("in.jsonl"), 0..1000);
    // Answers that the servers have given, and may give: further ones wait until the command has been killed.
    let (given, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let servers = [(); 3].map(|()| {
        let (given, most) = (given.clone(), most.clone());
        Server::start(move |number, body| {
            let reply = faulty(number, body);
            if reply == echo(body) {
                let place = given.fetch_add(1, Ordering::SeqCst);
                while place >= most.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(2));
                }
            }
            reply
        })
    });
    let servers = servers.each_ref();
    for number in [300, 600] {
        let missing = number - answers(&scratch).len();
        most.store(given.load(Ordering::SeqCst) + missing + 50, Ordering::SeqCst);
        let mut command = batch(&scratch, &servers, &["--model", "vlm"]);
        kill_after(command.stderr(Stdio::null()).spawn().expect("the command"), &scratch, number);
        assert!(answers(&scratch).len() < 1000);
    }
    most.store(usize::MAX, Ordering::SeqCst);
    let done = run(&scratch, &servers, &["--model", "vlm"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let answers = answers(&scratch);
    assert_eq!(answers.len(), 1000);
    for id in 0..1000 {
        let response = &answers[&id.to_string()];
        let content = &response["body"]["choices"][0]["message"]["content"];
        assert_eq!((&response["status_code"], content), (&200.into(), &format!("question {id}").into()));
    }
    let asked: Vec<Asked> = servers.iter().flat_map(|server| server.asked()).collect();
    assert!(servers.iter().all(|server| server.asked().len() > 250), "all servers take part");
    assert!(asked.len() > 1040, "some failed: {}", asked.len());
    assert!(asked.iter().all(|(headers, body)| headers["authorization"] == "Bearer secret" && body["model"] == "vlm"));
    // Attempts of one request have one key, and others have others.
    let pairs: HashSet<(String, String)> = asked
        .iter()
        .map(|(headers, body)| (body["messages"][0]["content"].to_string(), headers["idempotency-key"].clone()))
        .collect();
    let keys: HashSet<&String> = pairs.iter().map(|(_, key)| key).collect();
    assert_eq!((pairs.len(), keys.len()), (1000, 1000));
}

#[test]
fn refusals_are_answers_and_a_server_that_fails_for_one_request_leaves_it_for_the_next_start() {
    let scratch = Scratch::new();
    write_requests(&scratch.0.join("in.jsonl"), 0..6);
    let is_question = |body: &Value, id: usize| body["messages"][0]["content"] == format!("question {id}");
    let server = Server::start(move |_, body| {
        if is_question(body, 2) {
            Some((400, "", "{\"error\": {\"code\": \"invalid_value\"}}".into()))
        } else if is_question(body, 4) {
            // The server answers others in between.
            Some((500, "retry-after-ms: 300\r\n", "{}".into()))
        } else {
            thread::sleep(Duration::from_millis(5));
            echo(body)
        }
    });
    let first = run(&scratch, &[&server], &["--concurrency", "2"]);
    let told = text(&first.stderr);
    assert!(!first.status.success() && told.contains("1 requests got no answer"), "{told}");
    let answered = answers(&scratch);
    assert_eq!((answered.len(), &answered["2"]["status_code"]), (5, &400.into()));
    assert_eq!(answered["2"]["body"]["error"]["code"], "invalid_value");
    let healthy = Server::start(|_, body| echo(body));
    let second = run(&scratch, &[&healthy], &[]);
    assert!(second.status.success(), "{}", text(&second.stderr));
    assert_eq!((answers(&scratch).len(), healthy.asked().len()), (6, 1), "only what was open is sent again");
}

#[test]
fn a_batch_ends_if_no_server_answers() {
    let scratch = Scratch::new();
    write_requests(&scratch.0.join("in.jsonl"), 0..100);
    let server = Server::start(|_, _| Some((503, "retry-after-ms: 1\r\n", String::new())));
    let ended = run(&scratch, &[&server], &["--concurrency", "3"]);
    assert!(!ended.status.success() && text(&ended.stderr).contains("status 503"), "{}", text(&ended.stderr));
    assert!(answers(&scratch).is_empty() && server.asked().len() < 40, "{}", server.asked().len());
    let nowhere = Command::new(env!("CARGO_BIN_EXE_ocelli")).args(["batch", "in", "out", "--endpoint", "x"]).output();
    assert_eq!(nowhere.expect("the command").status.code(), Some(2));
}

#[test]
fn an_address_that_names_another_host_gets_no_request_and_no_key() {
    let scratch = Scratch::new();
    let server = Server::start(|_, body| echo(body));
    let lines = ["@evil.example/v1/chat/completions", ".evil.example/v1/x", "/v2/chat/completions"].map(|url| {
        let body = json!({"messages": [{"role": "user", "content": "Hello"}]});
        json!({"custom_id": url, "method": "POST", "url": url, "body": body}).to_string()
    });
    std::fs::write(scratch.0.join("in.jsonl"), lines.join("\n")).expect("a file");
    let output = run(&scratch, &[&server], &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let answers = std::fs::read_to_string(scratch.0.join("out.jsonl")).expect("answers");
    assert_eq!(answers.matches("must be a path that begins with /v1/").count(), 3, "{answers}");
    assert!(server.asked().is_empty());
}
