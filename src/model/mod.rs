//! The network, as a reader expects it: tower, projector, decoder over the cache, logits.
//!
//! Knows kernels, buffers and weights; nothing of text, files or sampling.

pub mod decoder;
pub mod forward;
pub mod kv_cache;
pub mod linear;
pub mod projector;
pub mod rope;
pub mod step;
mod trial;
pub mod verify;
pub mod vision;
pub mod vision_work;

pub use forward::{Input, Model};
pub use kv_cache::KvCache;
pub use projector::Features;
