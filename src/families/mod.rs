//! Model families, one folder each: everything that distinguishes a family from the others.
//!
//! [`ModelConfig`] is the enum of configurations in `model.json`. [`definition()`] returns the family's [`Definition`]: tensors, chat layouts,
//! rules for pictures, tower and decoder.

pub mod config;
pub mod decoder_tensors;
pub mod definition;
pub mod gemma4;
pub mod idefics3;
pub mod llama;
pub mod minicpmv4_6;
pub mod mistral3;
pub mod mllama;
pub mod qwen3_5;
pub mod qwen3_vl;
pub mod readers;
pub mod siglip;
pub mod table;
pub mod tensor_spec;
mod vision_faults;

pub use config::ModelConfig;
pub use definition::{Definition, PictureShape, Pictures, SizeLimit};
pub use table::definition;
pub use tensor_spec::{Role, TensorSpec};
