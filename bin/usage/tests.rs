//! Usage in a folder over days, restarts, parallel requests and aborted answers, with a test clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use ocelli::api::{Asker, Limit};
use ocelli::usage::{Counts, Limits, Sums};
use serde_json::{Value, json};

use super::{Accounts, folder, open, report};

/// The test clock, in seconds since 1970.
static NOW: AtomicU64 = AtomicU64::new(0);

/// The body of an answer.
fn body(prompt: u64, cached: u64, completion: u64) -> String {
    json!({"usage": {"prompt_tokens": prompt, "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": cached}, "ocelli": {"prefill_ms": 1.0}}})
    .to_string()
}

#[test]
fn a_budget_is_one_for_all_requests_of_a_key_and_starts_anew_with_the_day() {
    const MORNING: u64 = 1_795_435_200;
    let path = std::env::temp_dir().join(format!("ocelli-accounts-{}", crate::shared::api::random_name()));
    let clock = || NOW.load(Ordering::SeqCst);
    NOW.store(MORNING, Ordering::SeqCst);
    let limits = Limits { key: Limit { tokens: Some(100), seconds: None }, ..Limits::default() };
    let open = || open(limits, Some(&path), clock);
    let bill =
        |accounts: &Accounts, user: &str| accounts.bill(&Asker { key: user.to_owned(), ..Asker::default() }, "", None);

    let accounts = open().expect("accounts");
    let busy = open().err().expect("it is taken");
    assert!(busy.to_string().contains("another process"), "{busy}");
    // Parallel requests share a meter.
    let (mut one, mut two) = (bill(&accounts, "ann").expect("a bill"), bill(&accounts, "ann").expect("a bill"));
    let first = one.admit(20).expect("it fits");
    assert_eq!(first[1].left(), 80);
    let second = two.admit(60).expect("it fits");
    assert_eq!((first[1].left(), second[1].left()), (20, 20));
    assert!(bill(&accounts, "ann").expect("a bill").admit(20).is_err(), "no token left after the prompt");
    first.iter().for_each(|meter| meter.spend(15, 500.0));
    assert_eq!(second[1].left(), 5);
    one.close(&Counts::of_outcome(&Ok(body(20, 7, 15))));
    // Aborted.
    second.iter().for_each(|meter| meter.spend(5, 250.0));
    drop(two);
    let refused = bill(&accounts, "ann").err().expect("nothing is left");
    assert_eq!(json!(refused)["spent"], 100);
    assert!(bill(&accounts, "bob").is_ok(), "another key");
    let row = |key: &str, accounts: &Accounts| {
        let report: Value = serde_json::from_str(&report(&accounts.sums())).expect("JSON");
        report["data"].as_array().expect("rows").iter().find(|row| row["key"] == key).cloned().expect("a row")
    };
    let wanted = json!({"day": "2026-11-23", "key": "ann", "requests": 2, "prompt_tokens": 80, "cached_tokens": 7,
        "completion_tokens": 20, "seconds": 0.75, "refusals": 2});
    assert_eq!(row("ann", &accounts), wanted);

    // The process is killed without any destructor, and leaves half a line.
    let (stored, waiting) = channel();
    accounts.when_stored(Box::new(move || stored.send(()).expect("a receiver")));
    waiting.recv().expect("it is stored");
    let file = path.join("2026-11-23.jsonl");
    let text = std::fs::read_to_string(&file).expect("the file of the day");
    drop(accounts);
    std::fs::write(&file, text + "{\"day\": \"2026-11-23\", \"key\": \"an").expect("a file");
    let accounts = open().expect("accounts");
    assert!(bill(&accounts, "ann").is_err(), "what was taken before counts");
    NOW.store(MORNING + 86_400, Ordering::SeqCst);
    let mut tomorrow = bill(&accounts, "ann").expect("a new day");
    assert_eq!(tomorrow.admit(30).expect("it fits")[1].left(), 70);
    // A request that ends on the next day counts for the day it began.
    NOW.store(MORNING + 2 * 86_400, Ordering::SeqCst);
    tomorrow.close(&Counts::of_outcome(&Ok(body(30, 0, 0))));
    drop(accounts);
    let stored = folder::read(&path).expect("a folder");
    assert_eq!(stored.damaged_lines, 1);
    let days: Vec<&str> = stored.lines().map(|(day, _)| day).collect();
    assert_eq!(days, ["2026-11-23", "2026-11-24"]);
    let mut whole = Sums::default();
    assert_eq!(whole.read(&std::fs::read(&file).expect("the file")).len(), 1);
    let refusals = whole.get("2026-11-23", "ann").refusals;
    assert_eq!(refusals, 2, "the torn line is alone; what was refused within the same second was not written yet");
    std::fs::remove_dir_all(&path).expect("a folder");
}

/// A folder in place of the file stands for a full disk.
#[test]
fn usage_that_could_not_be_written_is_written_later() {
    let path = std::env::temp_dir().join(format!("ocelli-unwritten-{}", crate::shared::api::random_name()));
    let accounts = open(Limits::default(), Some(&path), || 1_795_435_200).expect("accounts");
    let use_tokens = |tokens| {
        let mut bill = accounts.bill(&Asker { key: "ann".to_owned(), ..Asker::default() }, "", None).expect("a bill");
        bill.admit(tokens).expect("it fits");
        bill.close(&Counts::of_outcome(&Ok(body(tokens as u64, 0, 0))));
        let (stored, waiting) = channel();
        accounts.when_stored(Box::new(move || stored.send(()).expect("a receiver")));
        waiting.recv().expect("the end of an attempt");
    };
    let file = path.join("2026-11-23.jsonl");
    std::fs::create_dir(&file).expect("a folder");
    use_tokens(5);
    std::fs::remove_dir(&file).expect("a folder");
    use_tokens(7);
    drop(accounts);
    let counts = folder::read(&path).expect("a folder").get("2026-11-23", "ann");
    assert_eq!((counts.requests, counts.prompt_tokens), (2, 12));
    std::fs::remove_dir_all(&path).expect("a folder");
}
