//! Normalisation and splitting of text before the merges, as defined by a `tokenizer.json`.
//!
//! Byte-level vocabularies need NFC or nothing, then any of `Split` (isolated), `Digits` and `ByteLevel`; nothing else is supported.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use serde_json::Value;

use super::nfc::nfc;
use super::pattern::Pattern;
use crate::error::{Error, Result};

/// GPT-2's pattern, the default of `ByteLevel` (`pre_tokenizers/byte_level.rs` of the `tokenizers` library).
pub const GPT_2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// Largest length of a pattern in bytes, and largest number of steps.
const MAX_PATTERN_LEN: usize = 4096;
const MAX_STEPS: usize = 8;

/// Splits text into pieces.
pub(super) struct PreTokenizer {
    nfc: bool,
    steps: Vec<Step>,
}

/// A step, which splits the pieces of the previous step.
enum Step {
    /// Splits into matches and the text between them.
    Split(Pattern),
    /// Splits into occurrences of a text and the text between them.
    Literal(String),
    /// Splits into numeric characters, single or in runs, and the text between them.
    Digits { individual: bool },
}

/// A pre-tokenizer in the file's format.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Spelled {
    Sequence { pretokenizers: Vec<Value> },
    Split { pattern: SpelledPattern, behavior: String },
    Digits { individual_digits: Option<bool> },
    ByteLevel { add_prefix_space: Option<bool>, use_regex: Option<bool> },
}

#[derive(Deserialize)]
enum SpelledPattern {
    String(String),
    Regex(String),
}

impl PreTokenizer {
    /// Reads the `normalizer` and `pre_tokenizer` of a file. `pattern` replaces all splitting rules of the file.
    pub(super) fn new(
        normalizer: Option<&Value>,
        pre_tokenizer: Option<&Value>,
        pattern: Option<&str>,
    ) -> Result<Self> {
        let mut this = Self { nfc: is_nfc(normalizer)?, steps: Vec::new() };
        match (pattern, pre_tokenizer) {
            (Some(pattern), _) => this.split_at(pattern)?,
            (None, Some(value)) => this.read(value)?,
            (None, None) => return Err(fault("there is no pre-tokeniser, only byte-level vocabularies are supported")),
        }
        Ok(this)
    }

    fn read(&mut self, value: &Value) -> Result<()> {
        let values = match spelled(value)? {
            Spelled::Sequence { pretokenizers } => pretokenizers,
            _ => vec![value.clone()],
        };
        let Some((last, others)) = values.split_last().filter(|_| values.len() <= MAX_STEPS) else {
            return Err(fault(format!("the pre-tokeniser has {} steps", values.len())));
        };
        for value in others {
            match spelled(value)? {
                Spelled::Split { pattern, behavior } if behavior == "Isolated" => match pattern {
                    SpelledPattern::Regex(pattern) => self.split_at(&pattern)?,
                    SpelledPattern::String(text) => self.steps.push(Step::Literal(text)),
                },
                Spelled::Digits { individual_digits } => {
                    self.steps.push(Step::Digits { individual: individual_digits.unwrap_or_default() });
                }
                _ => return Err(unsupported(value)),
            }
        }
        match spelled(last)? {
            Spelled::ByteLevel { add_prefix_space: Some(true), .. } => Err(unsupported(last)),
            Spelled::ByteLevel { use_regex: Some(false), .. } => Ok(()),
            Spelled::ByteLevel { .. } => self.split_at(GPT_2),
            _ => Err(unsupported(last)),
        }
    }

    fn split_at(&mut self, pattern: &str) -> Result<()> {
        if pattern.len() > MAX_PATTERN_LEN {
            return Err(fault(format!("a pattern of the pre-tokeniser is {} bytes long", pattern.len())));
        }
        let pattern = Pattern::new(pattern).map_err(|what| fault(format!("the pre-tokeniser's pattern: {what}")))?;
        self.steps.push(Step::Split(pattern));
        Ok(())
    }

    /// The normalised text.
    pub(super) fn normalize<'t>(&self, text: &'t str) -> Result<Cow<'t, str>> {
        if !self.nfc || text.is_ascii() {
            return Ok(Cow::Borrowed(text));
        }
        nfc(text).map(Cow::Owned).map_err(fault)
    }

    /// The pieces of a normalised text, in order and without gaps.
    pub(super) fn pieces<'t>(&self, text: &'t str) -> Result<Vec<&'t str>> {
        let mut pieces = vec![text];
        for step in &self.steps {
            let mut finer = Vec::with_capacity(pieces.len());
            for piece in pieces {
                step.split(piece, &mut finer)?;
            }
            pieces = finer;
        }
        pieces.retain(|piece| !piece.is_empty());
        Ok(pieces)
    }
}

impl Step {
    fn split<'t>(&self, text: &'t str, pieces: &mut Vec<&'t str>) -> Result<()> {
        let mut done = 0;
        let mut isolate = |range: Range<usize>| {
            pieces
                .extend([&text[done..range.start], &text[range.clone()]].into_iter().filter(|piece| !piece.is_empty()));
            done = range.end;
        };
        match self {
            Self::Split(pattern) => {
                let matches =
                    pattern.find_all(text).map_err(|what| fault(format!("the text cannot be split: {what}")))?;
                matches.into_iter().for_each(&mut isolate);
            }
            Self::Literal(literal) => {
                text.match_indices(literal.as_str()).for_each(|(at, found)| isolate(at..at + found.len()));
            }
            Self::Digits { individual: true } => {
                text.match_indices(char::is_numeric).for_each(|(at, digit)| isolate(at..at + digit.len()));
            }
            Self::Digits { individual: false } => {
                let mut rest = 0;
                while let Some(at) = text[rest..].find(char::is_numeric).map(|at| rest + at) {
                    rest = text[at..].find(|c: char| !c.is_numeric()).map_or(text.len(), |len| at + len);
                    isolate(at..rest);
                }
            }
        }
        isolate(text.len()..text.len());
        Ok(())
    }
}

/// An error about the tokenizer's file.
pub(super) fn fault(reason: impl Into<String>) -> Error {
    Error::Tokenizer { reason: reason.into() }
}

/// Returns true for NFC, and an error for any other normaliser.
fn is_nfc(normalizer: Option<&Value>) -> Result<bool> {
    let Some(value) = normalizer else { return Ok(false) };
    let all = match value.get("type").and_then(Value::as_str) {
        Some("Sequence") => value.get("normalizers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice),
        _ => std::slice::from_ref(value),
    };
    match all.iter().find(|value| value.get("type").and_then(Value::as_str) != Some("NFC")) {
        Some(other) => Err(fault(format!("the normalizer {} is not supported, only NFC", short(other)))),
        None => Ok(!all.is_empty()),
    }
}

fn spelled(value: &Value) -> Result<Spelled> {
    Spelled::deserialize(value).map_err(|_| unsupported(value))
}

fn unsupported(value: &Value) -> Error {
    fault(format!(
        "the pre-tokeniser {} is not supported, only Split (Isolated) and Digits followed by ByteLevel",
        short(value)
    ))
}

/// The beginning of a value's text, for errors.
fn short(value: &Value) -> String {
    value.to_string().chars().take(200).collect()
}
