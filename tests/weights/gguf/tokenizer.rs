//! The tokenizer in a file's metadata.

use ocelli::chat::Tokenizer;
use ocelli::import::gguf::{GgufModel, tokenizer_json};
use ocelli::{Error, Result};
use serde_json::Value;

use super::super::common::{XorShift, fixture};
use super::parts::{Parts, text};
use super::{assert_says, read};
use crate::common::MemoryFiles;

fn rebuilt(change: impl FnOnce(&mut Parts)) -> Result<Vec<u8>> {
    let mut parts = Parts::of(&read("tokenizer.gguf"));
    change(&mut parts);
    let files = MemoryFiles([("t.gguf".to_owned(), parts.bytes().into())].into());
    tokenizer_json(&pollster::block_on(GgufModel::open(&files, "t.gguf"))?.metadata)
}

fn original() -> Vec<u8> {
    std::fs::read(fixture("tokenizer.json")).expect("a tokenizer")
}

/// Text of characters for which tokenizers differ.
fn nasty(random: &mut XorShift) -> String {
    const PIECES: [&str; 40] = [
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "\u{a0}",
        "\u{3000}",
        "\u{200b}",
        "\u{feff}",
        "the",
        "The",
        "THE",
        "ing",
        "cat",
        "'s",
        "1",
        "2024",
        "٣",
        "½",
        "é",
        "e\u{301}",
        "ß",
        "İ",
        "ǆ",
        "你好",
        "これ",
        "한",
        "كلب",
        "🙂",
        "👩‍👩‍👧",
        "🇫🇷",
        "[INST]",
        "</s>",
        "[IMG]",
        "/",
        "...",
        "!?",
        "_",
        "\0",
        "\u{10ffff}",
    ];
    let mut out = String::new();
    for _ in 0..random.below(12) {
        match random.below(4) {
            0 => out.extend(char::from_u32(random.below(0x11_0000) as u32)),
            1 => out.push(char::from(random.below(128) as u8)),
            _ => out.push_str(PIECES[random.below(PIECES.len())]),
        }
    }
    out
}

#[test]
fn it_encodes_as_the_original() {
    let ours = Tokenizer::from_json(&rebuilt(|_| ()).expect("a tokenizer")).expect("a tokenizer");
    let theirs = Tokenizer::from_json(&original()).expect("a tokenizer");
    assert_eq!(ours.vocab_size(), theirs.vocab_size());
    let cases = std::fs::read(fixture("tokenizer_cases.json")).expect("cases");
    let cases: Value = serde_json::from_slice(&cases).expect("JSON");
    for case in cases["plain"].as_array().expect("a list") {
        let text = case["text"].as_str().expect("a string");
        assert_eq!(serde_json::json!(ours.encode_text(text).expect("ids")), case["ids"], "{text:?}");
    }
    let mut random = XorShift(0x5eed);
    let mut tokens = 0;
    for _ in 0..10_000 {
        let text = nasty(&mut random);
        let ids = ours.encode_text(&text).expect("ids");
        assert_eq!(ids, theirs.encode_text(&text).expect("ids"), "{text:?}");
        assert_eq!(ours.decode(&ids), text);
        tokens += ids.len();
    }
    assert!(tokens > 100_000, "the strings are not empty: {tokens}");
    for id in 0..ours.vocab_size() as u32 {
        assert_eq!(
            (ours.token_bytes(id), ours.is_control(id)),
            (theirs.token_bytes(id), theirs.is_control(id)),
            "{id}"
        );
    }
}

#[test]
fn it_is_the_original_field_by_field() {
    let ours: Value = serde_json::from_slice(&rebuilt(|_| ()).expect("a tokenizer")).expect("JSON");
    let theirs: Value = serde_json::from_slice(&original()).expect("JSON");
    for field in
        ["/added_tokens", "/model/vocab", "/model/merges", "/model/ignore_merges", "/pre_tokenizer", "/version"]
    {
        assert_eq!(ours.pointer(field), theirs.pointer(field), "{field}");
    }
    let pixtral = rebuilt(|parts| parts.set_text("tokenizer.ggml.pre", "pixtral")).expect("a tokenizer");
    assert_eq!(pixtral, rebuilt(|_| ()).expect("a tokenizer"));
}

#[test]
fn kinds_of_tokens() {
    let kinds = |kind: i32| {
        let json = rebuilt(|parts| {
            let (_, _, types) = parts.pairs.iter_mut().find(|(key, ..)| key.ends_with("token_type")).expect("types");
            types[12 + 4 * 300..][..4].copy_from_slice(&kind.to_le_bytes());
        });
        let json: Value = serde_json::from_slice(&json.expect("a tokenizer")).expect("JSON");
        let added = json["added_tokens"].as_array().expect("a list");
        added.iter().find(|token| token["id"] == 300).map(|token| token["special"].clone())
    };
    assert_eq!(kinds(1), None);
    assert_eq!(kinds(3), Some(true.into()));
    assert_eq!(kinds(4), Some(false.into()));
    assert_eq!(kinds(5), Some(true.into()));
}

#[test]
fn unsupported_tokenizers_are_refused() {
    let reason = |change: &dyn Fn(&mut Parts)| rebuilt(change).expect_err("a refusal");
    let says = |error: Error, parts: &[&str]| assert_says(&error, "tokenizer", parts);
    says(reason(&|parts| parts.set_text("tokenizer.ggml.model", "llama")), &["t.gguf", "llama"]);
    says(reason(&|parts| parts.set_text("tokenizer.ggml.pre", "llama-bpe")), &["llama-bpe"]);
    says(reason(&|parts| parts.remove("tokenizer.ggml.pre")), &["tekken"]);
    for key in ["tokens", "token_type", "merges"] {
        says(reason(&|parts| parts.remove(&format!("tokenizer.ggml.{key}"))), &[key, "missing"]);
        let error = reason(&|parts| parts.set_text(&format!("tokenizer.ggml.{key}"), "x"));
        assert_says(&error, "invalid-checkpoint", &[key, "array"]);
    }
    let array = |texts: &[&str]| {
        let texts: Vec<u8> = texts.iter().flat_map(|one| text(one)).collect();
        [&8u32.to_le_bytes()[..], &2u64.to_le_bytes(), &texts].concat()
    };
    says(reason(&|parts| parts.set("tokenizer.ggml.tokens", 9, array(&["a", "b"]))), &["for 2 tokens"]);
    says(
        reason(&|parts| {
            parts.set("tokenizer.ggml.tokens", 9, array(&["a", "a"]));
            let types = [&5u32.to_le_bytes()[..], &2u64.to_le_bytes(), &[1, 0, 0, 0, 1, 0, 0, 0]].concat();
            parts.set("tokenizer.ggml.token_type", 9, types);
        }),
        &["\"a\"", "twice"],
    );
}
