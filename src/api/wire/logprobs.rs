//! Tokens and their log probabilities.

use serde::Serialize;

use crate::chat::Tokenizer;
use crate::engine::TokenLogprob;

/// Replaces minus infinity, which JSON lacks.
const LEAST: f32 = -9999.0;

/// A token as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Token {
    pub(super) token: String,
    pub(super) logprob: f32,
    /// Absent for control tokens, which have no text.
    pub(super) bytes: Option<Vec<u8>>,
}

/// A token of an answer, with the likeliest alternatives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Logprob {
    #[serde(flatten)]
    pub(super) chosen: Token,
    pub(super) top_logprobs: Vec<Token>,
}

impl Token {
    fn new((id, logprob): (u32, f32), tokenizer: &Tokenizer) -> Self {
        let logprob = logprob.max(LEAST);
        match tokenizer.token_bytes(id) {
            Some(bytes) => {
                Self { token: String::from_utf8_lossy(bytes).into_owned(), logprob, bytes: Some(bytes.to_vec()) }
            }
            None => Self { token: tokenizer.control_name(id).unwrap_or_default().to_owned(), logprob, bytes: None },
        }
    }
}

impl Logprob {
    pub(crate) fn new(token: &TokenLogprob, tokenizer: &Tokenizer) -> Self {
        let top_logprobs = token.top.iter().map(|&top| Token::new(top, tokenizer)).collect();
        Self { chosen: Token::new((token.token, token.logprob), tokenizer), top_logprobs }
    }

    pub(super) fn of_all(tokens: &[TokenLogprob], tokenizer: &Tokenizer) -> Vec<Self> {
        tokens.iter().map(|token| Self::new(token, tokenizer)).collect()
    }
}
