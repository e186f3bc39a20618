//! `ocelli batch` and `ocelli pull`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Record, folder, ocelli, said, told};

const REQUESTS: usize = 12;

fn batch(root: &Path) -> Vec<String> {
    let below = |name: &str| root.join(name).to_str().expect("text").to_owned();
    let [requests, answers, usage] = ["in.jsonl", "answers/out.jsonl", "usage"].map(below);
    let fixed = ["--package", "www/models/demo", "--device", "cpu", "--threads", "1", "--usage"].map(str::to_owned);
    ["batch".into(), requests, answers].into_iter().chain(fixed).chain([usage]).collect()
}

#[test]
fn a_batch_resumes_after_a_power_failure() {
    let folder = folder("batch");
    let root = folder.join("root");
    fs::create_dir(root.join("answers")).expect("a folder");
    let line = |index: usize| {
        let body = json!({"prompt": format!("Number {index}"), "temperature": 0, "max_tokens": 6});
        json!({"custom_id": index.to_string(), "method": "POST", "url": "/v1/completions", "body": body}).to_string()
    };
    fs::write(root.join("in.jsonl"), (0..REQUESTS).map(line).collect::<Vec<_>>().join("\n")).expect("a file");
    let record = Record::begin(&folder);
    let output = record.command(batch(&root)).output().expect("the command");
    assert!(output.status.success(), "{}", said(&output));
    record.tell(&json!({"ended": true}));
    record.check(|root, before| {
        let output = ocelli(root, batch(root)).output().expect("the command");
        assert!(output.status.success(), "{}", said(&output));
        let has_ended = told(before, "ended").next().is_some();
        assert!(!has_ended || said(&output).contains("12 answered before, 0 now"), "{}", said(&output));
        let text = fs::read_to_string(root.join("answers/out.jsonl")).expect("answers");
        let id = |line: &str| {
            let answer: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(answer["response"]["status_code"], 200, "{line}");
            answer["custom_id"].as_str().expect("an id").to_owned()
        };
        let ids: BTreeSet<String> = text.lines().map(id).collect();
        assert_eq!((ids.len(), text.lines().count()), (REQUESTS, REQUESTS), "{text}");
    });
}

/// Serves the files of a folder, whose connections end after a megabyte.
fn serve(root: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Errors of connections that the client closes are ignored.
            drop(answer(&stream, &root));
        }
    });
    address
}

fn answer(mut stream: &TcpStream, root: &Path) -> std::io::Result<()> {
    let lines: Vec<String> =
        BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let Ok(bytes) = fs::read(root.join(path.trim_start_matches('/'))) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    };
    let range = lines.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let start: usize = range.and_then(|range| range.trim_end_matches('-').parse().ok()).unwrap_or(0);
    let (status, total) = (if start > 0 { "206 Partial Content" } else { "200 OK" }, bytes.len());
    let range = format!("content-range: bytes {start}-{}/{total}\r\n", total.saturating_sub(1));
    let range = if start > 0 { range.as_str() } else { "" };
    let length = total - start;
    write!(
        stream,
        "HTTP/1.1 {status}\r\netag: \"{total}\"\r\n{range}content-length: {length}\r\nconnection: close\r\n\r\n"
    )?;
    stream.write_all(&bytes[start..total.min(start + (1 << 20))])
}

/// The manifest of the pulled package, all of whose files are right; `None` if there is no package.
fn pulled(root: &Path) -> Option<Vec<u8>> {
    let manifest = fs::read(root.join("ocelli/models/tiny/model.json")).ok()?;
    let output = ocelli(root, ["inspect", "tiny", "--verify"]).output().expect("the command");
    assert!(output.status.success(), "{}", said(&output));
    Some(manifest)
}

#[test]
fn a_pulled_model_and_the_one_before_it_survive_a_power_failure() {
    let folder = folder("pull");
    let second = folder.join("second");
    let checkpoint = "tests/fixtures/checkpoints/untied";
    let args = ["pack", checkpoint, "--quant", "q8_0", "--out", second.to_str().expect("text")];
    let packed = ocelli(&folder, args).output().expect("the command");
    assert!(packed.status.success(), "{}", said(&packed));
    let sources = [PathBuf::from("www/models/demo"), second];
    let manifests = sources.clone().map(|source| fs::read(source.join("model.json")).expect("a manifest"));
    let addresses = sources.map(serve);
    let pull = |index: usize| ["pull", &addresses[index], "--name", "tiny", "--force"];
    let record = Record::begin(&folder);
    for index in [0, 1] {
        record.tell(&json!({"begun": index}));
        let output = record.command(pull(index)).output().expect("the command");
        assert!(output.status.success(), "{}", said(&output));
        record.tell(&json!({"pulled": index}));
    }
    record.check(|root, before| {
        let last = |name| told(before, name).last().and_then(Value::as_u64).map(|index| index as usize);
        let may_be = [last("pulled"), last("begun")].map(|index| index.map(|index| &manifests[index]));
        let is_needed = last("pulled").is_some();
        match pulled(root) {
            Some(manifest) => assert!(may_be.contains(&Some(&manifest))),
            None => assert!(!is_needed, "the package is lost"),
        }
        for (index, manifest) in manifests.iter().enumerate() {
            let output = ocelli(root, pull(index)).output().expect("the command");
            assert!(output.status.success(), "{}", said(&output));
            assert_eq!(pulled(root).as_ref(), Some(manifest));
        }
    });
}
