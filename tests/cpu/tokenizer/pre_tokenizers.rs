//! Splitting and normalisation, against the library's own reading of the same file.

use serde_json::{Value, json};

use super::broken::reason;
use super::vocabulary::{XorShift, nasty, random_vocabulary};
use super::{LLAMA_3, encode_with_oracle, fixture_json, ids, load, oracle};

pub(super) const QWEN_2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
pub(super) const QWEN_35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

fn split(pattern: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
}

fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": use_regex})
}

fn sequence(steps: &[Value]) -> Value {
    json!({"type": "Sequence", "pretokenizers": steps})
}

fn digits(individual: bool) -> Value {
    json!({"type": "Digits", "individual_digits": individual})
}

/// Files' own normalisers and pre-tokenisers, over random vocabularies and random text.
#[test]
fn every_supported_file_splits_as_in_the_library() {
    let literal = json!({"type": "Split", "pattern": {"String": "a.b"}, "behavior": "Isolated", "invert": false});
    let nfc = json!({"type": "NFC"});
    let cases = [
        (Value::Null, sequence(&[split(LLAMA_3), byte_level(false)]), true),
        (nfc.clone(), sequence(&[split(QWEN_2), byte_level(false)]), false),
        (
            json!({"type": "Sequence", "normalizers": [nfc.clone()]}),
            sequence(&[split(QWEN_35), byte_level(false)]),
            false,
        ),
        (Value::Null, byte_level(true), false),
        (Value::Null, byte_level(false), false),
        (nfc, sequence(&[digits(true), byte_level(true)]), false),
        (Value::Null, sequence(&[digits(false), byte_level(true)]), true),
        // Patterns that leave gaps, match nothing at places, or match a text as it stands.
        (Value::Null, sequence(&[split(r"\p{N}{1,3}"), split("[\r\n]"), split("x*"), byte_level(false)]), false),
        (Value::Null, sequence(&[literal, byte_level(true)]), false),
    ];
    for (seed, (normalizer, pre_tokenizer, ignore_merges)) in (1..).zip(cases) {
        let mut random = XorShift(0x0dd_ba11 * seed);
        let mut file = random_vocabulary(&mut random, 2500, ignore_merges);
        file["normalizer"] = normalizer.clone();
        file["pre_tokenizer"] = pre_tokenizer;
        let (tokenizer, oracle) = (load(&file).unwrap(), oracle(&file));
        for _ in 0..3000 {
            let text = nasty(&mut random).replace('y', "a.b");
            let ids = tokenizer.encode_text(&text).unwrap();
            let expected = encode_with_oracle(&oracle, &text);
            assert!(!ids.iter().any(|&id| tokenizer.is_control(id)), "{text:?}");
            if !expected.iter().any(|&id| tokenizer.is_control(id)) {
                assert_eq!(ids, expected, "{text:?} {}", file["pre_tokenizer"]);
            }
            if normalizer.is_null() {
                assert_eq!(tokenizer.decode(&ids), text);
            }
        }
    }
}

/// Small vocabularies of Llama 3's and Qwen 2's kind, encoded by the library in Python, whose regular expressions are another engine's.
#[test]
fn llama_and_qwen_vocabularies_encode_as_in_python() {
    for name in ["llama3", "qwen2"] {
        let cases = fixture_json(&format!("tokenizers/{name}_cases.json"));
        let tokenizer = load(&fixture_json(&format!("tokenizers/{name}.json"))).unwrap();
        let plain = cases["plain"].as_array().unwrap();
        assert!(plain.len() >= 300);
        for case in plain {
            let text = case["text"].as_str().unwrap();
            assert_eq!(tokenizer.encode_text(text).unwrap(), ids(&case["ids"]), "{name} {text:?}");
            assert_eq!(tokenizer.decode(&ids(&case["ids"])), case["decoded"].as_str().unwrap_or(text), "{name}");
        }
    }
}

#[test]
fn nfc_composes_characters() {
    let mut file = fixture_json("tokenizer.json");
    let plain = load(&file).unwrap();
    file["normalizer"] = json!({"type": "NFC"});
    let joining = load(&file).unwrap();
    let (apart, joined) = ("e\u{301}le\u{300}ve \u{1112}\u{1161}\u{11ab}", "\u{e9}l\u{e8}ve \u{d55c}");
    assert_ne!(plain.encode_text(apart).unwrap(), plain.encode_text(joined).unwrap());
    assert_eq!(joining.encode_text(apart).unwrap(), plain.encode_text(joined).unwrap());
}

#[test]
fn unsupported_settings_are_named() {
    let good = fixture_json("tokenizer.json");
    let refused = |key: &str, value: Value| {
        let mut file = good.clone();
        file[key] = value;
        reason(&file)
    };
    let pre = |value: Value| refused("pre_tokenizer", value);
    let mut removed = split("a");
    removed["behavior"] = json!("Removed");
    let mut prefixed = byte_level(true);
    prefixed["add_prefix_space"] = json!(true);
    for (value, part) in [
        (json!({"type": "Metaspace", "replacement": "_", "add_prefix_space": true}), "Metaspace"),
        (sequence(&[removed, byte_level(false)]), "Removed"),
        (sequence(&[split("a")]), "Split"),
        (sequence(&[byte_level(false), split("a")]), "ByteLevel"),
        (sequence(&[sequence(&[split("a")]), byte_level(false)]), "Sequence"),
        (sequence(&[split("(a"), byte_level(false)]), "pattern"),
        (sequence(&[split(&"a".repeat(5000)), byte_level(false)]), "5000 bytes"),
        (sequence(&vec![split("a"); 20]), "20 steps"),
        (sequence(&[]), "0 steps"),
        (prefixed, "add_prefix_space"),
        (json!([1]), "[1]"),
    ] {
        let reason = pre(value);
        assert!(reason.contains(part), "{reason}");
    }
    for (value, part) in [
        (json!({"type": "NFKC"}), "NFKC"),
        (json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}), "Lowercase"),
        (json!(3), "3"),
    ] {
        let reason = refused("normalizer", value);
        assert!(reason.contains(part), "{reason}");
    }
}

/// A pattern that never ends is an error, not a wait.
#[test]
fn a_pattern_that_gives_up_is_an_error() {
    let mut file = fixture_json("tokenizer.json");
    file["pre_tokenizer"] = sequence(&[split(r"(?:(x+)\1?)+y"), byte_level(false)]);
    let error = load(&file).unwrap().encode_text(&"x".repeat(40)).unwrap_err();
    assert_eq!(error.code(), "tokenizer");
}
