//! The tokenizer against fixtures, against the library's own reading of the same file, and against damaged files.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use ocelli::Error;
use ocelli::chat::Tokenizer;
use proptest::prelude::*;
use serde_json::{Value, json};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
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

/// The library's own pipeline, told of no control token, as text must be encoded.
fn oracle(file: &Value) -> tokenizers::Tokenizer {
    let mut plain = file.clone();
    plain["added_tokens"] = json!([]);
    serde_json::to_string(&plain).unwrap().parse().unwrap()
}

fn encode_with_oracle(oracle: &tokenizers::Tokenizer, text: &str) -> Vec<u32> {
    oracle.encode_fast(text, false).unwrap().get_ids().to_vec()
}

struct XorShift(u64);

impl XorShift {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn char(&mut self, from: u32, count: u32) -> char {
        loop {
            let point = from + self.below(count as usize) as u32;
            if let Some(c) = char::from_u32(point) {
                return c;
            }
        }
    }
}

const PIECES: &[&str] = &[
    "[INST]",
    "[/INST]",
    "</s>",
    "<s>",
    "[IMG]",
    "[IMG_BREAK]",
    "[SYSTEM_PROMPT]",
    "<|im_end|>",
    "don't",
    "DON'T",
    "it's",
    "hello world",
    "über",
    "straße",
    "Привет",
    "日本語",
    "한국어",
    "مرحبا",
    "नमस्ते",
    "ไทย",
    "\r\n",
    "\n\n\n",
    "   ",
    "\t\t",
    "://",
    "/*",
    "//\n",
    "a/b\r\n",
    "👩‍👩‍👧‍👦",
    "🇩🇪",
    "½",
    "²",
    "ⅷ",
    "٣",
    "e\u{301}",
    "\0",
    "\u{7f}",
    "\u{feff}",
    "\u{fffd}",
    "ǅLj",
    "ﬁ",
    "__init__",
];

/// Runs of letters, digits, marks, spaces, controls, emoji and arbitrary characters in any order.
fn nasty(random: &mut XorShift) -> String {
    let mut text = String::new();
    for _ in 0..=random.below(24) {
        let run = 1 + random.below(5);
        for _ in 0..run {
            match random.below(14) {
                0 | 1 => text.push_str(random.pick::<&str>(PIECES)),
                2 | 3 => text.push(random.char(0x61, 26)),
                4 => text.push(random.char(0x41, 26)),
                5 => text.push(random.char(0x30, 10)),
                6 => text
                    .push(*random.pick(&[' ', '\n', '\t', '\r', '\u{a0}', '\u{3000}', '\u{2028}', '\u{85}', '\u{b}'])),
                7 => text.push(random.char(0, 0x11_0000)),
                8 => text.push(random.char(0, 0x3000)),
                9 => text.push(random.char(0x21, 0x60)),
                10 => text.extend(['e', random.char(0x300, 0x70)]),
                11 => text.extend([random.char(0x1f300, 0x700), '\u{200d}']),
                12 => text.push(random.char(0x4e00, 0x5000)),
                _ => text.push(' '),
            }
        }
    }
    text
}

/// GPT-2's printable spelling of the bytes.
fn byte_alphabet() -> Vec<char> {
    let printable = |b: u32| matches!(b, 33..=126 | 161..=172 | 174..=255);
    let mut spare = (256..).filter_map(char::from_u32);
    (0..256).map(|b| if printable(b) { char::from_u32(b).unwrap() } else { spare.next().unwrap() }).collect()
}

/// A vocabulary of random tokens, each the join of two earlier ones, with every possible merge as tekken files have it.
fn random_vocabulary(random: &mut XorShift, size: usize, ignore_merges: bool) -> Value {
    let controls = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[IMG]", "hello"];
    let mut tokens: Vec<String> = byte_alphabet().into_iter().map(String::from).collect();
    let common: Vec<String> = "etaoinshrdlu ETA\n0123é日".bytes().map(|b| tokens[b as usize].clone()).collect();
    let mut rank: BTreeMap<String, usize> = tokens.iter().cloned().zip(0..).collect();
    while tokens.len() < size {
        let part = |random: &mut XorShift| match random.below(2) {
            0 => random.pick(&common).clone(),
            _ => random.pick(&tokens).clone(),
        };
        let joined = part(random) + &part(random);
        if joined.chars().count() <= 12 && !rank.contains_key(&joined) {
            rank.insert(joined.clone(), tokens.len());
            tokens.push(joined);
        }
    }
    let mut merges = Vec::new();
    for token in &tokens[256..] {
        let splits = token.char_indices().skip(1).map(|(at, _)| token.split_at(at));
        let mut known: Vec<_> = splits.filter(|(l, r)| rank.contains_key(*l) && rank.contains_key(*r)).collect();
        known.sort_by_key(|(l, r)| (rank[*l], rank[*r]));
        merges.extend(known.into_iter().map(|(l, r)| format!("{l} {r}")));
    }
    let vocab: BTreeMap<&str, usize> =
        controls.iter().copied().chain(tokens.iter().map(String::as_str)).zip(0..).collect();
    let added: Vec<Value> = (0..)
        .zip(controls)
        .map(|(id, name): (u32, _)| {
            json!({"id": id, "content": name, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                   "special": true})
        })
        .collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": TEKKEN}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": ignore_merges,
                  "vocab": vocab, "merges": merges}
    })
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
            // Told of no control tokens, the library may still meet one that is a word, such as "hello".
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

#[test]
fn a_mistral_vocabulary_always_gets_mistrals_pattern() {
    let right = random_vocabulary(&mut XorShift(11), 2000, true);
    let mut wrong = right.clone();
    wrong["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = json!(LLAMA_3);
    let text = "3102310 210 tEAt HEs ";
    let (expected, other) = (encode_with_oracle(&oracle(&right), text), encode_with_oracle(&oracle(&wrong), text));
    assert_ne!(expected, other, "the text does not tell the patterns apart");
    assert_eq!(load(&wrong).unwrap().encode_text(text).unwrap(), expected);
    wrong["pre_tokenizer"] = Value::Null;
    assert_eq!(load(&wrong).unwrap().encode_text(text).unwrap(), expected);
}

#[test]
fn other_vocabularies_are_refused_unless_they_split_alike() {
    let mut file = fixture_json("tokenizer.json");
    file["added_tokens"].as_array_mut().unwrap().retain(|token| token["content"] != "[INST]");
    assert!(load(&file).is_ok());
    file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = json!(LLAMA_3);
    assert!(reason(&file).contains("pre-tokeniser"));
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

/// Why a file is refused; a panic or another kind of error fails the test.
fn reason(file: &Value) -> String {
    match load(file) {
        Err(Error::Tokenizer { reason }) => reason,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the file was accepted"),
    }
}

#[test]
fn broken_files_say_what_is_wrong() {
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
    assert!(changed("/normalizer", json!({"type": "NFC"})).contains("normalizers"));
    assert!(changed("/model/byte_fallback", json!(true)).contains("byte-level"));
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
fn odd_vocabularies_load_as_fast_as_any() {
    let bytes: Vec<String> = byte_alphabet().into_iter().map(String::from).collect();
    let pairs = || bytes.iter().flat_map(|l| bytes.iter().map(move |r| (l, r)));
    let tokens = bytes.iter().cloned().chain(pairs().map(|(l, r)| format!("{l}{r}")));
    let vocab: BTreeMap<String, usize> = tokens.zip(10..).collect();
    let merges: Vec<_> = pairs().map(|(l, r)| json!([l, r])).collect();
    let file = json!({"added_tokens": [{"id": 3, "content": "[INST]", "special": true}],
                      "model": {"vocab": vocab, "merges": merges}});
    let start = Instant::now();
    let tokenizer = load(&file).unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(tokenizer.encode_text("ok").unwrap().len(), 1);
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

#[test]
fn long_texts_take_no_longer_than_their_length_asks() {
    let tokenizer = Tokenizer::from_json(&fixture("tokenizer.json")).unwrap();
    for unit in ["a", " ", "\n", "!", "日", "ab1 ", "\u{301}", "[INST]"] {
        let text = unit.repeat(500_000 / unit.len());
        let start = Instant::now();
        let ids = tokenizer.encode_text(&text).unwrap();
        assert!(start.elapsed() < Duration::from_secs(10), "{unit:?} took {:?}", start.elapsed());
        assert_eq!(tokenizer.decode(&ids), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

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

    #[test]
    fn any_text_comes_back(text in any::<String>()) {
        static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| Tokenizer::from_json(&fixture("tokenizer.json")).unwrap());
        let tokenizer = &*TOKENIZER;
        let ids = tokenizer.encode_text(&text).unwrap();
        prop_assert_eq!(tokenizer.decode(&ids), text);
        prop_assert!(ids.iter().all(|&id| !tokenizer.is_control(id)));
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
