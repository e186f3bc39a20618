//! One folder a model family: all that distinguishes it from the others.

pub mod config;
pub mod mistral3;
pub mod network;
pub mod tower;

pub use config::ModelConfig;
