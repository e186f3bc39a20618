//! An agent with the tools of `ocelli mcp` over standard input and output: it finds pictures, reads their texts, and compares them.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::documents;

const GALLERY: &str = "www/models/demo/gallery";

/// A session of the agent.
struct Agent {
    server: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    messages: u64,
}

impl Agent {
    fn start() -> Self {
        let mut server = Command::new(env!("CARGO_BIN_EXE_ocelli"))
            .args(["mcp", "www/models/demo", "--root", GALLERY, "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the command");
        let input = server.stdin.take().expect("a pipe");
        let output = BufReader::new(server.stdout.take().expect("a pipe")).lines();
        let mut agent = Self { server, input, output, messages: 0 };
        let about = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
        agent.ask("initialize", &about);
        agent.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        agent
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.input, "{message}").expect("it is read");
    }

    /// The result of a request.
    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.messages += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": self.messages, "method": method, "params": params}));
        loop {
            let line = self.output.next().expect("an answer").expect("text");
            let message: Value = serde_json::from_str(&line).expect("a message");
            if message["id"] == self.messages {
                assert!(message["error"].is_null(), "{message}");
                return message["result"].clone();
            }
        }
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let result = self.ask("tools/call", &json!({"name": tool, "arguments": arguments}));
        assert_ne!(result["isError"], true, "{result}");
        result
    }

    fn text(&mut self, tool: &str, arguments: &Value) -> String {
        self.call(tool, arguments)["content"][0]["text"].as_str().expect("a text").to_owned()
    }

    /// Paths of the pictures of the folder for which the answer is yes.
    fn find(&mut self, question: &str) -> Vec<String> {
        let result = self.call("find_in_folder", &json!({"folder": ".", "question": question}));
        let findings = &result["structuredContent"];
        let pictures = std::fs::read_dir(GALLERY).expect("the gallery").flatten();
        let pictures =
            pictures.filter(|file| file.path().extension().is_some_and(|extension| extension == "png")).count();
        assert_eq!((&findings["looked_at"], &findings["failed"]), (&json!(pictures), &json!([])));
        let found = findings["found"].as_array().expect("a list");
        found.iter().map(|each| each["path"].as_str().expect("a path").to_owned()).collect()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The alternative text of the picture at a path.
fn alt(path: &str) -> String {
    documents::alt(path.rsplit('/').next().unwrap_or(path))
}

#[test]
fn an_agent_finds_pictures_reads_and_compares_them() {
    let mut agent = Agent::start();
    let circles = agent.find("Is there a circle?");
    assert!(circles.len() > 3 && circles.iter().all(|path| alt(path).contains("circle")), "{circles:?}");
    let words = agent.find("Is there a word?");
    // The agent decides by what it was told: it reads the pictures that have both.
    let both: Vec<&String> = circles.iter().filter(|path| words.contains(path)).collect();
    assert!(both.len() > 1 && both.len() < circles.len(), "{circles:?} {words:?}");
    for path in &both {
        let read = agent.text("read_text", &json!({"image": path}));
        let word = read.split('"').nth(1).expect("a quoted word").to_owned();
        assert!(alt(path).contains(&format!("\"{word}\"")), "{path}: {read}");
    }
    let compared = |agent: &mut Agent, images: &[&String]| agent.text("compare", &json!({"images": images}));
    let first = compared(&mut agent, &both[..2]);
    assert!(!first.is_empty());
    let other = circles.iter().find(|path| !words.contains(path)).expect("one without a word");
    assert_ne!(first, compared(&mut agent, &[other, both[1]]), "the answer depends on the pictures");
    let refused = agent.ask("tools/call", &json!({"name": "compare", "arguments": {"images": [both[0]]}}));
    assert_eq!(refused["isError"], true, "{refused}");
}
