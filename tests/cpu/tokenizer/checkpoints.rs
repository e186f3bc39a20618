//! Tokenizers of the small checkpoints of families, against the library on random text.

use serde_json::Value;

use super::vocabulary::{XorShift, nasty};
use super::{encode_with_oracle, fixture_json, load};

/// Each checkpoint, and the added tokens of its file that are ordinary text.
const CHECKPOINTS: [(&str, &[&str]); 4] = [
    ("gemma4", &["\n", "\n\n", "\n\n\n", "\t", "<b>", "</b>"]),
    ("smolvlm", &[]),
    ("granite_docling", &[]),
    ("minicpmv4_6", &[]),
];

/// Random text with names of added tokens at some places.
fn text_with_names(random: &mut XorShift, names: &[&str]) -> String {
    let mut text = nasty(random);
    for _ in 0..random.below(3) {
        text.push_str(random.pick::<&str>(names));
        text.push_str(&nasty(random));
    }
    text
}

#[test]
fn checkpoints_equal_the_library_on_random_text() {
    let mut random = XorShift(0x51a1_1e57_0b5e_55ed);
    for (checkpoint, ordinary) in CHECKPOINTS {
        let file = fixture_json(&format!("checkpoints/{checkpoint}/tokenizer.json"));
        let added = file["added_tokens"].as_array().unwrap();
        let names: Vec<&str> = added.iter().map(|token| token["content"].as_str().unwrap()).collect();
        let is_ordinary = |token: &Value| ordinary.contains(&token["content"].as_str().unwrap());
        let mut plain = file.clone();
        plain["added_tokens"] = added.iter().filter(|token| is_ordinary(token)).cloned().collect();
        let oracle: tokenizers::Tokenizer = serde_json::to_string(&plain).unwrap().parse().unwrap();
        let tokenizer = load(&file).unwrap();
        let controls: Vec<u32> =
            names.iter().filter(|name| !ordinary.contains(name)).map(|name| tokenizer.control(name).unwrap()).collect();
        for _ in 0..10_000 {
            let text = text_with_names(&mut random, &names);
            let ids = tokenizer.encode_text(&text).unwrap();
            assert_eq!(ids, encode_with_oracle(&oracle, &text), "{checkpoint} {text:?}");
            assert!(!ids.iter().any(|id| controls.contains(id)), "{checkpoint} {text:?}");
            assert_eq!(tokenizer.decode(&ids), oracle.decode(&ids, false).unwrap(), "{checkpoint} {text:?}");
        }
    }
}
