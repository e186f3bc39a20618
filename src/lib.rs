//! Ocelli runs vision-language models on the user's own GPU, in a browser or natively.
//!
//! A request flows through the rooms in this order:
//!
//! ```text
//! messages + pictures
//!   -> chat (layout, tokenizer)        -> token ids, with a run of image tokens for every picture
//!   -> image (decode, resize)          -> families (tower, projector) -> rows of features
//!   -> engine (prefix reuse, schedule) -> layers, over the conversation's state -> logits
//!   -> kernels::sample                 -> token -> chat::stream -> text events
//! ```
//!
//! The memory of a model is known before there is a GPU:
//!
//! ```
//! use ocelli::memory::{MemoryOptions, plan};
//! use ocelli::package::manifest::Manifest;
//!
//! let manifest = Manifest::parse(include_bytes!("../www/models/demo/model.json"))?;
//! // On a device that binds 128 MiB, within 64 MiB of GPU memory.
//! let plan = plan(&manifest, 128 << 20, MemoryOptions { budget: Some(64 << 20), ..MemoryOptions::default() })?;
//! assert!(plan.peak <= 64 << 20);
//! # Ok::<(), ocelli::Error>(())
//! ```

#![forbid(unsafe_code)]
#![warn(clippy::expect_used, clippy::panic, clippy::todo, clippy::unreachable, clippy::unwrap_used)]

pub mod api;
pub mod bench;
pub mod chat;
pub mod checkpoint;
pub mod config;
pub mod engine;
pub mod error;
pub mod families;
pub mod gpu;
pub mod grammar;
pub mod image;
pub mod import;
pub mod kernels;
pub mod layers;
pub mod layout;
pub mod memory;
pub mod model;
pub mod package;
pub mod reference;
pub mod responses;
pub mod sampling;
pub mod shader;
pub mod state;
pub mod usage;
pub mod weights;

pub use error::{Error, Result};
