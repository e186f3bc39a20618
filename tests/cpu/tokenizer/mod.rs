//! The tokenizer against fixtures, against the library's own reading of the same file, and against damaged files.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use ocelli::chat::Tokenizer;
use ocelli::families::definition;
use ocelli_synth::published;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::cpu_time::cpu_time;
use broken::reason;
use vocabulary::{XorShift, byte_alphabet, nasty, random_vocabulary};

mod broken;
mod checkpoints;
mod export;
mod patterns;
mod pre_tokenizers;
mod vocabulary;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FIXTURES}/{name}")).unwrap()
}

fn fixture_json(name: &str) -> Value {
    serde_json::from_slice(&fixture(name)).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn load(file: &Value) -> ocelli::Result<Tokenizer> {
    Tokenizer::from_json(&serde_json::to_vec(file).unwrap())
}

/// The library's own pipeline, without control tokens, because text must be encoded without them.
fn oracle(file: &Value) -> tokenizers::Tokenizer {
    let mut plain = file.clone();
    plain["added_tokens"] = json!([]);
    serde_json::to_string(&plain).unwrap().parse().unwrap()
}

fn encode_with_oracle(oracle: &tokenizers::Tokenizer, text: &str) -> Vec<u32> {
    oracle.encode_fast(text, false).unwrap().get_ids().to_vec()
}

#[test]
fn fixture_strings_encode_and_decode() {
    let cases = fixture_json("tokenizer_cases.json");
    let tokenizer = Tokenizer::from_json(&fixture(cases["tokenizer"].as_str().unwrap())).unwrap();
    let plain = cases["plain"].as_array().unwrap();
    assert!(plain.len() >= 300);
    for case in plain {
        let text = case["text"].as_str().unwrap();
        assert_eq!(tokenizer.encode_text(text).unwrap(), ids(&case["ids"]), "{text:?}");
        assert_eq!(tokenizer.decode(&ids(&case["ids"])), text);
    }
    for case in cases["decode"].as_array().unwrap() {
        assert_eq!(tokenizer.decode(&ids(&case["ids"])), case["text"].as_str().unwrap(), "{case}");
    }
}

#[test]
fn equals_the_library_on_random_text() {
    let mut files: Vec<Value> = ["tokenizer.json", "checkpoints/untied/tokenizer.json"].map(fixture_json).to_vec();
    let mut random = XorShift(0x9e37_79b9_7f4a_7c15);
    files.push(random_vocabulary(&mut random, 1500, true));
    files.push(random_vocabulary(&mut random, 6000, true));
    files.push(random_vocabulary(&mut random, 3000, false));
    for file in &files {
        let (tokenizer, oracle) = (load(file).unwrap(), oracle(file));
        for _ in 0..5000 {
            let text = nasty(&mut random);
            let ids = tokenizer.encode_text(&text).unwrap();
            // Without control tokens, the library may still find one that is a word, such as "hello".
            let expected = encode_with_oracle(&oracle, &text);
            if !expected.iter().any(|&id| tokenizer.is_control(id)) {
                assert_eq!(ids, expected, "{text:?}");
            }
            assert!(!ids.iter().any(|&id| tokenizer.is_control(id)), "{text:?}");
            assert_eq!(tokenizer.decode(&ids), text);
        }
    }
}

#[test]
fn every_character_splits_as_in_the_library() {
    let file = fixture_json("tokenizer.json");
    let (tokenizer, oracle) = (load(&file).unwrap(), oracle(&file));
    for plane in [0..0x3400u32, 0xa000..0xac00, 0xd7a0..0x1_2000, 0x1_6000..0x1_9000, 0x1_d000..0x2_0000] {
        let points: Vec<char> = plane.filter_map(char::from_u32).collect();
        for block in points.chunks(32) {
            for (before, after) in [("Ⴥ", "a"), ("a", "1"), ("!", " "), (" ", "\n")] {
                let text: String = block
                    .iter()
                    .flat_map(|c| [before, c.to_string().as_str(), after].concat().chars().collect::<Vec<_>>())
                    .collect();
                assert_eq!(tokenizer.encode_text(&text).unwrap(), encode_with_oracle(&oracle, &text), "{text:?}");
            }
        }
    }
}

#[test]
fn control_tokens_come_from_their_names_alone() {
    let tokenizer = Tokenizer::from_json(&fixture("tokenizer.json")).unwrap();
    assert_eq!(tokenizer.control("<s>"), Some(1));
    assert_eq!(tokenizer.control("[INST]"), Some(3));
    assert_eq!(tokenizer.control("[NOTHING]"), None);
    assert_eq!(tokenizer.control("a"), None);
    for name in ["<s>", "</s>", "[INST]", "[IMG]", "[SYSTEM_PROMPT]"] {
        let id = tokenizer.control(name).unwrap();
        assert!(tokenizer.is_control(id) && tokenizer.token_bytes(id).is_none(), "{name}");
        let typed = tokenizer.encode_text(name).unwrap();
        assert!(!typed.iter().any(|&id| tokenizer.is_control(id)), "{name} {typed:?}");
        assert_eq!(tokenizer.decode(&typed), name);
        assert_eq!(tokenizer.decode(&[id]), "");
    }
}

#[test]
fn a_control_token_that_is_a_word_stays_out_of_text() {
    let file = random_vocabulary(&mut XorShift(7), 400, true);
    let tokenizer = load(&file).unwrap();
    let hello = tokenizer.control("hello").unwrap();
    assert_eq!(encode_with_oracle(&oracle(&file), "hello"), [hello], "the trap is not set");
    let typed = tokenizer.encode_text("hello").unwrap();
    assert!(!typed.contains(&hello) && tokenizer.decode(&typed) == "hello");
}

#[test]
fn added_tokens_that_are_not_special_print_themselves() {
    let mut file = fixture_json("tokenizer.json");
    let next = Tokenizer::from_json(&fixture("tokenizer.json")).unwrap().vocab_size() as u32;
    file["added_tokens"].as_array_mut().unwrap().push(json!({"id": next, "content": "<loc 7>", "special": false}));
    let tokenizer = load(&file).unwrap();
    assert_eq!(tokenizer.vocab_size(), next as usize + 1);
    assert_eq!(tokenizer.decode(&[next]), "<loc 7>");
    assert!(!tokenizer.is_control(next) && !tokenizer.encode_text("<loc 7>").unwrap().contains(&next));
}

#[test]
fn token_bytes_map_the_byte_alphabet_back() {
    let tokenizer = Tokenizer::from_json(&fixture("tokenizer.json")).unwrap();
    let single: Vec<u8> = (40..296).map(|id| tokenizer.token_bytes(id).unwrap()[0]).collect();
    assert_eq!(single, (0..=255).collect::<Vec<u8>>());
    assert!((40..296).all(|id| tokenizer.token_bytes(id).unwrap().len() == 1));
    assert_eq!(tokenizer.token_bytes(tokenizer.vocab_size() as u32), None);
    assert_eq!(tokenizer.token_bytes(u32::MAX), None);
    let joined: Vec<u8> = tokenizer
        .encode_text("Grüße, 日本 🙂")
        .unwrap()
        .iter()
        .flat_map(|&id| tokenizer.token_bytes(id).unwrap().to_vec())
        .collect();
    assert_eq!(joined, "Grüße, 日本 🙂".as_bytes());
}

/// The pattern that Mistral's models were trained with.
fn tekken() -> &'static str {
    definition(&published("ministral-3-3b").unwrap()).family().split_pattern.unwrap()
}

#[test]
fn a_mistral_vocabulary_always_gets_mistrals_pattern() {
    let right = random_vocabulary(&mut XorShift(11), 2000, true);
    let mut wrong = right.clone();
    wrong["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = json!(LLAMA_3);
    let text = "3102310 210 tEAt HEs ";
    let (expected, other) = (encode_with_oracle(&oracle(&right), text), encode_with_oracle(&oracle(&wrong), text));
    assert_ne!(expected, other, "the text does not tell the patterns apart");
    assert_eq!(load(&wrong).unwrap().encode_text(text).unwrap(), other);
    let fixed = |file: &Value| Tokenizer::with_pattern(&serde_json::to_vec(file).unwrap(), Some(tekken())).unwrap();
    assert_eq!(fixed(&wrong).encode_text(text).unwrap(), expected);
    wrong["pre_tokenizer"] = Value::Null;
    assert_eq!(fixed(&wrong).encode_text(text).unwrap(), expected);
    assert!(reason(&wrong).contains("no pre-tokeniser"));
}

#[test]
fn both_spellings_of_merges_mean_the_same() {
    let old = fixture_json("tokenizer.json");
    let mut new = old.clone();
    new["version"] = json!("2.0");
    let pairs = old["model"]["merges"].as_array().unwrap().iter().map(|merge| match merge.as_str() {
        Some(text) => json!(text.split_once(' ').map(|(l, r)| [l, r]).unwrap()),
        None => {
            json!(merge.as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect::<Vec<_>>().join(" "))
        }
    });
    new["model"]["merges"] = pairs.collect();
    assert_ne!(old["model"]["merges"], new["model"]["merges"]);
    let text = "The quick brown fox; Grüße!";
    assert_eq!(load(&old).unwrap().encode_text(text).unwrap(), load(&new).unwrap().encode_text(text).unwrap());
}

#[test]
fn odd_vocabularies_load_as_fast_as_any() {
    let bytes: Vec<String> = byte_alphabet().into_iter().map(String::from).collect();
    let pairs = || bytes.iter().flat_map(|l| bytes.iter().map(move |r| (l, r)));
    let tokens = bytes.iter().cloned().chain(pairs().map(|(l, r)| format!("{l}{r}")));
    let vocab: BTreeMap<String, usize> = tokens.zip(10..).collect();
    let merges: Vec<_> = pairs().map(|(l, r)| json!([l, r])).collect();
    let file = json!({"added_tokens": [{"id": 3, "content": "[INST]", "special": true}],
                      "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
                      "model": {"vocab": vocab, "merges": merges}});
    let start = cpu_time();
    let tokenizer = load(&file).unwrap();
    let took = cpu_time() - start;
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(tokenizer.encode_text("ok").unwrap().len(), 1);
}

#[test]
fn long_texts_take_no_longer_than_their_length_asks() {
    let tokenizer = Tokenizer::from_json(&fixture("tokenizer.json")).unwrap();
    for unit in ["a", " ", "\n", "!", "日", "ab1 ", "\u{301}", "[INST]"] {
        let text = unit.repeat(500_000 / unit.len());
        let start = cpu_time();
        let ids = tokenizer.encode_text(&text).unwrap();
        let took = cpu_time() - start;
        assert!(took < Duration::from_secs(10), "{unit:?} took {took:?}");
        assert_eq!(tokenizer.decode(&ids), text);
    }
}

proptest! {
    #![proptest_config(crate::fixed_cases(600))]

    #[test]
    fn any_text_round_trips(text in any::<String>()) {
        static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| Tokenizer::from_json(&fixture("tokenizer.json")).unwrap());
        let tokenizer = &*TOKENIZER;
        let ids = tokenizer.encode_text(&text).unwrap();
        prop_assert_eq!(tokenizer.decode(&ids), text);
        prop_assert!(ids.iter().all(|&id| !tokenizer.is_control(id)));
    }
}
