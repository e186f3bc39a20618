//! Several API keys: each with its own files, batches, usage, budget and cached prompts.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::batches::{folder, form, has_ended, line};
use super::client::{Reply, Server, post, request};
use super::{CHAT, agents, base64, endless, not_at_midnight};

/// A new key with its entry for the file.
fn new_key(name: &str, more: &[&str]) -> (String, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
    let told = command.args(["keys", "new", name]).args(more).output().expect("the command");
    let lines = String::from_utf8(told.stdout).expect("text");
    let (key, entry) = lines.trim_end().split_once('\n').unwrap_or_else(|| panic!("{lines}"));
    (key.to_owned(), serde_json::from_str(entry).expect("JSON"))
}

/// Writes a file of keys.
fn file(name: &str, entries: &[Value]) -> PathBuf {
    let folder = folder(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("keys.json");
    std::fs::write(&path, json!(entries).to_string()).expect("a file");
    path
}

/// A client with a key.
struct Client<'a> {
    server: &'a Server,
    header: String,
}

impl<'a> Client<'a> {
    fn new(server: &'a Server, key: &str) -> Self {
        Self { server, header: format!("authorization: Bearer {key}") }
    }

    fn get(&self, path: &str) -> Reply {
        self.server.get(path, &[&self.header])
    }

    fn post(&self, path: &str, body: &Value) -> Reply {
        self.server.exchange(&post(path, &[&self.header], body.to_string().as_bytes()))
    }

    fn delete(&self, path: &str) -> Reply {
        self.server.exchange(&request("DELETE", path, &[&self.header], b""))
    }

    fn upload(&self, text: &str) -> Value {
        let (kind, body) = form("batch", text);
        self.server.exchange(&request("POST", "/v1/files", &[&self.header, &kind], body.as_bytes())).json()
    }

    /// Ids of a list.
    fn ids(&self, path: &str) -> Vec<Value> {
        self.get(path).json()["data"].as_array().expect("a list").iter().map(|object| object["id"].clone()).collect()
    }

    /// Usage by key: requests, prompt tokens, answer tokens.
    fn usage(&self) -> Vec<(String, [u64; 3])> {
        let report = self.get("/v1/usage").json();
        let row = |row: &Value| {
            let counts =
                ["requests", "prompt_tokens", "completion_tokens"].map(|name| row[name].as_u64().expect("a number"));
            (row["key"].as_str().expect("text").to_owned(), counts)
        };
        report["data"].as_array().expect("rows").iter().map(row).collect()
    }
}

fn wait_for(what: &str, is_done: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_done() {
        assert!(began.elapsed() < Duration::from_secs(600), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_key_has_its_own_files_batches_and_usage() {
    not_at_midnight();
    let [ann, bob, root] =
        [("ann", &[][..]), ("bob", &[]), ("root", &["--admin"])].map(|(name, more)| new_key(name, more));
    let path = file("keys", &[ann.1, bob.1, root.1]);
    let server = Server::start(&["--keys", path.to_str().expect("UTF-8")]);
    let [ann, bob, root] = [&ann.0, &bob.0, &root.0].map(|key| Client::new(&server, key));
    assert_eq!(server.get("/v1/models", &[]).error().0, 401);
    let uploaded = ann.upload(&line("a", &endless(5, json!({"user": "bob"}))));
    let id = uploaded["id"].as_str().expect("an id");
    assert_eq!(
        (&uploaded["owner"], ann.ids("/v1/files"), bob.ids("/v1/files")),
        (&json!("ann"), vec![json!(id)], vec![])
    );
    let one = format!("/v1/files/{id}");
    let batch = json!({"input_file_id": id, "endpoint": CHAT, "completion_window": "24h"});
    for missing in [bob.get(&one), bob.get(&format!("{one}/content")), bob.delete(&one)] {
        assert_eq!(missing.error().0, 404, "{missing:?}");
    }
    assert_eq!(bob.post("/v1/batches", &batch).error(), (400, "invalid_value".into(), json!("input_file_id")));
    let batch = ann.post("/v1/batches", &batch).json();
    let path = format!("/v1/batches/{}", batch["id"].as_str().expect("an id"));
    for missing in [bob.get(&path), bob.post(&format!("{path}/cancel"), &json!({}))] {
        assert_eq!(missing.error().0, 404, "{missing:?}");
    }
    wait_for("the batch", || has_ended(&ann.get(&path).json()));
    let ended = ann.get(&path).json();
    assert_eq!(ended["request_counts"], json!({"total": 1, "completed": 1, "failed": 0}), "{ended}");
    let output = format!("/v1/files/{}", ended["output_file_id"].as_str().expect("an id"));
    assert_eq!((ann.get(&output).status, bob.get(&output).status, root.get(&output).status), (200, 404, 200));
    assert_eq!((bob.ids("/v1/batches"), bob.ids("/v1/files")), (vec![], vec![]));
    assert_eq!((root.ids("/v1/batches").len(), root.ids("/v1/files").len()), (1, 3));

    // Usage is that of the key, whatever a request names; counting tokens is counted too.
    assert_eq!(bob.post("/v1/tokenize", &json!({"prompt": "Hello"})).status, 200);
    let counted = bob.usage();
    assert!(matches!(&counted[..], [(name, [1, (1..), 0])] if name == "bob"), "{counted:?}");
    let own = ann.usage();
    assert!(matches!(&own[..], [(name, [1, (1..), 5])] if name == "ann"), "{own:?}");
    assert_eq!(root.usage(), [own, counted].concat());
    assert_eq!((ann.get("/metrics").error().0, root.get("/metrics").status), (403, 200));
    let deleted = ann.delete(&one);
    assert_eq!((deleted.json()["deleted"].as_bool(), deleted.header("cache-control")), (Some(true), Some("no-store")));
    assert_eq!(deleted.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn cached_prompts_of_another_key_are_not_found() {
    let [ann, bob] = ["ann", "bob"].map(|name| new_key(name, &[]));
    let path = file("keys-cache", &[ann.1, bob.1]);
    let asked = |client: &Client<'_>| {
        let content = "The password of the cellar is a horse that eats batteries.";
        // Both name the same user.
        let request = json!({"messages": [{"role": "user", "content": content}], "max_tokens": 1, "user": "all"});
        let answered = client.post(CHAT, &request).json();
        answered["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or_else(|| panic!("{answered}"))
    };
    let server = Server::start(&["--keys", path.to_str().expect("UTF-8")]);
    let [first, second] = [&ann.0, &bob.0].map(|key| Client::new(&server, key));
    assert_eq!(asked(&first), 0);
    assert!(asked(&first) > 5);
    assert_eq!(asked(&second), 0);
    assert!(asked(&second) > 5);
    let server = Server::start(&["--keys", path.to_str().expect("UTF-8"), "--share-cache"]);
    let [first, second] = [&ann.0, &bob.0].map(|key| Client::new(&server, key));
    assert_eq!(asked(&first), 0);
    assert!(asked(&second) > 5);
}

/// Prompts of batches and of tools are kept apart as those of requests are.
#[test]
fn cached_prompts_of_batches_and_tools_are_not_found_by_another_key() {
    let [ann, bob] = ["ann", "bob"].map(|name| new_key(name, &[]));
    let path = file("keys-cache-batch", &[ann.1, bob.1]);
    let server = Server::start(&["--keys", path.to_str().expect("UTF-8")]);
    let [ann, bob] = [&ann.0, &bob.0].map(|key| Client::new(&server, key));
    let content = "The password of the cellar is a horse that eats batteries.";
    let chat = json!({"messages": [{"role": "user", "content": content}], "max_tokens": 1, "user": "all"});
    let of = |answered: &Value| {
        let cached = answered["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64();
        cached.unwrap_or_else(|| panic!("{answered}"))
    };
    let batch = |client: &Client<'_>| {
        let file = client.upload(&line("a", &chat))["id"].clone();
        let asked = json!({"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"});
        let path = client.post("/v1/batches", &asked).json()["id"].as_str().map(|id| format!("/v1/batches/{id}"));
        let path = path.expect("an id");
        wait_for("the batch", || has_ended(&client.get(&path).json()));
        let output = client.get(&path).json()["output_file_id"].as_str().expect("an id").to_owned();
        let answer: Value =
            serde_json::from_str(&client.get(&format!("/v1/files/{output}/content")).body).expect("a line");
        of(&answer["response"]["body"])
    };
    assert_eq!(batch(&ann), 0);
    assert_eq!(of(&bob.post(CHAT, &chat).json()), 0, "a batch of another key");
    assert!(of(&ann.post(CHAT, &chat).json()) > 5);
    assert!(batch(&bob) > 5, "its own chat");

    // A tool asks about a picture; the same chat of its key finds the prompt.
    let picture = format!(
        "data:image/png;base64,{}",
        base64(&std::fs::read("www/models/demo/gallery/scene-01.png").expect("a picture"))
    );
    let question = "What is the password of the cellar?";
    let told =
        agents::Agent::with(&server, &ann.header).told("describe", &json!({"image": picture, "question": question}));
    assert!(!told.is_empty());
    let parts = json!([{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": question}]);
    let chat = json!({"messages": [{"role": "user", "content": parts}], "max_tokens": 1});
    assert_eq!(of(&bob.post(CHAT, &chat).json()), 0, "a tool of another key");
    assert!(of(&ann.post(CHAT, &chat).json()) > 5);
}

#[test]
fn keys_end_by_day_by_budget_and_with_their_entry() {
    not_at_midnight();
    let old = new_key("old", &["--expires", "2020-01-01"]);
    let (small, large) = (new_key("small", &["--tokens", "40"]), new_key("large", &[]));
    let path = file("keys-end", &[old.1, small.1.clone(), large.1.clone()]);
    let server = Server::start(&["--keys", path.to_str().expect("UTF-8"), "--key-tokens", "100000"]);
    let [old, small_client, large_client] = [&old.0, &small.0, &large.0].map(|key| Client::new(&server, key));
    assert_eq!(old.get("/v1/models").error(), (401, "invalid_api_key".into(), Value::Null));
    let spent = small_client.post(CHAT, &endless(300, json!({}))).json();
    assert_eq!(spent["usage"]["total_tokens"], 40, "{spent}");
    // Another user is no way out, and counting tokens needs the budget too.
    let refused = small_client.post(CHAT, &endless(300, json!({"user": "another"})));
    assert_eq!((refused.error().0, &refused.json()["error"]["detail"]["limit"]), (429, &json!(40)), "{refused:?}");
    assert_eq!(small_client.post("/v1/tokenize", &json!({"prompt": "Hello"})).error().1, "budget_exceeded");
    assert_eq!(large_client.post(CHAT, &endless(5, json!({}))).status, 200);

    // A key that is removed from the file is refused soon, and one that is added is accepted; a malformed file changes nothing.
    let added = new_key("added", &[]);
    std::fs::write(&path, "[").expect("a file");
    std::fs::write(&path, json!([large.1, added.1]).to_string()).expect("a file");
    let added = Client::new(&server, &added.0);
    wait_for("the new key", || added.get("/v1/models").status == 200);
    assert_eq!((small_client.get("/v1/models").status, large_client.get("/v1/models").status), (401, 200));

    std::fs::write(&path, json!([large.1, large.1]).to_string()).expect("a file");
    let told = Server::attempt(&["--keys", path.to_str().expect("UTF-8")]);
    assert!(told.contains("error[invalid-request]") && told.contains("key \"large\": another key"), "{told}");
    let told = Server::attempt(&["--host", "0.0.0.0", "--api-key", "secret"]);
    assert!(told.contains("error[invalid-request]: api_key: has fewer than 16"), "{told}");
}
