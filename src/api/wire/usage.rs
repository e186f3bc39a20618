//! Token counts and times of a request.

use serde::Serialize;

use crate::engine::{Completion, ShownPicture, Timings};

/// Token counts of a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Usage {
    /// Tokens of the prompts, including those of pictures. A prompt with several answers counts once.
    pub prompt_tokens: usize,
    /// Tokens of the answers.
    pub completion_tokens: usize,
    /// Sum of both.
    pub total_tokens: usize,
    /// Details of the prompt tokens.
    pub prompt_tokens_details: PromptTokensDetails,
    /// Details of the answer tokens.
    pub completion_tokens_details: CompletionTokensDetails,
    /// Fields that OpenAI's API lacks.
    pub ocelli: UsageExtension,
}

/// Usage fields that `OpenAI`'s API lacks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UsageExtension {
    /// Times of the stages, summed over all answers.
    #[serde(flatten)]
    pub timings: Timings,
    /// Tokens that a format left no choice about; they were not sampled.
    #[serde(skip_serializing_if = "is_zero")]
    pub forced_tokens: usize,
    /// Sizes at which the pictures were shown, in the order of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<ShownPicture>,
}

/// Details of the prompt tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PromptTokensDetails {
    /// Tokens that were found in the KV cache.
    pub cached_tokens: usize,
    /// Tokens of pictures.
    #[serde(skip_serializing_if = "is_zero")]
    pub image_tokens: usize,
}

/// Details of the answer tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CompletionTokensDetails {
    /// Draft tokens that the model accepted (speculative decoding).
    pub accepted_prediction_tokens: usize,
    /// Draft tokens that the model rejected.
    pub rejected_prediction_tokens: usize,
    /// Reasoning tokens.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning_tokens: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(tokens: &usize) -> bool {
    *tokens == 0
}

impl Usage {
    /// Sums the usage of `n` answers to each of one or more prompts.
    pub fn of(answers: &[Completion], n: usize) -> Self {
        let sum = |count: fn(&Completion) -> usize| answers.iter().map(count).sum::<usize>();
        let first = || answers.iter().step_by(n.max(1)).map(|answer| answer.usage);
        let prompt_tokens = first().map(|usage| usage.prompt_tokens).sum();
        let completion_tokens = sum(|answer| answer.usage.completion_tokens);
        let accepted = sum(|answer| answer.usage.accepted_tokens);
        // All answers to a prompt have the same pictures.
        let pictures = answers.first().map(|answer| answer.pictures.clone()).unwrap_or_default();
        let ms = |time: fn(&Timings) -> f64| answers.iter().map(|answer| time(&answer.timings)).sum::<f64>();
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
            prompt_tokens_details: PromptTokensDetails {
                cached_tokens: first().map(|usage| usage.cached_tokens).sum(),
                image_tokens: pictures.iter().map(|picture| picture.tokens).sum(),
            },
            completion_tokens_details: CompletionTokensDetails {
                accepted_prediction_tokens: accepted,
                rejected_prediction_tokens: sum(|answer| answer.usage.drafted_tokens).saturating_sub(accepted),
                reasoning_tokens: sum(|answer| answer.usage.reasoning_tokens),
            },
            ocelli: UsageExtension {
                timings: Timings {
                    prepare_ms: ms(|timings| timings.prepare_ms),
                    vision_ms: ms(|timings| timings.vision_ms),
                    prefill_ms: ms(|timings| timings.prefill_ms),
                    decode_ms: ms(|timings| timings.decode_ms),
                    grammar_ms: ms(|timings| timings.grammar_ms),
                },
                forced_tokens: sum(|answer| answer.usage.forced_tokens),
                pictures,
            },
        }
    }
}
