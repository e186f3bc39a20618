//! A model's vocabulary as a prefix tree of bytes.

use llguidance::toktrie::{TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use crate::error::{GrammarError, Result};

/// What every token prints, by id.
#[derive(Debug, Clone, Default)]
pub struct TokenTable {
    /// The bytes of all tokens, one after another.
    pub bytes: Vec<u8>,
    /// How many of them each token has.
    pub lengths: Vec<u32>,
    /// Tokens that no text becomes: they come where a grammar names them.
    pub control: Vec<u32>,
    /// Of those, the ones that end an answer.
    pub eos: Vec<u32>,
}

impl TokenTable {
    /// The prefix tree. Control tokens stand in it under names that no text spells.
    pub(crate) fn trie(&self) -> Result<TokTrie> {
        let eos =
            *self.eos.first().ok_or_else(|| GrammarError::invalid("the model has no token that ends an answer"))?;
        let total: u64 = self.lengths.iter().map(|&length| u64::from(length)).sum();
        if total != self.bytes.len() as u64 || self.eos.iter().any(|&id| id as usize >= self.lengths.len()) {
            return Err(GrammarError::invalid("the table of tokens does not hold together"));
        }
        let mut rest = self.bytes.as_slice();
        let mut words: Vec<Vec<u8>> = Vec::with_capacity(self.lengths.len());
        for &length in &self.lengths {
            let (word, behind) = rest.split_at(length as usize);
            (rest, words) = (behind, {
                words.push(word.to_vec());
                words
            });
        }
        for &id in self.control.iter().chain(&self.eos) {
            if let Some(word) = words.get_mut(id as usize) {
                *word = [&[TokTrie::SPECIAL_TOKEN_MARKER], format!("<{id}>").as_bytes()].concat();
            }
        }
        let trie = TokTrie::from(&TokRxInfo::new(words.len() as u32, eos), &words);
        Ok(trie.with_eos_tokens(&self.eos))
    }
}

/// Text to tokens as the model's own tokenizer does it, for text that is the only one possible.
pub(crate) type Encode = Box<dyn Fn(&str) -> Vec<u32> + Send + Sync>;

/// What llguidance asks of a tokenizer.
pub(crate) struct Vocabulary {
    pub(crate) trie: TokTrie,
    pub(crate) encode: Encode,
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| (self.encode)(text))
    }
}
