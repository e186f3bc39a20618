//! Damaged files are refused with a reason and never panic.

use ocelli::Error;
use ocelli::chat::Tokenizer;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{fixture, fixture_json, load};

/// Why a file is refused; a panic or another kind of error fails the test.
pub(crate) fn reason(file: &Value) -> String {
    match load(file) {
        Err(Error::Tokenizer { reason }) => reason,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the file was accepted"),
    }
}

#[test]
fn broken_files_have_reasons() {
    let good = fixture_json("tokenizer.json");
    let changed = |pointer: &str, value: Value| {
        let mut file = good.clone();
        *file.pointer_mut(pointer).unwrap() = value;
        reason(&file)
    };
    let with_token = |name: &str, id: Value| {
        let mut file = good.clone();
        file["model"]["vocab"][name] = id;
        reason(&file)
    };
    assert!(changed("/model/merges/0", json!("zz qq")).contains("unknown token"));
    assert!(changed("/model/merges/0", json!("no-space")).contains("without a space"));
    assert!(changed("/model/merges/0", json!(["a", "b", "c"])).contains("two strings"));
    assert!(changed("/model/merges/0", json!(["a"])).contains("two strings"));
    assert!(changed("/model/type", json!("Unigram")).contains("Unigram"));
    assert!(changed("/model/vocab", json!({})).contains("unknown token"));
    assert!(changed("/model/vocab", json!([1, 2])).contains("tokenizer.json"));
    assert!(changed("/model", json!("BPE")).contains("tokenizer.json"));
    assert!(changed("/model/byte_fallback", json!(true)).contains("vocabulary of characters must replace spaces"));
    assert!(changed("/added_tokens/3/id", json!(77)).contains("77"));
    assert!(with_token("zq", json!(4_000_000_000u32)).contains("too high"));
    assert!(with_token("zq", json!(5_000_000_000u64)).contains("tokenizer.json"));
    assert!(with_token("zq", json!(-1)).contains("tokenizer.json"));
    assert!(with_token("zq", json!(41)).contains("two tokens"));
    assert!(with_token(&"z".repeat(70_000), json!(3_000_000)).contains("70000 bytes"));
    assert!(with_token("", json!(3_000_000)).contains("empty"));
}

#[test]
fn a_vocabulary_without_all_bytes_is_refused() {
    let mut file = fixture_json("tokenizer.json");
    file["model"]["merges"] = json!([]);
    file["model"]["vocab"].as_object_mut().unwrap().retain(|token, _| token != "a");
    assert!(reason(&file).contains("0x61"));
}

#[test]
fn truncated_files_are_refused() {
    let whole = fixture("tokenizer.json");
    for end in (0..whole.trim_ascii_end().len() - 1).step_by(97) {
        assert!(matches!(Tokenizer::from_json(&whole[..end]), Err(Error::Tokenizer { .. })), "{end}");
    }
    for not_json in [&b""[..], b"\xff\xfe", b"null", b"[]", b"{}", b"\x89PNG"] {
        assert!(matches!(Tokenizer::from_json(not_json), Err(Error::Tokenizer { .. })));
    }
    let deep = [b"{\"normalizer\":".as_slice(), &b"[".repeat(100_000)].concat();
    assert!(matches!(Tokenizer::from_json(&deep), Err(Error::Tokenizer { .. })));
}

proptest! {
    #![proptest_config(crate::fixed_cases(600))]

    #[test]
    fn changed_bytes_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = fixture("checkpoints/fp8/tokenizer.json");
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // A change may well leave a usable file; then it must work.
        match Tokenizer::from_json(&bytes) {
            Ok(tokenizer) => prop_assert_eq!(tokenizer.decode(&tokenizer.encode_text("Hello é 日").unwrap()), "Hello é 日"),
            Err(error) => prop_assert_eq!(error.code(), "tokenizer"),
        }
    }

    #[test]
    fn changed_values_never_panic(at in any::<prop::sample::Index>(), value in prop_oneof![
        Just(json!(null)), Just(json!(0)), Just(json!(-1)), Just(json!(1e300)), Just(json!("")), Just(json!("a b")),
        Just(json!([])), Just(json!({})), Just(json!(true)), Just(json!(["a", "b"])), Just(json!(u64::MAX)),
    ]) {
        let mut file = fixture_json("checkpoints/fp8/tokenizer.json");
        let pointers = pointers(&file);
        *file.pointer_mut(&pointers[at.index(pointers.len())]).unwrap() = value;
        if let Err(error) = load(&file) {
            prop_assert_eq!(error.code(), "tokenizer");
        }
    }
}

/// Paths of every value in a document.
fn pointers(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(k, v)| (k.replace('~', "~0").replace('/', "~1"), v)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        _ => Vec::new(),
    };
    let below = children.iter().flat_map(|(k, v)| pointers(v).into_iter().map(move |p| format!("/{k}{p}")));
    std::iter::once(String::new()).chain(below).collect()
}
