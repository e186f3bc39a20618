//! A server that ends or is killed, and is started again on the same folder of conversations.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Reply, Server};
use super::{CHAT, WANTED, about_a_picture, said};

/// An unused folder.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn cached(reply: &Reply) -> u64 {
    let tokens = &reply.json()["usage"]["prompt_tokens_details"]["cached_tokens"];
    tokens.as_u64().unwrap_or_else(|| panic!("{reply:?}"))
}

/// Files of conversations in a folder.
fn kept(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "snapshot")).collect()
}

fn wait_for_a_file(folder: &Path) {
    let began = Instant::now();
    while kept(folder).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(600), "nothing is kept");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A server on the GPU. On the processor prompts take so little time that it depends on measured times if a conversation is kept.
fn start(more: &[&str]) -> Server {
    Server::start(&[&["--device", "gpu"], more].concat())
}

#[test]
fn the_folder_of_conversations_has_the_size_that_it_is_given() {
    let folder = folder("small");
    let path = folder.to_str().expect("a path");
    let bytes_after = |words: &str, more: &[&str]| {
        let mut server = start(&[&["--cache", path], more].concat());
        let messages = json!([{"role": "user", "content": words.repeat(20)}]);
        assert_eq!(server.post(CHAT, &about_a_picture(json!({"messages": messages}))).status, 200);
        let ended = Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().expect("a signal");
        assert!(ended.success() && server.child.wait().expect("it ends").success());
        kept(&folder).iter().map(|file| fs::metadata(file).expect("a file").len()).sum::<u64>()
    };
    let one = bytes_after("Circles and squares. ", &[]);
    let most = one + one / 2;
    let both = bytes_after("Red and blue things. ", &[]);
    assert!(one > 0 && both > most, "both are kept: {one}, then {both} bytes");
    let some = bytes_after("Above and below it. ", &["--cache-bytes", &most.to_string()]);
    assert!((1..=most).contains(&some), "{some} of {most} bytes");
}

#[test]
fn a_restarted_server_continues_conversations() {
    let folder = folder("conversations");
    let path = folder.to_str().expect("a path");
    let mut server = start(&["--cache", path]);
    let question = about_a_picture(json!({}));
    assert_eq!(said(&server.post(CHAT, &question)), WANTED);
    assert!(Server::attempt(&["--cache", path]).contains("another process has this folder"));
    let ended = Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().expect("a signal");
    assert!(ended.success() && server.child.wait().expect("it ends").success());
    assert_eq!(kept(&folder).len(), 1, "what was said last is kept before it ends");

    let server = start(&["--cache", path]);
    let mut talk = question["messages"].as_array().expect("a list").clone();
    talk.extend([json!({"role": "assistant", "content": WANTED}), json!({"role": "user", "content": "And?"})]);
    let ask_as = |server: &Server, user: Value| {
        let messages = Value::from(talk.clone());
        server.post(CHAT, &json!({"messages": messages, "temperature": 0, "max_tokens": 8, "user": user}))
    };
    let ask = |server: &Server| ask_as(server, Value::Null);
    assert_eq!(cached(&ask_as(&server, json!("bob"))), 0, "a conversation of somebody else");
    let again = ask(&server);
    assert!(cached(&again) > 60, "{again:?}");
    drop(server);
    let cold = ask(&start(&[]));
    assert_eq!((said(&again), cached(&cold)), (said(&cold), 0));

    // Killed at any moment: files are complete or ignored.
    for file in kept(&folder) {
        fs::remove_file(file).expect("it was there");
    }
    let server = start(&["--cache", path]);
    assert_eq!(said(&server.post(CHAT, &question)), WANTED);
    wait_for_a_file(&folder);
    drop(server);
    fs::write(folder.join("ocelli-0123.part"), b"half").expect("a file");
    let damaged = fs::read(&kept(&folder)[0]).expect("a file");
    fs::write(folder.join("abc.snapshot"), &damaged[..damaged.len() / 2]).expect("a file");
    let server = start(&["--cache", path]);
    let reply = server.post(CHAT, &question);
    assert_eq!(said(&reply), WANTED);
    assert!(cached(&reply) > 40 && !folder.join("ocelli-0123.part").exists(), "{reply:?}");
    drop(server);
    let ocelli = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ocelli")).args(args).output().expect("the command");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(ocelli(&["cache", "show", path]).starts_with("2 conversations"));
    assert!(ocelli(&["cache", "clear", path]).starts_with("removed 2 conversations"));
    assert!(kept(&folder).is_empty());
    fs::remove_dir_all(&folder).expect("the test's own folder");
}
