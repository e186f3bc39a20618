//! The metadata of GGUF files. Keys and names are those that llama.cpp's converters write.

pub mod decoder;
pub mod files;
pub mod metadata;
