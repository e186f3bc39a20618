//! Answers: prefill, decoding, grammars, speculation, batches, and the text that tokens become.

pub(super) mod answering;
pub(super) mod constrained;
pub(super) mod decode;
pub(super) mod prefill;
pub(super) mod reader;
pub(super) mod sampled_tokens;
pub(super) mod speculate;
pub(super) mod thoughts;
pub(super) mod together;
