//! The cases of `tests/fixtures/budgets.json`, and accounts that share meters and stored texts.

use serde::Deserialize;
use serde_json::{Value, json};

use super::rules::{Budget, admit, day};
use super::sums::MOST_KEYS;
use super::{Accounts, Bill, Counts, Limits, Sums};
use crate::api::{Asker, Limit, Reply};
use crate::error::Result;

/// The test clock, in seconds since 1970: noon of 2026-11-23.
const NOON: u64 = 1_795_435_200;
const TODAY: &str = "2026-11-23";

fn cases() -> Value {
    serde_json::from_str(include_str!("../../tests/fixtures/budgets.json")).expect("JSON")
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

#[test]
fn days_are_those_of_utc() {
    for case in list(&cases()["days"]) {
        assert_eq!(day(number(&case[0])), text(&case[1]));
    }
}

#[test]
fn key_and_limit_of_a_request() {
    for case in list(&cases()["askers"]) {
        match Asker::of_request(&case["request"]) {
            Ok(Asker { key, limit, .. }) => {
                let key = if key.is_empty() { text(&case["caller"]) } else { &key };
                let wanted = Limit::deserialize(&case["limit"]).expect("a limit");
                assert_eq!((key, limit), (text(&case["key"]), wanted), "{case}");
            }
            Err(error) => assert_eq!(json!(error)["field"], case["refused"], "{case}"),
        }
    }
}

#[test]
fn admissions_and_refusals_with_their_numbers() {
    let cases = cases();
    for case in list(&cases["admissions"]) {
        let budgets = Vec::<Budget>::deserialize(&case["budgets"]).expect("budgets");
        let prompt_tokens = number(&case["prompt_tokens"]);
        match admit(&budgets, prompt_tokens as usize, number(&cases["now"])) {
            Ok(()) => {
                let left = |Budget { limit, spent, .. }: &Budget| Limit {
                    tokens: limit.tokens.map(|most| most - spent.tokens - prompt_tokens),
                    seconds: limit.seconds.map(|most| most - spent.seconds),
                };
                let left = budgets.iter().map(left).reduce(Limit::and).expect("a budget");
                assert_eq!(left, Limit::deserialize(&case["left"]).expect("a limit"), "{case}");
            }
            Err(error) => {
                assert_eq!((json!(error), error.to_string()), (case["refused"].clone(), text(&case["message"]).into()));
                let reply = Reply::from(&error);
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

#[test]
fn stored_lines_are_summed_and_reported_as_json_and_csv() {
    for case in list(&cases()["ledgers"]) {
        let mut sums = Sums::default();
        let damaged = sums.read(text(&case["text"]).as_bytes());
        assert_eq!((json!(damaged), sums.damaged_lines), (case["damaged"].clone(), damaged.len()), "{case}");
        assert_eq!((json!(sums.report()), sums.csv()), (case["rows"].clone(), text(&case["csv"]).into()), "{case}");
        let mut again = Sums::default();
        let lines: String = sums.lines().map(|(_, line)| line).collect();
        assert_eq!((again.read(lines.as_bytes()), &again.rows), (Vec::new(), &sums.rows), "{case}");
    }
}

#[test]
fn usage_of_chats_and_responses() {
    let chat = json!({"usage": {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3},
        "ocelli": {"prefill_ms": 1.0}}});
    let response = json!({"usage": {"input_tokens": 9, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 3},
        "ocelli": {"prefill_ms": 1.0}}});
    let wanted =
        Counts { prompt_tokens: 9, cached_tokens: 3, completion_tokens: 4, seconds: 1e-3, ..Counts::default() };
    assert_eq!((Counts::of_answer(&chat), Counts::of_answer(&response)), (wanted, wanted));
    assert_eq!(Counts::of_answer(&Value::Null), Counts::default());
}

/// Accounts of a page with 100 tokens for each key.
fn page() -> Accounts<Sums> {
    let limits = Limits { key: Limit { tokens: Some(100), seconds: None }, ..Limits::default() };
    Accounts::new(limits, || NOON, Sums::default(), Sums::default())
}

fn bill(accounts: &Accounts<Sums>) -> Result<Bill<Sums>> {
    accounts.bill(&Asker { key: "ann".into(), ..Asker::default() }, "", None)
}

fn spent(error: &crate::Error) -> Value {
    json!(error)["spent"].clone()
}

#[test]
fn requests_of_a_key_share_what_is_left_token_by_token() {
    let accounts = page();
    let (mut one, mut two) = (bill(&accounts).expect("a bill"), bill(&accounts).expect("a bill"));
    let (first, second) = (one.admit(10).expect("admitted"), two.admit(20).expect("admitted"));
    for left in (0..70).rev() {
        let meters = if left % 2 == 0 { &first } else { &second };
        meters.iter().for_each(|meter| meter.spend(1, 0.5));
        assert_eq!((first[1].left(), second[1].left()), (left, left));
    }
    let refused = bill(&accounts).err().expect("nothing is left");
    assert_eq!(spent(&refused), 100);
    drop((first, second));
    let refused = bill(&accounts).err().expect("answers in progress count as well");
    assert_eq!(spent(&refused), 100);
    drop((one, two));
    let wanted =
        Counts { requests: 2, prompt_tokens: 30, completion_tokens: 70, seconds: 0.035, refusals: 2, cached_tokens: 0 };
    assert_eq!(accounts.sums().get(TODAY, "ann"), wanted);
    assert_eq!(spent(&bill(&accounts).err().expect("nothing is left")), 100, "by the sums alone");
}

#[test]
fn engines_that_count_at_once_share_a_budget_and_damaged_lines_stay() {
    let damaged = "{\"day\": \"20";
    let mut stored = damaged.to_owned();
    let mut merge = |accounts: &Accounts<Sums>| {
        for day in accounts.days() {
            assert_eq!(day, TODAY);
            stored = accounts.merge(&day, &stored);
        }
        stored.clone()
    };
    let (here, there) = (page(), page());
    let mut one = bill(&here).expect("a bill");
    let meters = one.admit(10).expect("admitted");
    meters.iter().for_each(|meter| meter.spend(20, 1e3));
    let text = merge(&here);
    assert!(text.starts_with(&format!("{damaged}\n")) && text.contains("\"prompt_tokens\":10"), "{text}");

    // The other engine knows the prompt, not yet the answer in progress.
    merge(&there);
    let mut two = bill(&there).expect("a bill");
    let others = two.admit(40).expect("admitted");
    assert_eq!((meters[1].left(), others[1].left()), (70, 50));
    merge(&there);
    merge(&here);
    assert_eq!(meters[1].left(), 30, "an answer in progress ends earlier");
    merge(&here);
    assert_eq!(meters[1].left(), 30, "nothing is counted twice");
    drop(one);
    merge(&here);
    merge(&there);
    assert_eq!(others[1].left(), 30);
    others.iter().for_each(|meter| meter.spend(30, 1e3));
    drop((two, others));
    merge(&there);
    merge(&here);
    for accounts in [&here, &there] {
        assert_eq!(spent(&bill(accounts).err().expect("nothing is left")), 100);
    }
    merge(&here);
    let mut sums = Sums::default();
    assert_eq!(sums.read(merge(&there).as_bytes()), [1]);
    let wanted =
        Counts { requests: 2, prompt_tokens: 50, completion_tokens: 50, seconds: 2.0, refusals: 2, cached_tokens: 0 };
    assert_eq!(sums.get(TODAY, "ann"), wanted);

    // The storage was cleared.
    drop(meters);
    here.merge(TODAY, "");
    assert!(bill(&here).is_ok());
}

#[test]
fn a_known_key_has_its_own_limits_whatever_a_request_names() {
    let accounts = page();
    let bill = |key: &str, limit: Limit| {
        accounts.bill_of_key(&Asker { key: "ann".into(), ..Asker::default() }, (key, limit), None)
    };
    let none = Limit::default();
    assert!(bill("team", none).expect("a bill").admit(100).is_err(), "the limit of all keys");
    let large = Limit { tokens: Some(500), seconds: None };
    drop(bill("large", large).expect("a bill").admit(400).expect("its own limit"));
    assert!(bill("large", large).expect("a bill").admit(100).is_err());
    drop(bill("team", none).expect("another key").admit(50).expect("admitted"));
    let sums = accounts.sums();
    assert_eq!((sums.get(TODAY, "large").prompt_tokens, sums.get(TODAY, "ann")), (400, Counts::default()));
    let own = sums.of_key("team").report();
    assert_eq!((own.len(), &own[0]["key"], &own[0]["refusals"]), (1, &json!("team"), &json!(1)));
}

#[test]
fn keys_that_requests_declare_are_bounded_for_a_day_and_share_a_budget_beyond() {
    let accounts = page();
    let ask = |key: String, tokens| accounts.bill(&Asker { key, ..Asker::default() }, "", None)?.admit(tokens);
    for number in 0..MOST_KEYS {
        ask(number.to_string(), 1).expect("admitted");
    }
    ask("new".into(), 60).expect("admitted");
    assert_eq!(spent(&ask("newer".into(), 60).expect_err("the others have one budget")), 60);
    ask("7".into(), 60).expect("a key that was counted before");
    let sums = accounts.sums();
    assert_eq!((sums.rows.len(), sums.get(TODAY, "other").requests), (MOST_KEYS + 1, 1));
}

#[test]
fn days_are_forgotten_after_forty() {
    let line = |day: &str| format!("{{\"day\": \"{day}\", \"key\": \"ann\", \"requests\": 1}}\n");
    let mut stored = Sums::default();
    stored.read(["2026-10-13", "2026-10-14", TODAY].map(line).concat().as_bytes());
    let accounts = Accounts::new(Limits::default(), || NOON, stored, Sums::default());
    drop(bill(&accounts).expect("a bill"));
    let days: Vec<Value> = accounts.sums().report().iter().map(|row| row["day"].clone()).collect();
    assert_eq!(days, ["2026-10-14", TODAY]);
}
