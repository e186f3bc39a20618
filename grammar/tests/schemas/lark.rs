//! Lark grammars that recurse: refused before a stack overflows.

use std::time::Duration;

use ocelli_grammar::{GrammarError, Grammars};
use serde_json::json;

use super::cpu_time::cpu_time;
use super::vocabulary::grammars;
use super::{Dice, Outcome, answer};

/// Length of a hostile grammar in bytes.
const LONG: usize = 256 << 10;

/// Calls `act` on a thread with the stack of a server's thread.
fn on_a_small_stack<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, act);
        thread.expect("a thread").join().expect("no panic")
    })
}

fn repeated(before: &str, piece: &str) -> String {
    let times = (LONG - before.len()) / piece.len();
    format!("{before}{}", piece.repeat(times))
}

/// A chain of `count` definitions, each of which refers to the next.
fn chain(count: usize, name: impl Fn(usize) -> String) -> String {
    let links: String = (0..count).map(|index| format!("{}: {}\n", name(index), name(index + 1))).collect();
    format!("start: {}\n{links}{}: \"x\"\n", name(0), name(count))
}

fn hostile() -> Vec<String> {
    let references = |count: usize| {
        let one = |index: usize| (format!("d{index}"), json!({ "$ref": format!("#/$defs/d{}", index + 1) }));
        let all: serde_json::Map<String, serde_json::Value> = (0..count).map(one).collect();
        format!("start: %json {}", json!({ "$ref": "#/$defs/d0", "$defs": all }))
    };
    vec![
        repeated("start: ", "a{"),
        repeated("start: ", "a \t{"),
        repeated("start::_ : \"x\" %if ", "not("),
        repeated("start::_ : \"x\" %if ", "and("),
        chain(9_000, |index| format!("r{index}")),
        chain(9_000, |index| format!("A{index}")),
        repeated("start: ", "("),
        repeated("start: ", "["),
        repeated("start: ", "%lark { start: "),
        repeated("start: %json ", "["),
        repeated("start: %json ", "{\"a\":"),
        repeated("%llguidance ", "["),
        repeated("start: \"", "\\\""),
        references(5_000),
        repeated("start: r\nr{x", ",x"),
    ]
}

fn refusal(grammars: &Grammars, text: &str) -> String {
    let started = cpu_time();
    let refused = on_a_small_stack(|| grammars.lark(text).map(drop));
    assert!(cpu_time() - started < Duration::from_secs(10), "{:.40}", text);
    match refused {
        Err(GrammarError::InvalidGrammar { reason }) => reason,
        other => panic!("{text:.40}: {other:?}"),
    }
}

#[test]
fn grammars_that_recurse_without_end_are_refused() {
    let (grammars, _) = grammars();
    for text in hostile() {
        let reason = refusal(&grammars, &text);
        assert!(reason.starts_with("line "), "found before llguidance reads it: {text:.40}: {reason:.80}");
    }
}

#[test]
fn what_reaches_llguidance_fits_a_stack() {
    let (grammars, _) = grammars();
    // The deepest grammars that pass the check, and what it does not look at.
    let nested = |count: usize| {
        let one = |index: usize| format!("r{index}: {}r{}{}\n", "(".repeat(2), index + 1, ")".repeat(2));
        format!("start: r0\n{}r{count}: \"x\"\n", (0..count).map(one).collect::<String>())
    };
    for text in [
        chain(497, |index| format!("A{index}")),
        nested(490),
        format!("start: /{}/", "a".repeat(LONG - 10)),
        format!("start: /{}{}/", "(a".repeat(50_000), ")".repeat(50_000)),
        format!("start: \"a\"{}", " | \"a\"".repeat(3_000)),
        format!("start: {}", "\"a\"? ".repeat(3_000)),
        repeated("start: ", "~"),
        format!("start::_ : \"x\" %if {}true{}", "not(".repeat(60), ")".repeat(60)),
        format!("start: r::0\nr::_ : \"x\" %if {}true{}", "not(".repeat(60), ")".repeat(60)),
    ] {
        let outcome = on_a_small_stack(|| grammars.lark(&text).map(drop));
        println!("{text:.40}: {:.100}", format!("{outcome:?}"));
    }
    let deepest = on_a_small_stack(|| grammars.lark(&chain(497, |index| format!("r{index}"))).map(drop));
    assert_eq!(deepest, Ok(()));
}

#[test]
fn ordinary_grammars_compile() {
    let (grammars, words) = grammars();
    for text in [
        "start: \"[\" item (\", \" item){0,4} \"]\"\nitem: /[a-z]{1,4}/",
        "start: A ~ 2..3 | b{2} b{2,} b{,3}\nA: \"a\"\nb: \"{{{\" /[({]/ // a{a{\n",
        "# a{a{\nstart: \"x\" %json { \"type\": \"object\", \"properties\": { \"a\": { \"enum\": [\"{{\"] } } } \"y\"",
        "start: %lark { start: \"a\" | b\n b: \"b\"\n } | list::0\nlist::_ : \"x\" %if or(eq([0:8], 1), is_zeros([0:8]))\n",
        "%llguidance { \"no_forcing\": true }\n%import common.INT\n%ignore / +/\nstart: INT (\"+\" INT)*",
    ] {
        let grammar = grammars.lark(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let ended = (0..5).any(|seed| matches!(answer(&grammar, &words, &mut Dice(seed)), Ok(Outcome::Whole(_))));
        assert!(ended, "{text}");
    }
}
