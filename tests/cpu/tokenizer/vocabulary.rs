//! Random vocabularies and random text to try them on.

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(crate) const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

pub(crate) struct XorShift(pub(crate) u64);

impl XorShift {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
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
pub(crate) fn nasty(random: &mut XorShift) -> String {
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
pub(crate) fn byte_alphabet() -> Vec<char> {
    let printable = |b: u32| matches!(b, 33..=126 | 161..=172 | 174..=255);
    let mut spare = (256..).filter_map(char::from_u32);
    (0..256).map(|b| if printable(b) { char::from_u32(b).unwrap() } else { spare.next().unwrap() }).collect()
}

/// A vocabulary of random tokens, each the join of two earlier ones, with every possible merge as tekken files have it.
pub(crate) fn random_vocabulary(random: &mut XorShift, size: usize, ignore_merges: bool) -> Value {
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
