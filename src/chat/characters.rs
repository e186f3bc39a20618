//! Vocabularies of characters, as `SentencePiece` makes them: a space is written as `▁`, and a character without a token as its bytes, `<0x0A>`.
//! Nothing splits a text before the merges, except tokens that the file lists as texts of their own.

use std::collections::HashMap;

use serde_json::Value;

use super::pre_tokenizer::fault;
use crate::error::Result;

/// The character that spells a space.
const SPACE: char = '\u{2581}';

/// The spelling of a byte.
pub(super) fn byte_token(byte: u8) -> String {
    format!("<0x{byte:02X}>")
}

/// The bytes that a token prints.
pub(super) fn printed(token: &str) -> Box<[u8]> {
    let byte = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>')).filter(|digits| digits.len() == 2);
    match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
        Some(byte) => [byte].into(),
        None => token.replace(SPACE, " ").into_bytes().into(),
    }
}

/// The spelling of a text.
pub(super) fn spelled(text: &str) -> String {
    text.replace(' ', SPACE.encode_utf8(&mut [0; 4]))
}

/// Refuses a file that treats texts in another way: its normaliser writes spaces, and its pre-tokeniser splits at spaces, of which none are left.
pub(super) fn check(normalizer: Option<&Value>, pre_tokenizer: Option<&Value>) -> Result<()> {
    let space = SPACE.to_string();
    let writes_spaces = |value: &Value| {
        value["type"] == "Replace" && value["pattern"]["String"] == " " && value["content"].as_str() == Some(&space)
    };
    let all = |value: &Value| match value["normalizers"].as_array() {
        Some(steps) => steps.len() == 1 && steps.iter().all(writes_spaces),
        None => writes_spaces(value),
    };
    if !normalizer.is_some_and(all) {
        return Err(fault(
            "the normalizer of a vocabulary of characters must replace spaces by \u{2581} and do nothing else",
        ));
    }
    let splits_at_spaces = |value: &Value| value["type"] == "Split" && value["pattern"]["String"] == " ";
    if pre_tokenizer.is_none_or(splits_at_spaces) {
        return Ok(());
    }
    Err(fault("the pre-tokeniser of a vocabulary of characters must split at spaces or be absent"))
}

/// Returns true for an added token that is ordinary text: line ends, other white space, and tags of HTML. A token with a bar, or with a name that
/// is no tag, may control a model, whatever the file says.
pub(super) fn is_text(token: &str) -> bool {
    let is_blank = |c: char| c.is_whitespace() || c == SPACE;
    let name = token.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    let name = name.map(|name| name.trim_start_matches('/'));
    let is_tag = name.is_some_and(|name| TAGS.contains(&name));
    !token.is_empty() && token.chars().all(is_blank) || is_tag
}

/// Tags of HTML that vocabularies of Gemma's models have as tokens.
const TAGS: [&str; 30] = [
    "a",
    "b",
    "blockquote",
    "br",
    "code",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "li",
    "ol",
    "p",
    "pre",
    "s",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "tr",
    "ul",
];

/// Texts that are tokens of their own wherever they occur, the longest one first.
#[derive(Debug, Default)]
pub(super) struct Literals {
    /// Texts and ids by the first byte, longest first.
    by_first: HashMap<u8, Vec<(String, u32)>>,
}

impl Literals {
    pub(super) fn new(texts: impl Iterator<Item = (String, u32)>) -> Self {
        let mut by_first: HashMap<u8, Vec<(String, u32)>> = HashMap::new();
        for (text, id) in texts {
            if let Some(&first) = text.as_bytes().first() {
                by_first.entry(first).or_default().push((text, id));
            }
        }
        by_first.values_mut().for_each(|texts| texts.sort_by_key(|(text, _)| std::cmp::Reverse(text.len())));
        Self { by_first }
    }

    /// The longest text that `rest` begins with.
    fn at<'l>(&'l self, rest: &str) -> Option<&'l (String, u32)> {
        let texts = self.by_first.get(rest.as_bytes().first()?)?;
        texts.iter().find(|(text, _)| rest.starts_with(text.as_str()))
    }

    /// The parts of a text: ids of literals, and the texts between them.
    pub(super) fn parts<'t>(&self, text: &'t str) -> Vec<std::result::Result<u32, &'t str>> {
        let (mut parts, mut done, mut at) = (Vec::new(), 0, 0);
        while let Some(c) = text[at..].chars().next() {
            let Some((literal, id)) = self.at(&text[at..]) else {
                at += c.len_utf8();
                continue;
            };
            if done < at {
                parts.push(Err(&text[done..at]));
            }
            parts.push(Ok(*id));
            at += literal.len();
            done = at;
        }
        if done < text.len() {
            parts.push(Err(&text[done..]));
        }
        parts
    }
}
