//! A model's vocabulary as a prefix tree of bytes.

use llguidance::toktrie::{TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use crate::error::{GrammarError, Result};

/// Printed bytes of all tokens, by id.
#[derive(Debug, Clone, Default)]
pub struct TokenTable {
    /// The bytes of all tokens, one after another.
    pub bytes: Vec<u8>,
    /// Number of bytes of each token.
    pub lengths: Vec<u32>,
    /// Tokens that text never becomes; they are allowed only where a grammar names them.
    pub control: Vec<u32>,
    /// The control tokens that end an answer.
    pub eos: Vec<u32>,
}

impl TokenTable {
    /// The prefix tree. Control tokens have names in it that no text contains.
    pub(crate) fn trie(&self) -> Result<TokTrie> {
        let eos =
            *self.eos.first().ok_or_else(|| GrammarError::invalid("the model has no token that ends an answer"))?;
        let total: u64 = self.lengths.iter().map(|&length| u64::from(length)).sum();
        if total != self.bytes.len() as u64 || self.eos.iter().any(|&id| id as usize >= self.lengths.len()) {
            return Err(GrammarError::invalid("the table of tokens is inconsistent"));
        }
        let mut rest = self.bytes.as_slice();
        let mut words: Vec<Vec<u8>> = Vec::with_capacity(self.lengths.len());
        for &length in &self.lengths {
            let (word, after) = rest.split_at(length as usize);
            rest = after;
            words.push(word.to_vec());
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

/// The model's tokenizer, for text without a choice.
pub(crate) type Encode = Box<dyn Fn(&str) -> Vec<u32> + Send + Sync>;

/// The tokenizer interface of llguidance.
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
