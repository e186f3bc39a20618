//! `ocelli chat` with lines from a pipe.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

const SCENE: &str = "www/models/demo/gallery/scene-01.png";
const WANTED: &str = "An orange circle above the purple word \"SEA\" on a gray background.";

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
        "/help\n/imagine\n/regenerate\n/image '{SCENE}'\nDescribe this\\\nimage.\n/regenerate\n/save {}\n/quit\nnever read\n",
        file.display()
    );
    let output = talk(&[], &lines);
    let (answers, told) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{output:?}");
    assert!(answers.contains("/regenerate      answer the last question again"), "{answers}");
    assert_eq!(answers.matches(WANTED).count(), 2, "{answers}");
    assert!(told.contains("/imagine: is no command") && told.contains("/regenerate: there is no answer yet"), "{told}");
    let saved = std::fs::read_to_string(file).expect("the conversation");
    assert_eq!(saved, format!("**User**: [picture 1] Describe this\nimage.\n\n**Assistant**: {WANTED}\n"));
    let cut = talk(&["--max-tokens", "3"], "Hello\n");
    assert!(text(&cut.stderr).contains("[the answer reached its longest length]"), "{cut:?}");
}

/// Reads one letter of the answer, ends it, and asks again.
fn interrupted(child: &Child, (input, output): (&mut ChildStdin, &mut BufReader<ChildStdout>)) -> String {
    writeln!(input, "/image {SCENE}\nDescribe this image.").expect("it is read");
    let mut first = [0];
    output.read_exact(&mut first).expect("an answer");
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("a signal");
    assert!(signal.success());
    writeln!(input, "/image {SCENE}\nDescribe this image.").expect("it is read");
    let mut rest = String::new();
    output.read_line(&mut rest).expect("text");
    rest
}

#[test]
#[cfg(unix)]
fn an_interrupt_ends_the_answer_and_not_the_conversation() {
    let mut child = start(&[]);
    let mut input = child.stdin.take().expect("a pipe");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let rest = interrupted(&child, (&mut input, &mut output));
    drop(input);
    let mut more = String::new();
    output.read_to_string(&mut more).expect("text");
    let ended = child.wait_with_output().expect("it ends");
    // A fast device may have been done before the signal.
    assert!(ended.status.success(), "{ended:?}");
    assert!(text(&ended.stderr).contains("[stopped]"), "{rest}{more} {ended:?}");
    assert!(format!("{rest}{more}").contains("on a gray background."), "{rest}{more}");
}
