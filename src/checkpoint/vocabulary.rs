//! A byte-level vocabulary as far as importers need it: the tokens of the short texts that are part of a model's configuration.

use std::collections::HashMap;

use crate::error::{Error, Result};

/// The spelling of a line end in byte-level vocabularies.
const LINE_END: &str = "Ċ";

/// Ids by spelling, and ranks of merges.
#[derive(Debug, Default)]
pub struct Vocabulary {
    ids: HashMap<String, u32>,
    ranks: HashMap<(String, String), usize>,
}

impl Vocabulary {
    /// A vocabulary with merges in the order of their ranks.
    pub fn new(
        tokens: impl IntoIterator<Item = (String, u32)>,
        merges: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let ranks = merges.into_iter().enumerate().map(|(rank, pair)| (pair, rank)).collect();
        Self { ids: tokens.into_iter().collect(), ranks }
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    /// The tokens of a short text of ASCII: one if there is a token of that name, otherwise those of its runs of letters, of its digits, and of
    /// its runs of other characters.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if a character is missing.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        if let Some(id) = self.id(text) {
            return Ok(vec![id]);
        }
        let kind = |c: char| (c.is_ascii_alphabetic(), c.is_ascii_digit());
        let chars: Vec<char> = text.chars().collect();
        let runs = chars.chunk_by(|a, b| kind(*a) == kind(*b) && !a.is_ascii_digit());
        let ids: Vec<Vec<u32>> = runs.map(|run| self.merge(run)).collect::<Result<_>>()?;
        Ok(ids.concat())
    }

    /// The tokens of a run of characters: neighbours are merged, those of the lowest rank first.
    fn merge(&self, run: &[char]) -> Result<Vec<u32>> {
        let spelled = |c: &char| if *c == '\n' { LINE_END.to_owned() } else { c.to_string() };
        let mut parts: Vec<String> = run.iter().map(spelled).collect();
        let rank = |pair: &[String]| self.ranks.get(&(pair[0].clone(), pair[1].clone())).copied();
        while let Some((_, at)) = parts.windows(2).enumerate().filter_map(|(at, pair)| Some((rank(pair)?, at))).min() {
            let right = parts.remove(at + 1);
            parts[at] += &right;
        }
        let id = |part: &String| {
            self.id(part).ok_or_else(|| Error::Tokenizer { reason: format!("the vocabulary has no token {part:?}") })
        };
        parts.iter().map(id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_without_a_token_are_merged_run_by_run() {
        let tokens = ["<", "r", "o", "w", "_", "1", "2", ">", "ro", "row", "Ċ", "ĊĊ", "<image>", "_1", ">Ċ"];
        let merges = [("o", "w"), ("r", "o"), ("ro", "w"), ("_", "1"), (">", "Ċ"), ("Ċ", "Ċ")];
        let pair = |(left, right): (&str, &str)| (left.to_owned(), right.to_owned());
        let ids = (0..).zip(tokens).map(|(id, token)| (token.to_owned(), id));
        let vocabulary = Vocabulary::new(ids, merges.map(pair).into_iter().skip(1));
        assert_eq!(vocabulary.encode("<image>"), Ok(vec![12]));
        assert_eq!(vocabulary.encode("<row_12>"), Ok(vec![0, 9, 4, 5, 6, 7]), "no merge across runs");
        assert_eq!(vocabulary.encode("\n\n"), Ok(vec![11]));
        assert_eq!(vocabulary.encode("\n"), Ok(vec![10]));
        assert!(vocabulary.encode("<column>").is_err());
    }
}
