//! Configurations in checkpoints: `config.json` and the files beside it, and the metadata of GGUF files, as families read them.

pub mod gguf;
pub mod hf;
pub mod vocabulary;
