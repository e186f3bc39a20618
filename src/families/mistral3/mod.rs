//! Mistral3: Ministral 3 and Mistral Small 3.1, with the Pixtral tower or as text alone.

pub mod config;

mod definition;
mod tensors;

pub use config::{Config, VisionConfig};
