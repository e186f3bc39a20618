//! Ocelli runs Mistral3 vision-language models on the user's own GPU, in a browser or natively.
//!
//! A request flows through the rooms in this order:
//!
//! ```text
//! messages + pictures
//!   -> chat (template, tokenizer)      -> token ids, with a run of image tokens for every picture
//!   -> image (decode, resize)          -> model::vision -> projector -> image embeddings
//!   -> engine (prefix reuse, schedule) -> model::decoder over the KV cache -> logits
//!   -> kernels::sample                 -> token -> chat::stream -> text events
//! ```

#![warn(clippy::expect_used, clippy::panic, clippy::todo, clippy::unreachable, clippy::unwrap_used)]

pub mod api;
pub mod chat;
pub mod config;
pub mod engine;
pub mod error;
pub mod families;
pub mod gpu;
pub mod image;
pub mod kernels;
pub mod layers;
pub mod memory;
pub mod model;
pub mod reference;
pub mod sampling;
pub mod shader;
pub mod state;
#[cfg(target_arch = "wasm32")]
pub mod web;
pub mod weights;

pub use error::{Error, Result};
