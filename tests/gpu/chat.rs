//! `ocelli chat` with lines from a pipe.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

const SCENE: &str = "www/models/demo/gallery/scene-01.png";
const WANTED: &str = "The circle is orange.";

fn start(args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ocelli"))
        .args(["chat", "www/models/demo"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command")
}

fn talk(args: &[&str], lines: &str) -> Output {
    let mut child = start(args);
    child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("it is read");
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn commands_are_obeyed_and_only_questions_reach_the_model() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("conversation.md");
    let lines = format!(
        "/help\n/imagine\n/regenerate\n/image '{SCENE}'\nWhat color is\\\nthe circle?\n/regenerate\n/save {}\n/quit\nnever read\n",
        file.display()
    );
    let output = talk(&[], &lines);
    let (answers, told) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{output:?}");
    assert!(answers.contains("/regenerate      answer the last question again"), "{answers}");
    assert_eq!(answers.matches(WANTED).count(), 2, "{answers}");
    assert!(told.contains("/imagine: is no command") && told.contains("/regenerate: there is no answer yet"), "{told}");
    let saved = std::fs::read_to_string(file).expect("the conversation");
    assert_eq!(saved, format!("**User**: [picture 1] What color is\nthe circle?\n\n**Assistant**: {WANTED}\n"));
    let cut = talk(&["--max-tokens", "3"], "Hello\n");
    assert!(text(&cut.stderr).contains("[the answer reached its longest length]"), "{cut:?}");
}

/// Answer of 4,500 letters. It does not fit into a pipe of one page, so that it is incomplete until it is read, however fast the device.
#[cfg(target_os = "linux")]
const LONG: [&str; 4] = ["--regex", "[a-z ]{4500}", "--temperature", "2"];

/// Reduces a pipe to one page.
#[cfg(target_os = "linux")]
fn narrow(pipe: &std::process::ChildStdout) {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open while `pipe` is borrowed, and the call touches no memory of this process.
    let size = unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
    assert!((1..4500).contains(&size), "a pipe of {size} bytes");
}

#[test]
#[cfg(target_os = "linux")]
fn an_interrupt_ends_the_answer_and_not_the_conversation() {
    use std::io::Read;
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("interrupted.md");
    let mut child = start(&LONG);
    let mut input = child.stdin.take().expect("a pipe");
    let mut output = child.stdout.take().expect("a pipe");
    narrow(&output);
    writeln!(input, "Describe this image.").expect("it is read");
    let mut first = [0];
    output.read_exact(&mut first).expect("an answer");
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("a signal");
    assert!(signal.success());
    write!(input, "And now?\n/save {}\n", file.display()).expect("it is read");
    drop(input);
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("text");
    let ended = child.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(text(&ended.stderr).matches("[stopped]").count(), 1, "{ended:?}");
    let saved = std::fs::read_to_string(file).expect("the conversation");
    let answers: Vec<_> = saved.lines().filter_map(|line| line.strip_prefix("**Assistant**: ")).collect();
    assert_eq!(answers.len(), 2, "{saved}");
    assert!((1..4500).contains(&answers[0].len()), "{saved}");
    assert!(!answers[1].is_empty(), "{saved}");
}

/// Text that `ocelli chat` shows on a terminal, where each of `keys` is typed after a prompt of its own.
#[cfg(target_os = "linux")]
fn on_a_terminal(args: &str, keys: &[&str]) -> String {
    use std::io::Read;
    let line = format!("{} chat www/models/demo {args}", env!("CARGO_BIN_EXE_ocelli"));
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script, of util-linux");
    let (mut input, mut output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut shown = Vec::new();
    for key in keys {
        let (before, mut byte) = (shown.len(), [0]);
        while !text(&shown[before..]).contains("> ") {
            assert_eq!(output.read(&mut byte).expect("it is shown"), 1, "{}", text(&shown));
            shown.push(byte[0]);
        }
        input.write_all(key.as_bytes()).expect("it is read");
    }
    output.read_to_end(&mut shown).expect("it ends");
    assert!(child.wait().expect("it ends").success(), "{}", text(&shown));
    text(&shown)
}

#[test]
#[cfg(target_os = "linux")]
fn lines_of_an_earlier_conversation_come_back_by_the_arrow() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("history");
    let _ = std::fs::remove_file(&file);
    let args = format!("--max-tokens 2 --history {}", file.display());
    on_a_terminal(&args, &["What is a quokka?\r", "/quit\r"]);
    let kept = std::fs::read_to_string(&file).expect("the history");
    assert!(kept.contains("What is a quokka?"), "{kept}");
    let shown = on_a_terminal(&args, &["\x1b[A\x1b[A\r", "/quit\r"]);
    assert!(shown.contains("What is a quokka?"), "{shown}");
}
