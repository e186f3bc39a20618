//! Sampling options of a request.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// Options of the choice of tokens. Names and ranges are those of the OpenAI API; `top_k`, `min_p` and `repetition_penalty` are common additions.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingOptions {
    /// Divisor of the logits, 0 to 2. At 0 the most likely token is always chosen.
    pub temperature: f32,
    /// Number of most likely tokens to choose from, at least 1.
    pub top_k: Option<usize>,
    /// Only the most likely tokens that together reach this probability are candidates, 0 to 1. At least one token remains.
    pub top_p: f32,
    /// Only tokens with at least this share of the highest probability are candidates, 0 to 1.
    pub min_p: f32,
    /// Equal seeds give equal draws.
    pub seed: u64,
    /// Subtracted from a token's logit for each time it was sampled, -2 to 2.
    pub frequency_penalty: f32,
    /// Subtracted from a token's logit if it was sampled before, -2 to 2.
    pub presence_penalty: f32,
    /// Divides positive logits of tokens that the prompt or the answer contains, and multiplies others, 0.01 to 100; 1 changes nothing.
    pub repetition_penalty: f32,
    /// Added to the logits of single tokens, -100 to 100.
    pub logit_bias: BTreeMap<u32, f32>,
    /// Number of most likely tokens with log probabilities to return for each token, at most [`MAX_TOP_LOGPROBS`]; `None` for no log
    /// probabilities.
    pub logprobs: Option<usize>,
}

/// Tokens before a draw.
#[derive(Debug, Clone, Copy, Default)]
pub struct Past<'a> {
    /// Tokens of the prompt and, where they are known, of the answer; empty unless there is a repetition penalty.
    pub seen: &'a [u32],
    /// Tokens of the answer.
    pub drawn: &'a [u32],
}

/// Largest number of most likely tokens for each token.
pub const MAX_TOP_LOGPROBS: usize = 20;

impl Default for SamplingOptions {
    /// The OpenAI API's defaults: plain sampling at temperature 1.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: 1.0,
            min_p: 0.0,
            seed: 0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            repetition_penalty: 1.0,
            logit_bias: BTreeMap::new(),
            logprobs: None,
        }
    }
}

impl SamplingOptions {
    /// Returns true if bias or penalties change logits.
    pub fn adjusts(&self) -> bool {
        let penalties = [self.frequency_penalty, self.presence_penalty];
        !self.logit_bias.is_empty() || penalties != [0.0, 0.0] || self.penalises_repetition()
    }

    /// Returns true if tokens of the prompt and of the answer change logits.
    pub fn penalises_repetition(&self) -> bool {
        self.repetition_penalty != 1.0
    }

    /// Returns true if filters exclude tokens.
    pub fn filters(&self) -> bool {
        self.temperature > 0.0 && (self.top_k.is_some() || self.top_p < 1.0 || self.min_p > 0.0)
    }

    /// Checks every field against its range; [`Error::InvalidRequest`] names a field that is out of range.
    pub fn validate(&self) -> Result<()> {
        let ranges = [
            ("temperature", self.temperature, 0.0, 2.0),
            ("top_p", self.top_p, 0.0, 1.0),
            ("min_p", self.min_p, 0.0, 1.0),
            ("frequency_penalty", self.frequency_penalty, -2.0, 2.0),
            ("presence_penalty", self.presence_penalty, -2.0, 2.0),
            ("repetition_penalty", self.repetition_penalty, 0.01, 100.0),
        ];
        for (field, value, least, most) in ranges {
            check_range(field, value, least, most)?;
        }
        if self.top_k == Some(0) {
            return Err(Error::request("top_k", "must be at least 1"));
        }
        if let Some(top) = self.logprobs.filter(|&top| top > MAX_TOP_LOGPROBS) {
            return Err(Error::request("top_logprobs", format!("is {top}, must be from 0 to {MAX_TOP_LOGPROBS}")));
        }
        for (token, &bias) in &self.logit_bias {
            check_range(&format!("logit_bias.{token}"), bias, -100.0, 100.0)?;
        }
        Ok(())
    }
}

/// NaN is in no range.
fn check_range(field: &str, value: f32, least: f32, most: f32) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::request(field, format!("is {value}, must be from {least} to {most}")))
}
