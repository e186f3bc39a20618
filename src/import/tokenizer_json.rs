//! Writing a `tokenizer.json` of a BPE of bytes or of characters.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::families::readers::PreTokenizer;

#[derive(Serialize)]
struct File<'a> {
    version: &'static str,
    added_tokens: Vec<AddedToken<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    normalizer: Option<Value>,
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

/// Tokens by id, serialised as a map.
struct Vocabulary<'a>(&'a [String]);

impl Serialize for Vocabulary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().enumerate().map(|(id, token)| (token, id)))
    }
}

/// The text of a `tokenizer.json`, of characters if there is no `split`. `special` returns `None` for plain text tokens, else whether the token is skipped when decoding.
pub fn write_tokenizer(
    tokens: &[String],
    merges: &[String],
    split: Option<&PreTokenizer>,
    special: impl Fn(usize) -> Option<bool>,
) -> Result<Vec<u8>> {
    let added = tokens.iter().enumerate().filter_map(|(id, content)| {
        let special = special(id)?;
        let (single_word, lstrip, rstrip, normalized) = (false, false, false, false);
        Some(AddedToken { id, content, single_word, lstrip, rstrip, normalized, special })
    });
    let model = Model {
        r#type: "BPE",
        fuse_unk: split.is_none(),
        byte_fallback: split.is_none(),
        ignore_merges: split.is_some_and(|split| split.ignore_merges),
        vocab: Vocabulary(tokens),
        merges,
    };
    let [normalizer, pre_tokenizer, decoder] = match split {
        Some(split) => of_bytes(split),
        None => of_characters(),
    };
    let added_tokens = added.collect();
    let normalizer = Some(normalizer).filter(|normalizer| !normalizer.is_null());
    let file = File { version: "1.0", added_tokens, normalizer, pre_tokenizer, decoder, model };
    serde_json::to_vec(&file).map_err(|e| Error::Internal { detail: e.to_string() })
}

/// Normaliser, pre-tokeniser and decoder of a vocabulary of bytes.
fn of_bytes(split: &PreTokenizer) -> [Value; 3] {
    let normalizer = if split.nfc { json!({"type": "NFC"}) } else { Value::Null };
    let pre_tokenizer = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": split.pattern}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
    ]});
    let decoder = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    [normalizer, pre_tokenizer, decoder]
}

/// The same of a vocabulary of characters.
fn of_characters() -> [Value; 3] {
    let normalizer = json!({"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"});
    let pre_tokenizer =
        json!({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false});
    let decoder = json!({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]});
    [normalizer, pre_tokenizer, decoder]
}
