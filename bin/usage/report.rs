//! Usage by day and key as JSON and CSV.

use serde_json::{Value, json};

use super::ledger::Kept;
use super::rules::number;

const COLUMNS: [&str; 8] =
    ["day", "key", "requests", "prompt_tokens", "cached_tokens", "completion_tokens", "seconds", "refusals"];

/// `{"object": "list", "data": [..], "damaged_lines"}`.
pub(super) fn json(kept: &Kept) -> Value {
    let row = |((day, key), counts): (&(String, String), &super::ledger::Counts)| {
        json!({"day": day, "key": key, "requests": counts.requests, "prompt_tokens": counts.prompt_tokens,
            "cached_tokens": counts.cached_tokens, "completion_tokens": counts.completion_tokens,
            "seconds": number(counts.seconds), "refusals": counts.refusals})
    };
    let data: Vec<Value> = kept.sums.iter().map(row).collect();
    json!({"object": "list", "data": data, "damaged_lines": kept.damaged_lines})
}

/// CSV by RFC 4180.
pub(super) fn csv(kept: &Kept) -> String {
    let mut text = COLUMNS.join(",") + "\r\n";
    for ((day, key), counts) in &kept.sums {
        let numbers = [counts.requests, counts.prompt_tokens, counts.cached_tokens, counts.completion_tokens];
        let numbers = numbers.map(|number| number.to_string()).join(",");
        text += &format!("{day},{},{numbers},{},{}\r\n", quoted(key), number(counts.seconds), counts.refusals);
    }
    text
}

/// Quotes a text. Texts that look like formulas, or start with an apostrophe, get an apostrophe as prefix.
fn quoted(text: &str) -> String {
    let mark = if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\'']) { "'" } else { "" };
    format!("\"{mark}{}\"", text.replace('"', "\"\""))
}
