//! Logits to the next token.
//!
//! Bias and penalties, then temperature, then the filters, then one draw from a counter-based generator. Knows nothing of
//! tokens beyond their ids, and nothing of GPUs.

pub mod logprobs;
pub mod options;
pub mod rng;
pub mod sampler;

pub use logprobs::{log_softmax_top, logprob};
pub use options::SamplingOptions;
pub use sampler::Sampler;
