//! One folder a model family: all that distinguishes it from the others.
//!
//! [`ModelConfig`] is data, the enum of what `model.json` may hold. [`definition()`] leads from it to what the family defines: its tensors,
//! its chat layouts, its pictures.

pub mod config;
pub mod decoder_tensors;
pub mod definition;
pub mod llama;
pub mod mistral3;
pub mod mllama;
pub mod qwen3_5;
pub mod qwen3_vl;
pub mod readers;
pub mod table;
pub mod tensor_spec;
pub mod tower;

pub use config::ModelConfig;
pub use definition::{Definition, PictureShape, Pictures};
pub use table::definition;
pub use tensor_spec::{Role, TensorSpec};
