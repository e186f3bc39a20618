//! The small files of Hugging Face checkpoints.
//!
//! A missing field has the value that `transformers` 5.23 gives it.

pub mod decoder;
pub mod fields;
pub mod files;
pub mod rope;
