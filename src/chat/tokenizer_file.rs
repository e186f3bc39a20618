//! Reads and checks a `tokenizer.json` before anything is built from it.
//!
//! The library inside [`super::Tokenizer`] trusts its input: it panics at a merge longer than any token and drops bytes that have no token.
//! Every assumption of the library is checked here first.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::Value;

use super::byte_alphabet::byte_to_char;
use super::characters::{self, Literals};
use super::pre_tokenizer::{PreTokenizer, fault};
use crate::error::Result;

/// Largest vocabulary, and one past the highest id.
const MAX_TOKENS: usize = 1 << 22;
/// Largest length of a token's spelling in bytes.
const MAX_TOKEN_LEN: usize = u16::MAX as usize;

/// The checked contents of a BPE file. Control tokens appear in `added` alone.
pub(super) struct TokenizerFile {
    /// Ordinary tokens as they are spelled.
    pub(super) vocab: HashMap<String, u32>,
    /// Pairs in rank order; both halves and their join are in `vocab`.
    pub(super) merges: Vec<(String, String)>,
    /// True if a piece of text that is a whole token skips the merges.
    pub(super) ignore_merges: bool,
    /// Tokens that text never produces.
    pub(super) added: Vec<AddedToken>,
    /// How texts are spelled.
    pub(super) spelling: Spelling,
}

/// How a text is spelled before the merges.
pub(super) enum Spelling {
    /// In pieces, whose bytes are written in the byte-level alphabet.
    Bytes(PreTokenizer),
    /// Spelled as characters, see [`super::characters`].
    Characters(Literals),
}

/// A token outside the text vocabulary.
#[derive(Deserialize)]
pub(super) struct AddedToken {
    pub(super) id: u32,
    pub(super) content: String,
    /// Control tokens print nothing; other added tokens print their content.
    #[serde(default)]
    pub(super) special: bool,
}

#[derive(Deserialize)]
struct RawFile {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    model: RawModel,
}

#[derive(Deserialize)]
struct RawModel {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
    #[serde(default)]
    ignore_merges: bool,
    #[serde(default)]
    byte_fallback: bool,
    dropout: Option<f32>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
}

/// A merge in files of version 1.0, `"left right"`, and in newer ones.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a merge is \"left right\" or two strings")]
enum Merge {
    Joined(String),
    Pair(String, String),
}

impl Merge {
    fn pair(self) -> Result<(String, String)> {
        match self {
            Self::Pair(left, right) => Ok((left, right)),
            Self::Joined(text) => {
                let (left, right) =
                    text.split_once(' ').ok_or_else(|| fault("tokenizer.json: a merge without a space"))?;
                Ok((left.into(), right.into()))
            }
        }
    }
}

impl TokenizerFile {
    /// Parses and checks the bytes of a `tokenizer.json`. `pattern` replaces all splitting rules of the file.
    pub(super) fn parse(json: &[u8], pattern: Option<&str>) -> Result<Self> {
        let raw: RawFile = serde_json::from_slice(json).map_err(|error| fault(format!("tokenizer.json: {error}")))?;
        refuse_unsupported(&raw)?;
        let RawFile { added_tokens: mut added, normalizer, pre_tokenizer, model } = raw;
        let RawModel { mut vocab, merges, ignore_merges, byte_fallback, .. } = model;
        check_ids(&vocab, &added)?;
        let spelling = if byte_fallback {
            characters::check(normalizer.as_ref(), pre_tokenizer.as_ref())?;
            let is_literal = |token: &AddedToken| !token.special && characters::is_text(&token.content);
            let literals: Vec<AddedToken> = added.extract_if(.., |token| is_literal(token)).collect();
            vocab.extend(literals.iter().map(|token| (token.content.clone(), token.id)));
            Spelling::Characters(Literals::new(literals.into_iter().map(|token| (token.content, token.id))))
        } else {
            Spelling::Bytes(PreTokenizer::new(normalizer.as_ref(), pre_tokenizer.as_ref(), pattern)?)
        };
        // A control token in the vocabulary could match a whole piece of text, or be the result of a merge.
        let control: HashSet<&str> = added.iter().map(|token| token.content.as_str()).collect();
        vocab.retain(|token, _| !control.contains(token.as_str()));
        let mut kept = Vec::with_capacity(merges.len());
        for merge in merges {
            let (left, right) = merge.pair()?;
            let joined = format!("{left}{right}");
            if [left.as_str(), right.as_str(), joined.as_str()].iter().any(|token| control.contains(token)) {
                continue;
            }
            if let Some(token) = [&left, &right, &joined].into_iter().find(|token| !vocab.contains_key(*token)) {
                return Err(fault(format!("the merge of {left:?} and {right:?} names the unknown token {token:?}")));
            }
            kept.push((left, right));
        }
        match spelling {
            Spelling::Bytes(_) => check_bytes(&vocab)?,
            Spelling::Characters(_) => check_byte_tokens(&vocab)?,
        }
        Ok(Self { vocab, merges: kept, ignore_merges, added, spelling })
    }
}

fn refuse_unsupported(raw: &RawFile) -> Result<()> {
    let model = &raw.model;
    if let Some(kind) = model.kind.as_deref().filter(|kind| *kind != "BPE") {
        return Err(fault(format!("model type {kind:?} is not supported, only BPE")));
    }
    let affixes = [&model.continuing_subword_prefix, &model.end_of_word_suffix];
    if affixes.into_iter().flatten().any(|affix| !affix.is_empty()) {
        return Err(fault("the vocabulary is not byte-level"));
    }
    if model.dropout.is_some_and(|dropout| dropout > 0.0) {
        return Err(fault("BPE dropout is for training, not for use"));
    }
    Ok(())
}

/// Ids are unique, bounded, and the same in both lists.
fn check_ids(vocab: &HashMap<String, u32>, added: &[AddedToken]) -> Result<()> {
    let mut seen = HashSet::with_capacity(vocab.len() + added.len());
    for (token, &id) in vocab {
        check_token(token, id)?;
        if !seen.insert(id) {
            return Err(fault(format!("two tokens have id {id}")));
        }
    }
    let mut names = HashSet::with_capacity(added.len());
    for AddedToken { id, content, .. } in added {
        check_token(content, *id)?;
        if !names.insert(content.as_str()) {
            return Err(fault(format!("added token {content:?} appears twice")));
        }
        if let Some(other) = vocab.get(content).filter(|other| *other != id) {
            return Err(fault(format!("added token {content:?} has id {id}, the vocabulary says {other}")));
        }
        if !vocab.contains_key(content) && !seen.insert(*id) {
            return Err(fault(format!("two tokens have id {id}")));
        }
    }
    Ok(())
}

fn check_token(token: &str, id: u32) -> Result<()> {
    if token.is_empty() {
        return Err(fault(format!("token {id} is empty")));
    }
    if token.len() > MAX_TOKEN_LEN {
        return Err(fault(format!("token {id} is {} bytes long, at most {MAX_TOKEN_LEN} are supported", token.len())));
    }
    if id as usize >= MAX_TOKENS {
        return Err(fault(format!("token id {id} is too high, at most {MAX_TOKENS} tokens are supported")));
    }
    Ok(())
}

/// Every byte of a character without a token must be a token.
fn check_byte_tokens(vocab: &HashMap<String, u32>) -> Result<()> {
    match (0..=u8::MAX).map(characters::byte_token).find(|token| !vocab.contains_key(token)) {
        Some(token) => Err(fault(format!("the vocabulary lacks the byte {token}"))),
        None => Ok(()),
    }
}

/// Every byte of a text must be a token of its own; otherwise the library would drop it silently.
fn check_bytes(vocab: &HashMap<String, u32>) -> Result<()> {
    let in_utf8 = |byte: &u8| matches!(byte, 0..0xc0 | 0xc2..0xf5);
    match (0..=u8::MAX).filter(in_utf8).find(|&byte| !vocab.contains_key(&byte_to_char(byte).to_string())) {
        Some(byte) => Err(fault(format!("the vocabulary is not byte-level, it lacks the byte {byte:#04x}"))),
        None => Ok(()),
    }
}
