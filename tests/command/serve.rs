//! A server within the test's process: an engine that hangs while it is loaded again, and one that panics during a batch.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::{self, sleep};

use clap::Parser;
use hyper_util::server::graceful::GracefulShutdown;
use ocelli::api::Inbox;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::*;
use crate::engines::Occupant;
use crate::shared::callers::Caller;
use crate::store::FileObject;

#[derive(Parser)]
struct Memory {
    #[command(flatten)]
    args: MemoryArgs,
}

/// Loads the demo model.
fn load(alive: &dyn Fn()) -> Result<Engine> {
    let Memory { args } = Memory::parse_from(["test", "--device", "cpu", "--threads", "1"]);
    pollster::block_on(open::watched(&package(), Some(256), &args, alive))
}

fn package() -> PackagePath {
    PackagePath::from(OsString::from("www/models/demo"))
}

/// A server without a listener.
struct Parts {
    server: Arc<Server>,
    queue: Queue,
    engine: Engine,
    /// Batches that wait.
    waiting: Receiver<String>,
    _temporary: Temporary,
}

fn parts(patience: Duration) -> Parts {
    let (monitor, engine) = (Arc::new(Monitor::new()), load(&|| {}).expect("an engine"));
    let (jobs, queue) = queue(monitor.clone(), Pulse::with_patience(patience));
    let model = Model::new(Names::of_first(&package(), &NameArgs::default()), jobs);
    model.opened(&engine, || NameArgs::default().service(&engine, &package()));
    let (batches, waiting) = Batches::new(Store::open(None, Limits { bytes: 1 << 20, objects: 100 }).expect("a store"));
    let _temporary = Temporary(batches.store.clone());
    let server = Server {
        access: Access::new(Ipv4Addr::LOCALHOST.into(), Keys::default(), Vec::new()),
        shares_cache: false,
        models: Models::new(vec![model]).expect("a model"),
        intake: Intake::new(),
        monitor,
        album: Album { store: batches.store.clone(), folder: None, hosts: Vec::new() },
        batches: Arc::new(batches),
        accounts: None,
        tools: OnceLock::new(),
        page: Page::of_build(),
    };
    Parts { server: Arc::new(server), queue, engine, waiting, _temporary }
}

/// Answers requests until the server stops.
fn work(
    server: &Server,
    (queue, engine): (Queue, Engine),
    idle: Option<Duration>,
    open: &dyn Fn(&dyn Fn()) -> Result<Engine>,
) -> Result<()> {
    let residents = Residents::new(1, server.models.occupants());
    queue.work(Some(engine), &Loading { idle, open, residents: &residents, model: 0, name: "demo" })
}

/// Answers connections until the runtime is dropped.
fn listen(server: &Arc<Server>) -> (Runtime, SocketAddr) {
    let runtime = Runtime::new().expect("threads");
    let listener = runtime.block_on(connections::listen((Ipv4Addr::LOCALHOST, 0).into())).expect("a port");
    let (address, server) = (listener.local_addr().expect("an address"), server.clone());
    runtime.spawn(async move {
        let graceful = GracefulShutdown::new();
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connections::connection(stream, server.clone(), &graceful));
        }
    });
    (runtime, address)
}

/// Status and body of a reply.
fn exchange(address: SocketAddr, (method, path): (&str, &str), body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}"
    );
    write!(stream, "{head}\r\n\r\n{body}").expect("it is taken");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("a reply");
    let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, serde_json::from_str(body).expect("JSON"))
}

/// Repeats until there is a value; a limit for what never comes.
fn until<T>(what: &str, mut value: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1200 {
        if let Some(value) = value() {
            return value;
        }
        sleep(Duration::from_millis(50));
    }
    panic!("{what}: not within a minute")
}

/// The state said "idle" while the engine was opened again.
#[test]
fn a_model_that_hangs_while_it_is_loaded_again_is_not_healthy() {
    let Parts { server, queue, engine, .. } = parts(Duration::from_millis(300));
    let (_runtime, address) = listen(&server);
    let health = move || exchange(address, ("GET", "/health"), "");
    let (begun, loading) = channel();
    let (resume, resumed) = channel();
    let signs = AtomicUsize::new(0);
    let open = |alive: &dyn Fn()| {
        begun.send(()).expect("a client");
        resumed.recv().expect("a client");
        load(&|| {
            signs.fetch_add(1, Ordering::SeqCst);
            alive();
        })
    };
    let working = server.clone();
    let client = thread::spawn(move || {
        let request = json!({"prompt": "Hello", "max_tokens": 2}).to_string();
        let ask = || {
            let request = request.clone();
            thread::spawn(move || exchange(address, ("POST", "/v1/completions"), &request))
        };
        let mut asked = ask();
        // A request that comes before the engine is unloaded is answered by it.
        while loading.recv_timeout(Duration::from_millis(10)).is_err() {
            if asked.is_finished() {
                asked = ask();
            }
        }
        let hung = until("a hang", || Some(health()).filter(|(status, _)| *status != 200));
        resume.send(()).expect("the engine waits");
        let answered = asked.join().expect("no panic").0;
        let well = until("an end of the hang", || Some(health()).filter(|(status, _)| *status == 200));
        working.models.stop();
        (hung, answered, well)
    });
    assert_eq!(work(&server, (queue, engine), Some(Duration::from_millis(1)), &open), Ok(()));
    let (hung, answered, well) = client.join().expect("no panic");
    assert_eq!(hung, (503, json!({"status": "hung"})));
    assert_eq!((answered, well), (200, (200, json!({"status": "ok"}))));
    assert!(signs.load(Ordering::SeqCst) > 0, "loading shows signs of life");
}

#[test]
fn a_model_that_cannot_be_loaded_again_fails_its_requests_alone() {
    let Parts { server, queue, engine, .. } = parts(Duration::from_millis(300));
    let (_runtime, address) = listen(&server);
    let attempts = AtomicUsize::new(0);
    let open = |alive: &dyn Fn()| match attempts.fetch_add(1, Ordering::SeqCst) {
        0 => Err(Error::DeviceLost { reason: "on order".into() }),
        1 => panic!("on order"),
        _ => load(alive),
    };
    let working = server.clone();
    let client = thread::spawn(move || {
        let request = json!({"prompt": "Hello", "max_tokens": 2}).to_string();
        let ask = || exchange(address, ("POST", "/v1/completions"), &request).0;
        // A request that comes before the engine is unloaded is answered by it.
        let first = until("a failure", || Some(ask()).filter(|status| *status != 200));
        let statuses = [first, ask(), ask()];
        // Nothing is being loaded.
        sleep(Duration::from_millis(600));
        let health = exchange(address, ("GET", "/health"), "").0;
        working.models.stop();
        (statuses, health)
    });
    assert_eq!(work(&server, (queue, engine), Some(Duration::from_millis(1)), &open), Ok(()));
    assert_eq!(client.join().expect("no panic"), ([503, 500, 200], 200));
}

/// Requests to one model that never end would keep all others out.
#[test]
fn a_model_whose_place_another_one_needs_begins_no_requests_after_its_turn() {
    let Parts { server, mut queue, .. } = parts(Duration::from_secs(600));
    let (_runtime, address) = listen(&server);
    let ask = || {
        let request = json!({"prompt": "Hello", "max_tokens": 2}).to_string();
        thread::spawn(move || exchange(address, ("POST", "/v1/completions"), &request))
    };
    server.models.first().jobs.leave();
    let _asked = [ask(), ask()];
    // In place of the engine.
    let mut next = || until("a request", || queue.next(0));
    let first = [next(), next()];
    sleep(Duration::from_secs(11));
    let _asked = ask();
    until("a request that waits", || (server.models.counts().waiting == 3).then_some(()));
    sleep(Duration::from_millis(200));
    assert!(queue.next(2).is_none(), "it begins another one");
    drop(first);
    server.models.stop();
}

/// Creates a batch with as many answers of a length by number.
fn batch(server: &Server, count: usize, tokens: impl Fn(usize) -> usize) -> String {
    let line = |number: usize| {
        let body = json!({"prompt": "Hello", "max_tokens": tokens(number), "logit_bias": {"2": -100}});
        let line = json!({"custom_id": number.to_string(), "method": "POST", "url": "/v1/completions", "body": body});
        format!("{line}\n")
    };
    let (store, file) = (&server.batches.store, FileObject::new("", "lines.jsonl", "batch"));
    let text: String = (0..count).map(line).collect();
    std::fs::write(store.create(&file.id).expect("a file"), text).expect("a file");
    store.put(&file).expect("a file");
    let asked = json!({"input_file_id": file.id, "endpoint": "/v1/completions", "completion_window": "24h"});
    let batch = server.batches.create(&asked.to_string(), &Caller::unnamed("")).expect("a batch");
    let batch: Value = serde_json::from_str(&batch).expect("an object");
    batch["id"].as_str().expect("an id").into()
}

/// The batch once it is completed.
fn completed(server: &Server, id: &str) -> Value {
    until("the end of the batch", || {
        let batch = json!(server.batches.get(id, &Caller::unnamed("")).expect("the batch"));
        (batch["status"] == "completed").then_some(batch)
    })
}

/// Lines of a file of a batch.
fn lines(server: &Server, batch: &Value, file: &str) -> Vec<Value> {
    let id = batch[file].as_str().expect("an id");
    let text = std::fs::read_to_string(server.batches.store.bytes(id)).expect("a file");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Status and code of a failed line.
fn failure(line: &Value) -> (u64, String) {
    let response = &line["response"];
    let code = response["body"]["error"]["code"].as_str().unwrap_or_default();
    (response["status_code"].as_u64().expect("a status"), code.to_owned())
}

#[test]
fn a_panic_while_lines_of_a_batch_are_computed_fails_these_lines_alone() {
    let Parts { server, queue, engine, waiting, _temporary } = parts(Duration::from_secs(600));
    let (_runtime, address) = listen(&server);
    // The first eight are computed at once; the panic comes long before they end.
    let batch = batch(&server, 12, |number| if number < 8 { 200 } else { 2 });
    let (working, asking) = (server.clone(), server.clone());
    thread::spawn(move || batches::work(&working, &waiting));
    let client = thread::spawn(move || {
        until("a first step", || (asking.models.counts().active > 0).then_some(()));
        asking.models.first().jobs.panic();
        let ended = completed(&asking, &batch);
        let request = json!({"prompt": "Hello", "max_tokens": 2}).to_string();
        let status = exchange(address, ("POST", "/v1/completions"), &request).0;
        asking.models.stop();
        (ended, status)
    });
    assert_eq!(work(&server, (queue, engine), None, &|_| Err(Error::Aborted)), Ok(()));
    let (batch, status) = client.join().expect("no panic");
    assert_eq!(status, 200, "the server lives");
    let (right, failed) = (lines(&server, &batch, "output_file_id"), lines(&server, &batch, "error_file_id"));
    assert!(!failed.is_empty() && right.len() >= 4 && right.len() + failed.len() == 12, "{batch}");
    assert!(failed.iter().all(|line| failure(line) == (500, "internal".into())), "{failed:?}");
}

#[test]
fn lines_of_a_batch_that_run_out_of_memory_are_answered_again_one_at_a_time() {
    let Parts { server, mut queue, waiting, _temporary, .. } = parts(Duration::from_secs(600));
    let batch = batch(&server, 3, |_| 2);
    let working = server.clone();
    thread::spawn(move || batches::work(&working, &waiting));
    let full = || {
        let [what, purpose, detail] = [(); 3].map(|()| String::new());
        Err(Error::OutOfMemory { what, purpose, bytes: 1, in_use: 1, detail })
    };
    // In place of the engine.
    let mut next = || until("a request", || queue.next(0).map(|submission| submission.client));
    let together = [next(), next(), next()];
    together.into_iter().for_each(|client| client.end(full()));
    for outcome in [full(), Ok("{}".into()), Ok("{}".into())] {
        let client = next();
        // Time for requests that should not come.
        sleep(Duration::from_millis(200));
        let counts = server.models.counts();
        assert_eq!(counts.waiting + counts.active, 1, "it is not alone");
        client.end(outcome);
    }
    let batch = completed(&server, &batch);
    let failed = lines(&server, &batch, "error_file_id");
    assert_eq!(failed.iter().map(failure).collect::<Vec<_>>(), [(503, "out_of_memory".into())]);
    assert_eq!(lines(&server, &batch, "output_file_id").len(), 2);
}
