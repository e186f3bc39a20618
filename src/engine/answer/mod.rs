//! Answers: prefill, decoding, grammars, speculative decoding, batches, and reading of tokens as text.

pub(super) mod answering;
pub(super) mod batch;
mod batch_steps;
pub(super) mod constrained;
pub(super) mod decode;
mod embed;
mod generate;
pub(super) mod options;
pub(super) mod prefill;
pub(super) mod reader;
pub(super) mod sampled_tokens;
pub(super) mod speculate;
pub(super) mod thoughts;
