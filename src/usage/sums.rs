//! Sums of usage by day and key: stored as lines of JSON, and reported as JSON and CSV.

use std::collections::BTreeMap;

use serde_json::{Number, Value, json};

use super::rules::{Spent, number};
use crate::error::Result;

/// Most keys of a day that requests declare; further ones are counted together as [`OTHERS`].
pub(super) const MOST_KEYS: usize = 1000;
const OTHERS: &str = "other";

const COLUMNS: [&str; 8] =
    ["day", "key", "requests", "prompt_tokens", "cached_tokens", "completion_tokens", "seconds", "refusals"];

/// Usage of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    /// Admitted requests.
    pub requests: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Prompt tokens that were cached.
    pub cached_tokens: u64,
    /// Tokens of answers.
    pub completion_tokens: u64,
    /// Seconds of the engine's time: pictures, prompts, answers.
    pub seconds: f64,
    /// Requests refused by a budget.
    pub refusals: u64,
}

impl std::ops::AddAssign for Counts {
    /// Sums stay at the largest number, so that no stored line ends the process.
    fn add_assign(&mut self, more: Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.prompt_tokens = self.prompt_tokens.saturating_add(more.prompt_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(more.cached_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(more.completion_tokens);
        self.seconds = (self.seconds + more.seconds).min(f64::MAX);
        self.refusals = self.refusals.saturating_add(more.refusals);
    }
}

impl Counts {
    /// Reads the usage in the body of an answer, as text; an error has none.
    pub fn of_outcome(outcome: &Result<String>) -> Self {
        let body = outcome.as_ref().ok().and_then(|body| serde_json::from_str(body).ok());
        body.map_or_else(Self::default, |body| Self::of_answer(&body))
    }

    /// Reads the usage in the body of a chat, a completion or a response.
    pub fn of_answer(body: &Value) -> Self {
        let usage = &body["usage"];
        // The Responses API has other names.
        let tokens = |paths: &[&str]| paths.iter().find_map(|path| usage.pointer(path)?.as_u64()).unwrap_or_default();
        // Anthropic's API counts cached tokens apart.
        let apart = tokens(&["/cache_read_input_tokens"]);
        let ms = |stage: &str| usage["ocelli"][stage].as_f64().unwrap_or_default();
        Self {
            prompt_tokens: tokens(&["/prompt_tokens", "/input_tokens"]).saturating_add(apart),
            cached_tokens: tokens(&["/prompt_tokens_details/cached_tokens", "/input_tokens_details/cached_tokens"])
                .saturating_add(apart),
            completion_tokens: tokens(&["/completion_tokens", "/output_tokens"]),
            seconds: ["vision_ms", "prefill_ms", "decode_ms"].map(ms).iter().sum::<f64>() / 1e3,
            ..Self::default()
        }
    }

    /// Tokens of prompts and answers, and seconds.
    pub fn spent(&self) -> Spent {
        Spent { tokens: self.prompt_tokens.saturating_add(self.completion_tokens), seconds: self.seconds }
    }
}

/// Usage by day and key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sums {
    pub(super) rows: BTreeMap<(String, String), Counts>,
    /// Number of lines that could not be read and do not count.
    pub damaged_lines: usize,
}

impl Sums {
    /// Adds counts of a key on a day.
    pub fn add(&mut self, day: &str, key: &str, counts: Counts) {
        *self.rows.entry((day.to_owned(), key.to_owned())).or_default() += counts;
    }

    /// Usage of a key on a day.
    pub fn get(&self, day: &str, key: &str) -> Counts {
        self.rows.get(&(day.to_owned(), key.to_owned())).copied().unwrap_or_default()
    }

    /// The key under which a declared key is counted on a day: itself, or [`OTHERS`] if it is new and the day has [`MOST_KEYS`] already.
    pub(super) fn counted_key(&self, day: &str, key: String) -> String {
        let place = (day.to_owned(), key);
        let of_day = || self.rows.range((day.to_owned(), String::new())..).take_while(|((other, _), _)| other == day);
        let fits = self.rows.contains_key(&place) || of_day().take(MOST_KEYS).count() < MOST_KEYS;
        if fits { place.1 } else { OTHERS.into() }
    }

    /// Forgets the days before `day`.
    pub(super) fn forget_before(&mut self, day: &str) {
        while self.rows.first_key_value().is_some_and(|((first, _), _)| first.as_str() < day) {
            self.rows.pop_first();
        }
    }

    /// The usage of a key alone.
    #[must_use]
    pub fn of_key(mut self, key: &str) -> Self {
        self.rows.retain(|(_, other), _| other == key);
        self
    }

    /// Adds stored lines. Returns the numbers of damaged lines, from 1; the others still count.
    pub fn read(&mut self, text: &[u8]) -> Vec<usize> {
        let mut damaged = Vec::new();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            match parse(line) {
                Some((day, key, counts)) => self.add(&day, &key, counts),
                None if line.trim_ascii().is_empty() => {}
                None => damaged.push(index + 1),
            }
        }
        self.damaged_lines += damaged.len();
        damaged
    }

    /// Lines to store, one for each day and key, each with its day.
    pub fn lines(&self) -> impl Iterator<Item = (&str, String)> {
        let seconds = |counts: &Counts| Number::from_f64(counts.seconds).unwrap_or_else(|| 0.into());
        self.rows
            .iter()
            .map(move |(place, counts)| (place.0.as_str(), format!("{}\n", row(place, counts, seconds(counts)))))
    }

    /// A JSON object for each day and key, in this order.
    pub fn report(&self) -> Vec<Value> {
        self.rows.iter().map(|(place, counts)| row(place, counts, number(counts.seconds))).collect()
    }

    /// The same as CSV by RFC 4180.
    pub fn csv(&self) -> String {
        let mut text = COLUMNS.join(",") + "\r\n";
        for ((day, key), counts) in &self.rows {
            let numbers = [counts.requests, counts.prompt_tokens, counts.cached_tokens, counts.completion_tokens];
            let numbers = numbers.map(|number| number.to_string()).join(",");
            text += &format!("{day},{},{numbers},{},{}\r\n", quoted(key), number(counts.seconds), counts.refusals);
        }
        text
    }
}

fn row((day, key): &(String, String), counts: &Counts, seconds: Number) -> Value {
    json!({"day": day, "key": key, "requests": counts.requests, "prompt_tokens": counts.prompt_tokens,
        "cached_tokens": counts.cached_tokens, "completion_tokens": counts.completion_tokens, "seconds": seconds,
        "refusals": counts.refusals})
}

/// The day, the key and the counts of a stored line. Counts that it does not name are 0.
fn parse(line: &[u8]) -> Option<(String, String, Counts)> {
    let line: Value = serde_json::from_slice(line).ok()?;
    let text = |name: &str| Some(line.get(name)?.as_str()?.to_owned());
    let count = |name: &str| line.get(name).map_or(Some(0), Value::as_u64);
    let counts = Counts {
        requests: count("requests")?,
        prompt_tokens: count("prompt_tokens")?,
        cached_tokens: count("cached_tokens")?,
        completion_tokens: count("completion_tokens")?,
        seconds: line.get("seconds").map_or(Some(0.0), Value::as_f64).filter(|seconds| *seconds >= 0.0)?,
        refusals: count("refusals")?,
    };
    Some((text("day").filter(|day| is_day(day))?, text("key")?, counts))
}

/// Returns whether a text is a day, such as `2026-11-23`.
pub fn is_day(text: &str) -> bool {
    let is_right = |(at, byte): (usize, u8)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() };
    text.len() == 10 && text.bytes().enumerate().all(is_right)
}

/// Quotes a text. Texts that look like formulas, or start with an apostrophe, get an apostrophe as prefix.
fn quoted(text: &str) -> String {
    let mark = if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\'']) { "'" } else { "" };
    format!("\"{mark}{}\"", text.replace('"', "\"\""))
}
