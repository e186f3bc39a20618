//! The cases of `tests/fixtures/budgets.json`, which are shared with pages, and accounts with a test clock.

use std::sync::atomic::{AtomicU64, Ordering};

use ocelli::api::{Asker, Limit};
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::Accounts;
use super::ledger::Kept;
use super::rules::{Budget, admit, day};
use super::{Used, ledger, reply, report};

fn cases() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/budgets.json");
    serde_json::from_slice(&std::fs::read(path).expect("a fixture")).expect("JSON")
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

#[test]
fn days_are_those_of_utc() {
    for case in list(&cases()["days"]) {
        assert_eq!(day(number(&case[0])), case[1].as_str().expect("a day"));
    }
}

#[test]
fn who_asks_and_how_much_a_request_allows_itself() {
    for case in list(&cases()["askers"]) {
        match Asker::of_request(&case["request"]) {
            Ok(Asker { key, limit, .. }) => {
                let key = if key.is_empty() { case["caller"].as_str().expect("a name").to_owned() } else { key };
                let wanted = Limit::deserialize(&case["limit"]).expect("a limit");
                assert_eq!((key.as_str(), limit), (case["key"].as_str().expect("a key"), wanted), "{case}");
            }
            Err(error) => assert_eq!(json!(error)["field"], case["refused"], "{case}"),
        }
    }
}

#[test]
fn what_is_allowed_and_what_is_refused_with_which_numbers() {
    let cases = cases();
    for case in list(&cases["admissions"]) {
        let budgets = Vec::<Budget>::deserialize(&case["budgets"]).expect("budgets");
        let prompt_tokens = number(&case["prompt_tokens"]);
        match admit(&budgets, prompt_tokens, number(&cases["now"])) {
            Ok(()) => {
                let left = |Budget { limit, spent, .. }: &Budget| Limit {
                    tokens: limit.tokens.map(|most| most - spent.tokens - prompt_tokens),
                    seconds: limit.seconds.map(|most| most - spent.seconds),
                };
                let left = budgets.iter().map(left).reduce(Limit::and).expect("a budget");
                assert_eq!(left, Limit::deserialize(&case["left"]).expect("a limit"), "{case}");
            }
            Err(error) => {
                assert_eq!((json!(error), error.to_string()), (case["refused"].clone(), told(&case["message"])));
                let reply = reply(&error);
                let body: Value = serde_json::from_str(&reply.body).expect("JSON");
                assert_eq!((reply.status, reply.may_retry), (429, Some(false)));
                assert_eq!(
                    (&body["error"]["code"], &body["error"]["detail"]),
                    (&json!("budget_exceeded"), &case["refused"])
                );
            }
        }
    }
}

fn told(text: &Value) -> String {
    text.as_str().expect("text").to_owned()
}

#[test]
fn ledgers_are_read_line_by_line_and_told_as_json_and_csv() {
    for case in list(&cases()["ledgers"]) {
        let mut kept = Kept::default();
        let damaged = kept.read(told(&case["text"]).as_bytes());
        assert_eq!(json!(damaged), case["damaged"], "{case}");
        let told_json = report::json(&kept);
        assert_eq!((&told_json["data"], &told_json["damaged_lines"]), (&case["rows"], &json!(damaged.len())), "{case}");
        assert_eq!(report::csv(&kept), told(&case["csv"]), "{case}");
    }
}

/// The test clock, in seconds since 1970.
static NOW: AtomicU64 = AtomicU64::new(0);

/// The body of an answer.
fn body(prompt: u64, cached: u64, completion: u64) -> String {
    json!({"usage": {"prompt_tokens": prompt, "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": cached}, "ocelli": {"prefill_ms": 1.0}}})
    .to_string()
}

/// Usage over days, restarts, parallel requests and aborted answers.
#[test]
fn a_budget_is_one_for_all_requests_of_a_key_and_starts_anew_with_the_day() {
    const MORNING: u64 = 1_795_435_200;
    let folder = std::env::temp_dir().join(format!("ocelli-accounts-{}", crate::shared::api::random_name()));
    let clock = || NOW.load(Ordering::SeqCst);
    NOW.store(MORNING, Ordering::SeqCst);
    let (none, of_a_key) = (Limit::default(), Limit { tokens: Some(100), seconds: None });
    let open = || Accounts::open((none, of_a_key, none), Some(&folder), clock).expect("accounts");
    let bill =
        |accounts: &Accounts, user: &str| accounts.bill(&Asker { key: user.to_owned(), ..Asker::default() }, "", None);

    let accounts = open();
    let busy = Accounts::open((none, of_a_key, none), Some(&folder), clock).err().expect("it is taken");
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
    one.close(&body(20, 7, 15));
    // Aborted.
    second.iter().for_each(|meter| meter.spend(5, 250.0));
    drop(two);
    let refused = bill(&accounts, "ann").err().expect("nothing is left");
    assert_eq!(json!(refused)["spent"], 100);
    assert!(bill(&accounts, "bob").is_ok(), "another key");
    let row = |key: &str, accounts: &Accounts| {
        let report: Value = serde_json::from_str(&accounts.json()).expect("JSON");
        list(&report["data"]).iter().find(|row| row["key"] == key).cloned().expect("a row")
    };
    let wanted = json!({"day": "2026-11-23", "key": "ann", "requests": 2, "prompt_tokens": 80, "cached_tokens": 7,
        "completion_tokens": 20, "seconds": 0.75, "refusals": 2});
    assert_eq!(row("ann", &accounts), wanted);

    // The process is killed without any destructor, and leaves half a line.
    let path = folder.join("2026-11-23.jsonl");
    let text = std::fs::read_to_string(&path).expect("the file of the day");
    drop(accounts);
    std::fs::write(&path, text + "{\"day\": \"2026-11-23\", \"key\": \"an").expect("a file");
    let accounts = open();
    assert!(bill(&accounts, "ann").is_err(), "what was taken before counts");
    NOW.store(MORNING + 86_400, Ordering::SeqCst);
    let mut tomorrow = bill(&accounts, "ann").expect("a new day");
    assert_eq!(tomorrow.admit(30).expect("it fits")[1].left(), 70);
    // A request that ends on the next day counts for the day it began.
    NOW.store(MORNING + 2 * 86_400, Ordering::SeqCst);
    tomorrow.close(&body(30, 0, 0));
    drop(accounts);
    let kept = ledger::read(&folder).expect("a folder");
    assert_eq!(kept.damaged_lines, 1);
    let days: Vec<&str> = kept.sums.keys().map(|(day, _)| day.as_str()).collect();
    assert_eq!(days, ["2026-11-23", "2026-11-24"]);
    let mut whole = Kept::default();
    assert_eq!(whole.read(&std::fs::read(&path).expect("the file")).len(), 1);
    let refusals: u64 = whole.sums.values().map(|counts| counts.refusals).sum();
    assert_eq!(refusals, 2, "the torn line is alone; what was refused within the same second was not written yet");
    std::fs::remove_dir_all(&folder).expect("a folder");
}

#[test]
fn what_answers_took_is_read_from_chats_and_responses() {
    let chat: Value = serde_json::from_str(&body(9, 3, 4)).expect("JSON");
    let response = json!({"usage": {"input_tokens": 9, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 3},
        "ocelli": {"prefill_ms": 1.0}}});
    let wanted = Used { prompt_tokens: 9, cached_tokens: 3, completion_tokens: 4, seconds: 1e-3 };
    assert_eq!((Used::of(&chat), Used::of(&response)), (wanted, wanted));
    assert_eq!(Used::of(&Value::Null), Used::default());
}
