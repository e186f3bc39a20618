//! A small vocabulary: every byte, and what JSON and words are often made of.

use ocelli_grammar::{Grammars, TokenTable};

/// Ends an answer.
pub(crate) const END: u32 = 0;

fn words() -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = vec![Vec::new()];
    words.extend((0..=255u8).map(|byte| vec![byte]));
    let often = [
        "{\"", "\": ", "\": \"", "\", \"", "\"}", "\"]", "[\"", ", ", ": ", "true", "false", "null", "}, {", "[{",
        "}]", "[[", "]]", "\\\"", "\\n", "\\u00", "http", "https://", ".com", "@", "-0", "0.", "00", "12", "19", "20",
        "2024-", "T1", ":0", "é", "日本", "😀", "name", "value", "id", "abc", "the ", " of",
    ];
    words.extend(often.iter().map(|word| word.as_bytes().to_vec()));
    for a in b'a'..=b'z' {
        words.extend((b'a'..=b'z').step_by(3).map(|b| vec![a, b]));
    }
    words
}

/// The vocabulary, made ready; texts become their longest words.
pub(crate) fn grammars() -> (Grammars, Vec<Vec<u8>>) {
    let words = words();
    let table = TokenTable {
        bytes: words.concat(),
        lengths: words.iter().map(|word| word.len() as u32).collect(),
        control: vec![END],
        eos: vec![END],
    };
    let known = words.clone();
    let encode = move |text: &str| {
        let (mut rest, mut tokens) = (text.as_bytes(), Vec::new());
        while !rest.is_empty() {
            let fits = |(_, word): &(usize, &Vec<u8>)| !word.is_empty() && rest.starts_with(word);
            let longest = known.iter().enumerate().filter(fits).max_by_key(|(_, word)| word.len());
            let (token, word) = longest.expect("every byte is a word");
            tokens.push(token as u32);
            rest = &rest[word.len()..];
        }
        tokens
    };
    (Grammars::new(&table, encode).expect("a vocabulary"), words)
}

/// A small generator of random numbers: splitmix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 31)) >> 20) as usize % most
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}
