//! `tokenizer.json` from `tokenizer.ggml.*`, and what a conversation needs besides.

use std::collections::HashSet;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::metadata::Metadata;
use crate::error::{Error, Result};
use crate::weights::manifest::ChatSettings;

/// How Mistral's `tekken` splits text. Files converted from Hugging Face's say `pixtral`, for which llama.cpp takes Llama 3's
/// pattern; the models were trained with this one.
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|",
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

/// Values of `tokenizer.ggml.token_type`.
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";

#[derive(Serialize)]
struct File<'a> {
    version: &'static str,
    added_tokens: Vec<AddedToken<'a>>,
    pre_tokenizer: Value,
    decoder: Value,
    model: Model<'a>,
}

#[derive(Serialize)]
struct AddedToken<'a> {
    id: usize,
    content: &'a str,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

#[derive(Serialize)]
struct Model<'a> {
    r#type: &'static str,
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    vocab: Vocabulary<'a>,
    merges: &'a [String],
}

/// Tokens by id, written as a map.
struct Vocabulary<'a>(&'a [String]);

impl Serialize for Vocabulary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().enumerate().map(|(id, token)| (token, id)))
    }
}

fn fault(metadata: &Metadata, reason: &str) -> Error {
    Error::Tokenizer { reason: format!("{}: {reason}", metadata.file) }
}

/// The tokens of a file, in the order of their ids.
pub(super) fn tokens(metadata: &Metadata) -> Result<&[String]> {
    metadata.texts(TOKENS)?.ok_or_else(|| fault(metadata, &format!("{TOKENS} is missing")))
}

/// The text of a `tokenizer.json` that encodes as the tokenizer in the file's metadata.
///
/// # Errors
/// [`Error::Tokenizer`] for a tokenizer that is no byte-level BPE of Mistral's, [`Error::InvalidCheckpoint`].
pub fn tokenizer_json(metadata: &Metadata) -> Result<Vec<u8>> {
    let refuse = |reason: String| Err(fault(metadata, &reason));
    let model = metadata.text("tokenizer.ggml.model")?.unwrap_or_default();
    let pre = metadata.text("tokenizer.ggml.pre")?.unwrap_or_default();
    if model != "gpt2" || !matches!(pre, "tekken" | "pixtral") {
        return refuse(format!(
            "tokenizer {model:?} of kind {pre:?} is not supported, only \"gpt2\" of kind \"tekken\""
        ));
    }
    let tokens = tokens(metadata)?;
    let Some(types) = metadata.integers(TYPES)? else { return refuse(format!("{TYPES} is missing")) };
    let Some(merges) = metadata.texts(MERGES)? else { return refuse(format!("{MERGES} is missing")) };
    if types.len() != tokens.len() {
        return refuse(format!("{TYPES} has {} values for {} tokens", types.len(), tokens.len()));
    }
    let mut seen = HashSet::with_capacity(tokens.len());
    if let Some(token) = tokens.iter().find(|token| !seen.insert(token.as_str())) {
        return refuse(format!("{TOKENS} holds {token:?} twice"));
    }
    write_tokenizer(tokens, merges, |id| match types[id] {
        UNKNOWN | CONTROL | UNUSED => Some(true),
        USER_DEFINED => Some(false),
        _ => None,
    })
}

/// The text of a `tokenizer.json` of Mistral's kind. `apart` says which tokens are no plain text, and whether they are special.
///
/// # Errors
/// [`Error::Internal`].
pub(in crate::weights) fn write_tokenizer(
    tokens: &[String],
    merges: &[String],
    apart: impl Fn(usize) -> Option<bool>,
) -> Result<Vec<u8>> {
    let added = tokens.iter().enumerate().filter_map(|(id, content)| {
        let special = apart(id)?;
        let (single_word, lstrip, rstrip, normalized) = (false, false, false, false);
        Some(AddedToken { id, content, single_word, lstrip, rstrip, normalized, special })
    });
    let file = File {
        version: "1.0",
        added_tokens: added.collect(),
        pre_tokenizer: json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": TEKKEN}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        ]}),
        decoder: json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
        model: Model {
            r#type: "BPE",
            fuse_unk: false,
            byte_fallback: false,
            ignore_merges: true,
            vocab: Vocabulary(tokens),
            merges,
        },
    };
    serde_json::to_vec(&file).map_err(|e| Error::Internal { detail: e.to_string() })
}

/// The id of a token by its spelling.
pub(super) fn find_token(metadata: &Metadata, spelling: &str) -> Result<u32> {
    let id = tokens(metadata)?.iter().position(|token| token == spelling);
    let id = id.and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| fault(metadata, &format!("there is no token {spelling:?}, which pictures need")))
}

/// The tokens that begin and end. A template in the file is not read: its layout is known.
pub(super) fn chat_settings(metadata: &Metadata, vocab_size: usize) -> Result<ChatSettings> {
    let id = |key: &str| match metadata.id(key)? {
        Some(id) if id as usize >= vocab_size => {
            Err(metadata.refuse(format!("{key} is {id}, outside the vocabulary of {vocab_size}")))
        }
        id => Ok(id),
    };
    Ok(ChatSettings {
        template: "mistral-v13".into(),
        default_system_prompt: None,
        bos_token_id: id("tokenizer.ggml.bos_token_id")?.unwrap_or(1),
        eos_token_ids: vec![id("tokenizer.ggml.eos_token_id")?.unwrap_or(2)],
        pad_token_id: id("tokenizer.ggml.padding_token_id")?,
    })
}
