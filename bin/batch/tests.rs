//! A batch whose requests run out of memory.

use std::ffi::OsString;
use std::fs;

use clap::Parser;
use serde_json::{Value, json};

use super::*;

#[derive(Parser)]
struct Memory {
    #[command(flatten)]
    args: MemoryArgs,
}

#[test]
fn requests_that_run_out_of_memory_are_answered_again_one_at_a_time() {
    let package = PackagePath::from(OsString::from("www/models/demo"));
    let Memory { args } = Memory::parse_from(["test", "--device", "cpu", "--threads", "1"]);
    let engine = pollster::block_on(open::engine(&package, Some(256), &args)).expect("an engine");
    let folder = std::env::temp_dir().join(format!("ocelli-batch-{}", api::random_name()));
    fs::create_dir(&folder).expect("a folder");
    let output = folder.join("out.jsonl");
    let line = |id: &str| {
        json!({"custom_id": id, "method": "POST", "url": "/v1/completions", "body": {"prompt": "Hello", "max_tokens": 2}})
            .to_string()
    };
    let input = ["a", "b", "c"].map(line).join("\n");
    let (mut answers, mut tally) = (Answers::open(&output).expect("a file"), Tally::default());
    let (failed, retries) = (None, Retries::default());
    let progress = Progress { answers: &mut answers, tally: &mut tally, bar: ProgressBar::hidden(), failed, retries };
    let progress = Rc::new(RefCell::new(progress));
    let mut lines = Lines {
        requests: Requests::new(input.as_bytes()),
        name: "in.jsonl",
        service: NameArgs::default().service(&engine, &package),
        pictures: PictureFolder { base: &folder, any_path: false },
        encoder: engine.encoder().clone(),
        formats: Formats::new(&engine),
        most: usize::MAX,
        accounts: None,
        attempts: Attempts::open(&output),
        progress: progress.clone(),
    };
    let full = || {
        let [what, purpose, detail] = [(); 3].map(|()| String::new());
        Err(Error::OutOfMemory { what, purpose, bytes: 1, in_use: 1, detail })
    };
    // None of the three has enough memory beside the others.
    let together: Vec<_> = (0..3).map(|open| lines.next(open).expect("a request")).collect();
    assert!(lines.next(3).is_none());
    for (number, submission) in together.into_iter().enumerate() {
        submission.client.end(full());
        assert!(number == 2 || lines.next(2 - number).is_none(), "others are still being answered");
    }
    // Alone, the first one still has not.
    for outcome in [full(), Ok("{}".into()), Ok("{}".into())] {
        let alone = lines.next(0).expect("a request");
        assert!(lines.next(1).is_none(), "it is not alone");
        alone.client.end(outcome);
    }
    assert!(lines.next(0).is_none());
    assert_eq!(progress.borrow().failed, None, "the batch does not end");
    drop((lines, progress));
    let text = fs::read_to_string(&output).expect("answers");
    let status = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        (line["custom_id"].as_str().expect("an id").to_owned(), line["response"]["status_code"].clone())
    };
    let wanted = [("a", 503), ("b", 200), ("c", 200)].map(|(id, status)| (id.to_owned(), json!(status)));
    assert_eq!(text.lines().map(status).collect::<Vec<_>>(), wanted);
    fs::remove_dir_all(&folder).expect("the folder");
}
