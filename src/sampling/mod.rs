//! What may be asked of the choice of a token, and what logits say of tokens. The choice itself is made on the GPU:
//! [`crate::kernels::sample`]; [`crate::reference::sample`] defines it.

pub mod logprobs;
pub mod options;

pub use logprobs::{log_softmax_top, logprob};
pub use options::SamplingOptions;
