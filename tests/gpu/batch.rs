//! `ocelli batch`: every request is answered exactly once, however often the command is killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// A folder of this test's own, empty at first.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("batch").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
    command
        .arg("batch")
        .args([folder.join("in.jsonl"), folder.join("out.jsonl")])
        .args(["--package", "www/models/demo"]);
    command.stderr(Stdio::piped());
    command
}

fn run(folder: &Path) -> Output {
    command(folder).output().expect("the command")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn request(id: &str, url: &str, body: &Value) -> String {
    json!({"custom_id": id, "method": "POST", "url": url, "body": body}).to_string()
}

/// A question about a picture beside the file of requests.
fn about(picture: &str) -> Value {
    let content =
        json!([{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": "Describe this image."}]);
    json!({"messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": 30})
}

/// The answers by id, and the wrong lines that are reported.
fn answers(folder: &Path) -> (BTreeMap<String, Value>, Vec<(String, u64)>) {
    let text = fs::read_to_string(folder.join("out.jsonl")).expect("answers");
    let (mut answers, mut wrong) = (BTreeMap::new(), Vec::new());
    for line in text.lines() {
        let mut answered: Value = serde_json::from_str(line).expect("JSON");
        match answered["custom_id"].as_str().map(str::to_owned) {
            Some(id) => assert!(answers.insert(id.clone(), answered["response"].take()).is_none(), "{id} twice"),
            None => {
                let error = &answered["error"];
                wrong.push((error["code"].as_str().expect("a code").into(), error["line"].as_u64().expect("a line")));
            }
        }
    }
    (answers, wrong)
}

/// What an answer says, or the code of its error.
fn told(response: &Value) -> &str {
    let places = ["/body/choices/0/message/content", "/body/choices/0/text", "/body/error/code"];
    let text = places.iter().find_map(|place| response.pointer(place));
    text.and_then(Value::as_str).unwrap_or_else(|| panic!("{response}"))
}

/// A batch of pictures and texts, with lines that are no requests and requests that are refused.
fn write(folder: &Path) {
    const CHAT: &str = "/v1/chat/completions";
    for scene in 1..=3 {
        let name = format!("scene-0{scene}.png");
        fs::copy(Path::new("www/models/demo/gallery").join(&name), folder.join(name)).expect("a picture");
    }
    let mut lines: Vec<String> =
        (1..=3).map(|scene| request(&format!("scene {scene}"), CHAT, &about(&format!("scene-0{scene}.png")))).collect();
    lines.push("no JSON".into());
    lines.push(request("scene 1", CHAT, &about("scene-02.png")));
    lines.push(request("missing", CHAT, &about("nothing.png")));
    lines.push(request("stream", CHAT, &json!({"messages": [{"role": "user", "content": "Hello"}], "stream": true})));
    lines.push(request("unknown", "/v1/embeddings", &json!({"input": "Hello"})));
    for index in 0..20 {
        let prompt = format!("Number {index}");
        lines.push(request(
            &format!("text {index}"),
            "/v1/completions",
            &json!({"prompt": prompt, "temperature": 0, "max_tokens": 24}),
        ));
    }
    fs::write(folder.join("in.jsonl"), lines.join("\n")).expect("a file");
}

#[test]
fn a_batch_that_is_killed_at_any_point_answers_every_request_exactly_once() {
    let (whole, killed) = (folder("whole"), folder("killed"));
    write(&whole);
    write(&killed);
    let output = run(&whole);
    assert!(output.status.success(), "{}", said(&output));
    let (expected, wrong) = answers(&whole);
    assert_eq!(wrong, [("invalid_json_line".into(), 4), ("duplicate_custom_id".into(), 5)]);
    assert_eq!(expected.len(), 26);
    assert_eq!(told(&expected["scene 1"]), "An orange circle above the purple word \"SEA\" on a gray background.");
    let codes = ["missing", "stream", "unknown"].map(|id| (told(&expected[id]), expected[id]["status_code"].as_u64()));
    assert_eq!(codes, [("invalid_value", Some(400)), ("invalid_value", Some(400)), ("unknown_url", Some(404))]);

    let path = killed.join("out.jsonl");
    let lines = || fs::read_to_string(&path).map_or(0, |text| text.matches('\n').count());
    let mut kills = 0;
    loop {
        let (mut child, begun) = (command(&killed).spawn().expect("the command"), lines());
        // Some milliseconds after the first answer of each run, or the second if that is quicker.
        while lines() == begun && child.try_wait().expect("a state").is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(kills * 7 % 30));
        let has_ended = child.try_wait().expect("a state").is_some();
        let _ = child.kill();
        child.wait().expect("its end");
        if has_ended {
            break;
        }
        kills += 1;
        // As a kill within a write leaves it.
        let text = fs::read_to_string(&path).expect("answers");
        fs::write(&path, format!("{text}{{\"id\": \"batch_req")).expect("a file");
    }
    assert!(kills >= 3, "{kills}");
    let output = run(&killed);
    assert!(output.status.success(), "{}", said(&output));
    let (got, wrong_too) = answers(&killed);
    assert_eq!(wrong_too, wrong, "each is reported once");
    assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (id, response) in &got {
        assert_eq!(told(response), told(&expected[id]), "{id}");
    }
    let again = run(&killed);
    assert!(said(&again).contains("26 requests: 26 answered before, 0 now, 0 refused"), "{}", said(&again));
    assert!(!said(&again).contains("loaded"), "there is nothing to load a model for: {}", said(&again));
}

#[test]
fn answers_of_something_else_are_left_alone() {
    let folder = folder("other");
    write(&folder);
    for other in
        ["my diary\n", "{\"id\": \"a\", \"custom_id\": \"of another batch\", \"response\": null, \"error\": null}\n"]
    {
        fs::write(folder.join("out.jsonl"), other).expect("a file");
        let output = run(&folder);
        assert!(!output.status.success() && said(&output).starts_with("error[invalid-request]"), "{}", said(&output));
        assert_eq!(fs::read_to_string(folder.join("out.jsonl")).expect("the file"), other);
    }
}

/// A folder of pictures as a batch: killed once, it goes on, and each picture is described once, as it is alone.
#[test]
fn pictures_that_are_described_to_a_file_are_described_once() {
    let folder = folder("described");
    for scene in 1..=6 {
        let name = format!("scene-0{scene}.png");
        fs::copy(Path::new("www/models/demo/gallery").join(&name), folder.join(name)).expect("a picture");
    }
    fs::write(folder.join("broken.png"), "no picture").expect("a file");
    let out = folder.join("out.jsonl");
    let describe = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
        command.args(["describe", "www/models/demo"]).arg(&folder).args(["--max-tokens", "30", "--out"]).arg(&out);
        command.stderr(Stdio::piped());
        command
    };
    let lines = || fs::read_to_string(&out).map_or(0, |text| text.matches('\n').count());
    let mut child = describe().spawn().expect("the command");
    while lines() == 0 && child.try_wait().expect("a state").is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = child.kill();
    child.wait().expect("its end");
    let output = describe().output().expect("the command");
    assert!(output.status.success(), "{}", said(&output));
    let (answers, wrong) = answers(&folder);
    let path = |name: &str| folder.join(name).display().to_string();
    assert_eq!((answers.len(), wrong), (7, Vec::new()), "{answers:?}");
    let sea = "An orange circle above the purple word \"SEA\" on a gray background.";
    assert_eq!(told(&answers[&path("scene-01.png")]), sea);
    assert_eq!(told(&answers[&path("broken.png")]), "image_parse_error");
    assert!(said(&describe().output().expect("the command")).contains("7 requests: 7 answered before"));
}
