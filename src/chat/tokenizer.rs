//! Conversion between text and token ids, for the `tokenizer.json` of a BPE of bytes or of characters.
//!
//! Merging is done by the `tokenizers` crate. This wrapper guarantees that text never becomes a control token. Control tokens are available
//! only by name, through [`Tokenizer::control`].

use std::collections::HashMap;
use std::fmt;

use tokenizers::Model;
use tokenizers::models::bpe::{BPE, Vocab};

use super::byte_alphabet::{byte_to_char, char_to_byte};
use super::characters;
use super::pre_tokenizer::fault;
use super::tokenizer_file::{Spelling, TokenizerFile};
use crate::error::Result;

/// A BPE vocabulary with its control tokens.
pub struct Tokenizer {
    spelling: Spelling,
    /// Model with the ordinary tokens only, so it cannot produce a control token.
    model: BPE,
    /// Printed bytes of each id, absent for control tokens. A map, since a small file may contain high ids.
    printed: HashMap<u32, Box<[u8]>>,
    /// Bytes of the longest ordinary token.
    longest: usize,
    /// One past the highest id.
    vocab_size: usize,
    /// Added tokens by name.
    added: HashMap<String, u32>,
    /// Ids of control tokens, ascending.
    control: Vec<u32>,
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").field("vocab_size", &self.vocab_size()).finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Builds a tokenizer from the bytes of a `tokenizer.json`, version 1.0 or 2.0.
    ///
    /// # Errors
    /// [`crate::Error::Tokenizer`] when the file is damaged or is no BPE of bytes or characters.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        Self::with_pattern(json, None)
    }

    /// Like [`Self::from_json`]; `pattern` replaces all splitting rules of the file.
    ///
    /// # Errors
    /// See [`Self::from_json`].
    pub fn with_pattern(json: &[u8], pattern: Option<&str>) -> Result<Self> {
        let file = TokenizerFile::parse(json, pattern)?;
        let printed = printed_bytes(&file);
        let longest = printed.values().map(|bytes| bytes.len()).max().unwrap_or_default().max(1);
        let highest = file.vocab.values().copied().chain(file.added.iter().map(|token| token.id)).max();
        let vocab_size = highest.map_or(0, |id| id as usize + 1);
        let mut control: Vec<u32> = file.added.iter().filter(|token| token.special).map(|token| token.id).collect();
        control.sort_unstable();
        let added = file.added.into_iter().map(|token| (token.content, token.id)).collect();
        let model = BPE::builder()
            .vocab_and_merges(file.vocab.into_iter().collect::<Vocab>(), file.merges)
            .ignore_merges(file.ignore_merges)
            .byte_fallback(matches!(file.spelling, Spelling::Characters(_)))
            // The library's cache of words would outlive this tokenizer, for as long as the thread does.
            .cache_capacity(0)
            .build()
            .map_err(|error| fault(error.to_string()))?;
        Ok(Self { spelling: file.spelling, model, printed, longest, vocab_size, added, control })
    }

    /// The same tokenizer, in whose output the control tokens with these names are printed. Text still never becomes one of them.
    #[must_use]
    pub fn printing(mut self, is_printed: impl Fn(&str) -> bool) -> Self {
        let Self { added, control, printed, .. } = &mut self;
        for (name, id) in added.iter().filter(|(name, _)| is_printed(name)) {
            control.retain(|other| other != id);
            printed.insert(*id, name.as_bytes().into());
        }
        self
    }

    /// Bytes of the longest token that text can become, after normalisation.
    pub fn longest_token(&self) -> usize {
        self.longest
    }

    /// The ids of a text. No id is a control token's, whatever the text spells.
    ///
    /// # Errors
    /// [`crate::Error::Tokenizer`] if the text cannot be split.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        match &self.spelling {
            Spelling::Bytes(pre_tokenizer) => {
                let text = pre_tokenizer.normalize(text)?;
                for piece in pre_tokenizer.pieces(&text)? {
                    let spelled: String = piece.bytes().map(byte_to_char).collect();
                    self.merge(&spelled, &mut ids)?;
                }
            }
            Spelling::Characters(literals) => {
                for part in literals.parts(text) {
                    match part {
                        Ok(id) => ids.push(id),
                        Err(text) => self.merge(&characters::spelled(text), &mut ids)?,
                    }
                }
            }
        }
        Ok(ids)
    }

    /// Appends the ids of a spelled text after all merges.
    fn merge(&self, spelled: &str, ids: &mut Vec<u32>) -> Result<()> {
        let tokens = self.model.tokenize(spelled).map_err(|error| fault(error.to_string()))?;
        ids.extend(tokens.iter().map(|token| token.id));
        Ok(())
    }

    /// The id of a control token by its name, such as `[INST]`.
    pub fn control(&self, name: &str) -> Option<u32> {
        self.added.get(name).copied()
    }

    /// The name of a control token.
    pub fn control_name(&self, id: u32) -> Option<&str> {
        let is_meant = |(_, known): &(&String, &u32)| **known == id;
        self.added.iter().find(is_meant).filter(|_| self.is_control(id)).map(|(name, _)| name.as_str())
    }

    /// Returns true for a control token, which prints nothing.
    pub fn is_control(&self, id: u32) -> bool {
        self.control.binary_search(&id).is_ok()
    }

    /// Control tokens by id, ascending.
    pub fn control_ids(&self) -> &[u32] {
        &self.control
    }

    /// The tokens that text never becomes, ascending: control tokens, and others that print their name.
    pub fn added_ids(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.added.values().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// The bytes of all tokens, one after another, and their number for each id; 0 for control tokens and unknown ids.
    pub fn table(&self) -> (Vec<u8>, Vec<u32>) {
        let ids = 0..self.vocab_size as u32;
        let tokens = ids.map(|id| self.token_bytes(id).unwrap_or_default());
        (tokens.clone().flatten().copied().collect(), tokens.map(|bytes| bytes.len() as u32).collect())
    }

    /// The printed bytes of a token, not always valid UTF-8. `None` for control tokens and unknown ids.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.printed.get(&id).map(Box::as_ref)
    }

    /// One past the highest id.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The text of a run of tokens; bytes that are not UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().filter_map(|&id| self.token_bytes(id)).flatten().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Printed bytes of each id.
fn printed_bytes(file: &TokenizerFile) -> HashMap<u32, Box<[u8]>> {
    let print = |token: &str| {
        if matches!(file.spelling, Spelling::Characters(_)) {
            return characters::printed(token);
        }
        let mut bytes = Vec::with_capacity(token.len());
        for c in token.chars() {
            match char_to_byte(c) {
                Some(byte) => bytes.push(byte),
                // Outside the byte-level alphabet a character stands for itself.
                None => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        bytes.into()
    };
    let ordinary = file.vocab.iter().map(|(token, &id)| (id, print(token)));
    let added = file.added.iter().filter(|token| !token.special);
    ordinary.chain(added.map(|token| (token.id, token.content.as_bytes().into()))).collect()
}
