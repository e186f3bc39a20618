//! `ocelli batch`: every request is answered exactly once, however often the command is killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use ocelli::kernels::cases::Random;
use serde_json::{Value, json};

/// An empty folder for a test.
pub(super) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("batch").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

pub(super) fn command(folder: &Path) -> Command {
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

pub(super) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(super) fn request(id: &str, url: &str, body: &Value) -> String {
    json!({"custom_id": id, "method": "POST", "url": url, "body": body}).to_string()
}

/// A question about a picture in the folder of the requests.
fn about(picture: &str) -> Value {
    let content =
        json!([{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": "Describe this image."}]);
    json!({"messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": 30})
}

/// The answers by id, and the wrong lines that are reported.
pub(super) fn answers(folder: &Path) -> (BTreeMap<String, Value>, Vec<(String, u64)>) {
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

/// The text of an answer, or the code of its error.
pub(super) fn told(response: &Value) -> &str {
    let places = ["/body/choices/0/message/content", "/body/choices/0/text", "/body/error/code"];
    let text = places.iter().find_map(|place| response.pointer(place));
    text.and_then(Value::as_str).unwrap_or_else(|| panic!("{response}"))
}

/// Removes the notes of requests that are being prepared, if two kills came by chance during the same one: it would be passed over.
fn forget_attempts(folder: &Path) {
    let notes = folder.join("out.jsonl.attempt");
    if fs::read_to_string(&notes).is_ok_and(|notes| notes.contains("\":2")) {
        fs::remove_file(notes).expect("it was there");
    }
}

/// Texts in the batch of [`write`].
const TEXTS: usize = 60;

/// Writes a batch of pictures and texts, with invalid lines and requests that are refused.
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
    lines.push(request("unknown", "/v1/nowhere", &json!({"input": "Hello"})));
    // So many and so long that a run is not over some milliseconds after its first answer.
    for index in 0..TEXTS {
        let body =
            json!({"prompt": format!("Number {index}"), "temperature": 0, "max_tokens": 60, "logit_bias": {"2": -100}});
        lines.push(request(&format!("text {index}"), "/v1/completions", &body));
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
    assert_eq!(expected.len(), 6 + TEXTS);
    assert_eq!(told(&expected["scene 1"]), "An orange circle above the purple word \"SEA\" on a gray background.");
    let codes = ["missing", "stream", "unknown"].map(|id| (told(&expected[id]), expected[id]["status_code"].as_u64()));
    assert_eq!(codes, [("invalid_value", Some(400)), ("invalid_value", Some(400)), ("unknown_url", Some(404))]);

    #[cfg(unix)]
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(whole.join("out.jsonl")).expect("answers"));
    #[cfg(unix)]
    assert_eq!(mode & 0o777, 0o600, "others may not read the answers");
    let path = killed.join("out.jsonl");
    let lines = || fs::read_to_string(&path).map_or(0, |text| text.matches('\n').count());
    let mut kills = 0;
    while kills < 6 {
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
        forget_attempts(&killed);
        // A write that was interrupted by a kill.
        let text = fs::read_to_string(&path).expect("answers");
        fs::write(&path, format!("{text}{{\"id\":\"batch_req")).expect("a file");
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
    let all = expected.len();
    let summary = format!("{all} requests: {all} answered before, 0 now, 0 refused");
    assert!(said(&again).contains(&summary), "{}", said(&again));
    assert!(!said(&again).contains("loaded"), "there is nothing to load a model for: {}", said(&again));
}

/// Tokens that the answers report.
fn spent(answers: &BTreeMap<String, Value>) -> u64 {
    answers.values().filter_map(|response| response.pointer("/body/usage/total_tokens")?.as_u64()).sum()
}

#[test]
fn a_batch_takes_no_more_than_its_budget_however_often_it_is_killed() {
    let folder = folder("budget");
    let body = |index: usize| json!({"prompt": format!("Number {index}"), "temperature": 0, "max_tokens": 24});
    let lines: Vec<String> =
        (0..20).map(|index| request(&index.to_string(), "/v1/completions", &body(index))).collect();
    fs::write(folder.join("in.jsonl"), lines.join("\n")).expect("a file");
    let budgeted = || {
        let mut command = command(&folder);
        command.args(["--batch-tokens", "60", "--usage"]).arg(folder.join("usage"));
        command
    };
    let path = folder.join("out.jsonl");
    let lines = || fs::read_to_string(&path).map_or(0, |text| text.matches('\n').count());
    for kill in 0..3 {
        let (mut child, begun) = (budgeted().spawn().expect("the command"), lines());
        while lines() == begun && child.try_wait().expect("a state").is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(kill * 5));
        let _ = child.kill();
        child.wait().expect("its end");
    }
    let output = budgeted().output().expect("the command");
    assert!(output.status.success(), "{}", said(&output));
    let (answers, _) = answers(&folder);
    assert_eq!(answers.len(), 20, "each has its line");
    let (right, refused): (BTreeMap<_, _>, BTreeMap<_, _>) =
        answers.into_iter().partition(|(_, response)| response["status_code"] == 200);
    // Up to eight are answered at once.
    assert!((50..=60 + 7).contains(&spent(&right)), "{}", spent(&right));
    assert!(!refused.is_empty());
    for response in refused.values() {
        assert_eq!((told(response), &response["body"]["error"]["detail"]["limit"]), ("budget_exceeded", &json!(60)));
    }
    // A larger budget does not repeat answered requests.
    let again = run(&folder);
    assert!(said(&again).contains("20 requests: 20 answered before"), "{}", said(&again));
    let mut csv = Command::new(env!("CARGO_BIN_EXE_ocelli"));
    let csv = csv.arg("usage").arg(folder.join("usage")).arg("--csv").output().expect("the command");
    let csv = String::from_utf8(csv.stdout).expect("text");
    assert!(csv.lines().nth(1).is_some_and(|line| line.contains(",\"\",")), "{csv}");
}

/// A plain shape on a plain ground, different for each number.
fn scene(number: u32) -> image::RgbImage {
    let colour = |seed: u32| {
        let mixed = (seed + 1).wrapping_mul(0x9e37_79b9);
        image::Rgb([(mixed >> 8) as u8, (mixed >> 16) as u8, (mixed >> 24) as u8])
    };
    let (ground, shape, side) = (colour(2 * number), colour(2 * number + 1), 6 + number % 10);
    let is_inside = |x: u32, y: u32| match number % 2 {
        0 => x.abs_diff(16) < side && y.abs_diff(16) < side,
        _ => x.abs_diff(16).pow(2) + y.abs_diff(16).pow(2) < side * side,
    };
    image::RgbImage::from_fn(32, 32, |x, y| if is_inside(x, y) { shape } else { ground })
}

#[test]
fn an_album_of_400_scenes_that_is_killed_at_20_points_is_described_once() {
    const SCENES: u32 = 400;
    let folder = folder("album");
    for number in 0..SCENES {
        scene(number).save(folder.join(format!("scene-{number:03}.png"))).expect("a picture");
    }
    let out = folder.join("out.jsonl");
    let describe = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ocelli"));
        command.args(["describe", "www/models/demo"]).arg(&folder).args(["--max-tokens", "2", "--out"]).arg(&out);
        command.stderr(Stdio::piped());
        command
    };
    let lines = || fs::read_to_string(&out).map_or(0, |text| text.matches('\n').count());
    // 0 to 7 answers after the start, and some milliseconds more.
    let mut random = Random::new(20);
    let (mut kills, mut runs) = (0, 0);
    while kills < 20 {
        runs += 1;
        assert!(runs < 40, "only {kills} of {runs} runs were killed before their end");
        let before = fs::read(&out).unwrap_or_default();
        let (mut child, begun) = (describe().spawn().expect("the command"), lines());
        let more = (random.bits() % 8) as usize;
        while lines() < begun + more && child.try_wait().expect("a state").is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(u64::from(random.bits() % if more == 0 { 80 } else { 15 })));
        // On a busy machine a run can end before this process is scheduled: its answers are removed, and the kill is made again.
        if let Some(end) = child.try_wait().expect("a state") {
            assert!(end.success(), "{end}");
            fs::write(&out, before).expect("a file");
            continue;
        }
        child.kill().expect("a signal");
        child.wait().expect("its end");
        kills += 1;
        forget_attempts(&folder);
    }
    let before = lines();
    let output = describe().output().expect("the command");
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains(&format!("{SCENES} requests: {before} answered before")), "{}", said(&output));
    let (answers, wrong) = answers(&folder);
    let paths: Vec<String> =
        (0..SCENES).map(|number| folder.join(format!("scene-{number:03}.png")).display().to_string()).collect();
    assert_eq!((answers.keys().collect::<Vec<_>>(), wrong), (paths.iter().collect(), Vec::new()));
    assert!(answers.values().all(|response| response["status_code"] == 200));
}

#[test]
fn answers_of_something_else_are_left_alone() {
    let folder = folder("other");
    write(&folder);
    for other in [
        "my diary\n",
        "{\"id\": \"a\", \"custom_id\": \"of another batch\", \"response\": null, \"error\": null}\n",
        "no line break",
        "{\"custom_id\": \"a minified file\"}",
        "{\"id\":\"batch_req_1\",\"custom_id\":\"whole\",\"response\":null,\"error\":null}",
    ] {
        fs::write(folder.join("out.jsonl"), other).expect("a file");
        let output = run(&folder);
        assert!(!output.status.success() && said(&output).starts_with("error[invalid-request]"), "{}", said(&output));
        assert_eq!(fs::read_to_string(folder.join("out.jsonl")).expect("the file"), other);
    }
}

#[test]
fn the_requests_are_not_the_answers() {
    let folder = folder("same");
    let line = request("a", "/v1/completions", &json!({"prompt": "One", "max_tokens": 1}));
    fs::write(folder.join("in.jsonl"), &line).expect("a file");
    fs::hard_link(folder.join("in.jsonl"), folder.join("out.jsonl")).expect("a link");
    let output = run(&folder);
    assert!(said(&output).starts_with("error[invalid-request]: output: is the file"), "{}", said(&output));
    assert_eq!(fs::read_to_string(folder.join("in.jsonl")).expect("the file"), line);
}

#[test]
fn pictures_of_a_batch_are_files_in_its_folder() {
    let outside = folder("outside");
    let scene = Path::new("www/models/demo/gallery/scene-01.png");
    let folder = folder("inside");
    for place in [outside.join("b.png"), folder.join("a b.png")] {
        fs::copy(scene, place).expect("a picture");
    }
    fs::write(folder.join("large.png"), vec![0; (64 << 20) + 1]).expect("a file");
    let shown = |path: &Path| path.display().to_string();
    let pictures = [
        ("beside", "a b.png".to_owned()),
        ("encoded", format!("file://{}/a%20b.png", shown(&folder.canonicalize().expect("a path")))),
        ("outside", shown(&outside.join("b.png"))),
        ("above", "../outside/b.png".to_owned()),
        ("folder", ".".to_owned()),
        ("large", "large.png".to_owned()),
        ("device", "/dev/zero".to_owned()),
    ];
    let lines = pictures.map(|(id, picture)| request(id, "/v1/chat/completions", &about(&picture)));
    fs::write(folder.join("in.jsonl"), lines.join("\n")).expect("a file");
    let refused = |more: &[&str]| {
        let _ = fs::remove_file(folder.join("out.jsonl"));
        let output = command(&folder).args(more).output().expect("the command");
        assert!(output.status.success(), "{}", said(&output));
        let (answers, _) = answers(&folder);
        let refused = answers.into_iter().filter(|(_, response)| response["status_code"] == 400);
        refused.map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(refused(&[]), ["above", "device", "folder", "large", "outside"]);
    assert_eq!(refused(&["--any-path"]), ["device", "folder", "large"]);
}

#[test]
fn a_line_that_ends_two_processes_is_passed_over() {
    let folder = folder("attempt");
    // It takes a while to decode.
    image::GrayImage::new(9000, 9000).save(folder.join("large.png")).expect("a picture");
    let text = |id: &str| request(id, "/v1/completions", &json!({"prompt": "One", "temperature": 0, "max_tokens": 2}));
    let large = request("large", "/v1/chat/completions", &about("large.png"));
    fs::write(folder.join("in.jsonl"), [text("first"), large, text("last")].join("\n")).expect("a file");
    let notes = folder.join("out.jsonl.attempt");
    for end in 1..=2 {
        let mut child = command(&folder).spawn().expect("the command");
        while !fs::read_to_string(&notes).is_ok_and(|notes| notes.contains(&format!("\"large\":{end}"))) {
            assert!(child.try_wait().expect("a state").is_none(), "it ended before");
            std::thread::sleep(Duration::from_millis(1));
        }
        // The system does this if there is no memory.
        child.kill().expect("a signal");
        child.wait().expect("its end");
    }
    let output = run(&folder);
    assert!(output.status.success(), "{}", said(&output));
    let (answers, _) = answers(&folder);
    let right = |id: &str| answers[id]["status_code"] == 200;
    assert!(right("first") && right("last"), "{answers:?}");
    assert_eq!(answers["large"]["status_code"], 500);
    let message = answers["large"]["body"]["error"]["message"].as_str().expect("a message");
    assert!(message.contains("2 processes ended while they prepared this request"), "{message}");
    assert!(!notes.exists());
}

/// A folder of pictures as a batch: after a kill it resumes, and each picture is described once, with the same text as alone.
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
