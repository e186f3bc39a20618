//! A vocabulary of the published size that encodes text: control tokens and bytes have their real ids, merges are those of the demo model,
//! and the rest are invented words of syllables.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use ocelli::families::readers::{ChatDefaults, Family};
use ocelli::{Error, Result};
use serde::Deserialize;

/// Control tokens of the real vocabulary; those without a name are numbered.
pub(crate) const CONTROL: usize = 1000;
const BYTES: usize = 256;
/// Ids of bytes in a vocabulary of characters.
pub(crate) const BYTE_TOKENS: Range<usize> = 200..200 + BYTES;
/// Step between the third syllables of successive words that share their first two.
const STRIDE: usize = 6;
const DEMO: &str = include_str!(concat!(env!("OUT_DIR"), "/tokenizer.json"));

#[derive(Deserialize)]
struct File {
    added_tokens: Vec<Added>,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: usize,
    content: String,
}

#[derive(Deserialize)]
struct Model {
    vocab: HashMap<String, usize>,
    merges: Vec<[String; 2]>,
}

/// Token that ends answers if the family's own is outside the vocabulary: that of the demo model.
const EOS: u32 = 2;

/// The tokens of conversations that a vocabulary of `size` has.
pub(crate) fn chat_tokens(family: &Family, size: usize) -> ChatDefaults {
    let (inside, chat) = (|id: &u32| (*id as usize) < size, family.chat);
    let eos = if inside(&chat.eos) { chat.eos } else { EOS };
    ChatDefaults { bos: chat.bos.filter(inside), eos, pad: chat.pad.filter(inside), ..chat }
}

/// Tokens by id, of which the first [`CONTROL`] are control tokens, and merges by rank.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    pub(crate) tokens: Vec<String>,
    pub(crate) merges: Vec<String>,
    known: HashSet<String>,
}

impl Vocabulary {
    /// The vocabulary of `size` tokens, with control tokens of these names; [`Error::InvalidRequest`] for a size that holds no words or that
    /// syllables cannot fill.
    pub(crate) fn new(size: usize, names: &[&str]) -> Result<Self> {
        let demo: File = serde_json::from_str(DEMO).map_err(|e| Error::Internal { detail: e.to_string() })?;
        let mut named: HashMap<usize, &str> = demo.added_tokens.iter().map(|t| (t.id, t.content.as_str())).collect();
        let mut plain: Vec<(&String, usize)> = demo.model.vocab.iter().map(|(token, &id)| (token, id)).collect();
        plain.retain(|(_, id)| !named.contains_key(id));
        plain.sort_by_key(|&(_, id)| id);
        if size < CONTROL + BYTES {
            return Err(Error::request(
                "vocab_size",
                format!("{size} tokens hold no {CONTROL} control tokens and bytes"),
            ));
        }
        let missing =
            names.iter().filter(|name| !named.values().any(|known| known == *name)).copied().collect::<Vec<_>>();
        let free = (0..CONTROL).rev().filter(|id| !named.contains_key(id)).collect::<Vec<_>>();
        named.extend(free.into_iter().zip(missing));
        let mut words = Self::default();
        for id in 0..CONTROL {
            words.push(named.get(&id).map_or_else(|| format!("<SPECIAL_{id}>"), |name| (*name).to_owned()));
        }
        for (token, _) in plain.into_iter().take(size - CONTROL) {
            words.push(token.clone());
        }
        let known = |[left, right]: &&[String; 2]| words.known.contains(&format!("{left}{right}"));
        words.merges = demo.model.merges.iter().filter(known).map(|[left, right]| format!("{left} {right}")).collect();
        words.add_syllables(size);
        match words.tokens.len() {
            len if len == size => Ok(words),
            len => Err(Error::request("vocab_size", format!("{len} tokens are all there are, not {size}"))),
        }
    }

    /// The same words spelled in characters, with a token for each byte among the control tokens without a name.
    pub(crate) fn of_characters(self) -> Self {
        let spelled = |text: String| text.replace('\u{120}', "\u{2581}").replace('\u{10a}', "\n");
        let mut tokens: Vec<String> = self.tokens.into_iter().map(spelled).collect();
        for (byte, id) in BYTE_TOKENS.enumerate() {
            tokens[id] = format!("<0x{byte:02X}>");
        }
        Self { tokens, merges: self.merges.into_iter().map(spelled).collect(), known: HashSet::new() }
    }

    fn push(&mut self, token: String) {
        self.known.insert(token.clone());
        self.tokens.push(token);
    }

    /// A word with all the ways to merge it.
    fn word(&mut self, size: usize, splits: &[(&str, &str)]) {
        let Some((left, right)) = splits.first() else { return };
        let word = format!("{left}{right}");
        if self.tokens.len() >= size || self.known.contains(&word) {
            return;
        }
        self.push(word);
        self.merges.extend(splits.iter().map(|(left, right)| format!("{left} {right}")));
    }

    /// Syllables, pairs of them, and both with a space before them; then three of them with a space, while there is room.
    fn add_syllables(&mut self, size: usize) {
        let letters = |letters: &'static str| letters.chars().map(String::from);
        let mut syllables = Vec::new();
        for consonant in letters("bdfghjklmnprstvwyz") {
            for vowel in letters("aeiou") {
                self.word(size, &[(&consonant, &vowel)]);
                syllables.push(format!("{consonant}{vowel}"));
            }
        }
        for syllable in &syllables {
            self.word(size, &[("Ġ", syllable)]);
        }
        let pairs = || syllables.iter().flat_map(|a| syllables.iter().map(move |b| (a, b)));
        for (a, b) in pairs() {
            self.word(size, &[(a, b)]);
            self.word(size, &[(&format!("Ġ{a}"), b), ("Ġ", &format!("{a}{b}"))]);
        }
        // First words of three syllables spread over all combinations, then those between them.
        let count = syllables.len();
        for step in 0..count {
            let offset = STRIDE * step + STRIDE * step / count;
            if self.tokens.len() >= size {
                return;
            }
            for (index, (a, b)) in pairs().enumerate() {
                let c = &syllables[(index + index / count + offset) % count];
                self.word(size, &[(&format!("Ġ{a}{b}"), c), (&format!("Ġ{a}"), &format!("{b}{c}"))]);
            }
        }
    }
}
