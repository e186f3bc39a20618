//! Every command of the README runs, with the demo model in place of others.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::serve::client::Server;
use crate::serve::{CHAT, WANTED};

/// An end of a command.
#[derive(Debug, Clone, Copy)]
enum End {
    /// It succeeds, with this on standard output or standard error.
    Says(&'static str),
    /// Exit code and message of a command that needs what is not here: a model that is downloaded, or another kind of model.
    Needs(i32, &'static str),
    /// It listens until it is ended.
    Listens,
    /// Another test or CI runs it.
    Elsewhere,
}

use End::{Elsewhere, Listens, Needs, Says};

/// Ends of all commands, by the text after which the differences between two of them begin.
const ENDS: [(&str, End); 42] = [
    ("cargo install", Elsewhere),
    ("ocelli pull qwen3.5-0.8b", Needs(3, "error[io]")),
    ("ocelli pull OWNER/REPO:Q4_K_M", Needs(3, "/api/models/OWNER/REPO")),
    ("ocelli pull", Says("smolvlm2-256m")),
    ("ocelli list", Says("no models yet")),
    ("ocelli pack HF_CHECKPOINT --out PKG --quant q4_0", Says("as q4_0")),
    ("ocelli pack model-Q4_K_M.gguf --mmproj mmproj.gguf --out PKG --quant compact", Says("as q4_64")),
    ("ocelli pack model-Q4_K_M.gguf --mmproj mmproj.gguf --out PKG", Says("as q4_k")),
    ("ocelli inspect PKG --verify --load", Says("every file has the hash")),
    ("ocelli inspect PKG --device", Says("kernels compute rightly")),
    ("ocelli describe PKG picture.png --prompt", Says("circle")),
    ("ocelli describe PKG picture.png --gpu-memory-budget 2GiB --show-memory", Says("GPU memory: ")),
    ("ocelli describe PKG picture.png --detail high", Says(WANTED)),
    ("ocelli describe PKG page.png --prompt", Says("")),
    ("ocelli describe PKG folder/ --json", Says("scene-02.png")),
    ("ocelli describe PKG invoice.pdf --pages 1-3", Says("invoice.pdf#page=1")),
    ("ocelli search FOLDER", Needs(3, "ocelli pull qwen3-vl-embedding-2b")),
    ("cat picture.png | ocelli describe PKG -", Says(WANTED)),
    ("ocelli describe PKG picture.png --find", Needs(2, "were not trained to give coordinates")),
    ("ocelli describe PKG https://… --fetch", Says(WANTED)),
    ("ocelli describe PKG picture.png --json-schema schema.json", Says("\"a\": ")),
    ("ocelli run smolvlm2-500m", Says("> ")),
    ("ocelli chat PKG", Says("> ")),
    ("ocelli describe PKG picture.png --think", Needs(2, "has not learnt to think")),
    ("ocelli serve PKG --host 0.0.0.0 --api-key KEY", Listens),
    ("ocelli serve PKG --cache FOLDER", Listens),
    ("ocelli serve PKG --fetch-pictures HOST", Listens),
    ("ocelli serve PKG --key-tokens 20000 --usage FOLDER", Listens),
    ("ocelli serve PKG --keys FILE", Listens),
    ("ocelli serve PKG", Listens),
    ("ocelli mcp PKG --root FOLDER", Says("serverInfo")),
    ("ocelli batch IN.jsonl OUT.jsonl --package PKG", Says("")),
    ("ocelli batch IN.jsonl OUT.jsonl --endpoint http://host:8000/v1", Says("")),
    ("ocelli keys new ann", Says("sk-ocelli-")),
    ("ocelli score PKG request.json --logits out.safetensors", Says("input_ids")),
    ("ocelli synth --shape ministral-3-3b --quant compact --out PKG", Says("synth-smolvlm2-256m")),
    ("ocelli cache clear FOLDER", Says("there are no conversations")),
    ("ocelli usage FOLDER --csv", Says("key")),
    ("ocelli rm NAME", Needs(3, "there is no model")),
    ("ocelli completions SHELL", Says("complete")),
    ("ocelli man FOLDER", Says("")),
    ("ocelli describe www/models/demo www/models/demo/gallery/scene-01.png", Says(WANTED)),
];

/// The commands of the README: the lines of its blocks and the code in its comments and texts.
fn commands() -> Vec<String> {
    let text = fs::read_to_string("README.md").expect("the README");
    let mut commands = Vec::new();
    for (index, part) in text.split("```").enumerate() {
        let is_commands = index % 2 == 1 && part.starts_with('\n');
        for line in part.lines().filter(|_| is_commands) {
            let command = line.split("  # ").next().unwrap_or_default().trim();
            let is_ours = ["ocelli ", "cargo install ", "cat "].iter().any(|start| command.starts_with(start));
            commands.extend(is_ours.then(|| command.to_owned()));
        }
        commands
            .extend(part.split('`').skip(1).step_by(2).filter(|code| code.starts_with("ocelli ")).map(str::to_owned));
    }
    commands
        .retain(|command| !matches!(command.as_str(), "ocelli pull ID" | "ocelli pull smolvlm2-256m" | "ocelli serve"));
    commands
}

fn end(command: &str) -> End {
    let row = ENDS.iter().find(|(start, _)| command.starts_with(start));
    row.unwrap_or_else(|| panic!("no test runs {command:?}")).1
}

/// A folder with the files that the commands name.
fn folder() -> PathBuf {
    let (root, folder) = (Path::new(env!("CARGO_MANIFEST_DIR")), Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme"));
    let _ = fs::remove_dir_all(&folder);
    for name in ["bin", "FOLDER", "folder"] {
        fs::create_dir_all(folder.join(name)).expect("a folder");
    }
    let gallery = root.join("www/models/demo/gallery");
    let link = |from: PathBuf, to: &str| symlink(from, folder.join(to)).expect("a link");
    link(PathBuf::from(env!("CARGO_BIN_EXE_ocelli")), "bin/ocelli");
    link(root.join("www"), "www");
    link(root.join("www/models/demo"), "PKG");
    link(root.join("tests/fixtures/checkpoints/like_8b"), "HF_CHECKPOINT");
    link(root.join("tests/fixtures/gguf/q4_k.gguf"), "model-Q4_K_M.gguf");
    link(root.join("tests/fixtures/gguf/mmproj.gguf"), "mmproj.gguf");
    for (from, to) in [(1, "picture.png"), (1, "page.png"), (1, "folder/scene-01.png"), (2, "folder/scene-02.png")] {
        link(gallery.join(format!("scene-0{from}.png")), to);
    }
    let schema = json!({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"], "additionalProperties": false});
    let chat = json!({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5});
    let line = json!({"custom_id": "a", "method": "POST", "url": CHAT, "body": chat});
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("a file");
    write("invoice.pdf", &crate::documents::words(&["SEA", "TEA"]));
    write("schema.json", schema.to_string().as_bytes());
    write("request.json", json!({"messages": [{"role": "user", "content": "Hello"}]}).to_string().as_bytes());
    write("IN.jsonl", format!("{line}\n").as_bytes());
    write("FILE", b"[]");
    folder
}

/// The command with what is here in place of what is not.
fn here(command: &str, number: usize, server: &Server, pictures: &str) -> String {
    let out = format!("--out new-{number}");
    let small = "--shape smolvlm2-256m --layers 1 --vision-layers 1";
    let changes = [
        ("--out PKG", out.as_str()),
        ("OUT.jsonl", &format!("out-{number}.jsonl")),
        ("--shape ministral-3-3b", small),
        ("ocelli run smolvlm2-500m", "ocelli run PKG"),
        ("https://…", pictures),
        ("http://host:8000/v1", &format!("http://{}/v1", server.address)),
        ("SHELL", "bash"),
        ("--api-key KEY", "--api-key 0123456789abcdef"),
        ("--host 0.0.0.0", "--host 127.0.0.1"),
        ("--keys FILE", "--keys keys.json"),
    ];
    let changed = changes.iter().fold(command.to_owned(), |command, (from, to)| command.replace(from, to));
    if changed.starts_with("ocelli serve") { format!("{changed} --port 0") } else { changed }
}

/// A shell for a command in the folder, without a network.
fn shell(folder: &Path, script: &str) -> Command {
    let path = std::env::var("PATH").expect("a path");
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(folder);
    command.env("PATH", format!("{}:{path}", folder.join("bin").display()));
    command.env("XDG_CACHE_HOME", folder.join("cache")).env("HF_ENDPOINT", "http://127.0.0.1:1");
    command.env("OCELLI_DEVICE", "cpu").env("OCELLI_THREADS", "1");
    command
}

/// Runs a command with this on standard input.
fn output(mut command: Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bash");
    // Most commands do not read it.
    let _ = std::io::Write::write_all(&mut child.stdin.take().expect("its input"), input);
    child.wait_with_output().expect("its output")
}

/// Runs a command, and compares its end.
fn check(folder: &Path, command: &str, script: &str) {
    let (wanted, code) = match end(command) {
        Elsewhere => return,
        Listens => {
            // `exec`, so that the server is ended with the shell.
            let server = Server::run(shell(folder, &format!("exec {script}")));
            assert_eq!(server.get("/health", &[]).status, 200, "{command}");
            return;
        }
        Says(wanted) => (wanted, 0),
        Needs(code, wanted) => (wanted, code),
    };
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}});
    let input = if command.starts_with("ocelli mcp") { format!("{hello}\n") } else { String::new() };
    let told = output(shell(folder, script), input.as_bytes());
    let text = [&told.stdout, &told.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    let is_right = told.status.code() == Some(code) || command.starts_with("ocelli mcp");
    assert!(is_right && text.contains(wanted), "{command}\n{told:?}");
}

#[test]
fn every_command_of_the_readme_runs() {
    let (folder, server) = (folder(), Server::start(&[]));
    fs::write(folder.join("keys.json"), json!([entry(&folder)]).to_string()).expect("a file");
    let pictures = crate::serve::downloads::Pictures::start();
    let commands = commands();
    for (number, command) in commands.iter().enumerate() {
        check(&folder, command, &here(command, number, &server, &pictures.url("/a.png")));
    }
    let is_named = |start: &str| commands.iter().any(|command| command.starts_with(start));
    let gone: Vec<&str> = ENDS.iter().map(|(start, _)| *start).filter(|start| !is_named(start)).collect();
    assert!(gone.is_empty(), "the README has no longer {gone:?}");
}

/// The entry of a new key.
fn entry(folder: &Path) -> Value {
    let told = output(shell(folder, "ocelli keys new ann --json"), b"");
    let line: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    line["entry"].clone()
}
