//! Weights: layouts, quantisers, importers, packages.

mod command;
mod common;
mod damaged;
mod directory;
mod endpoint;
mod gemma4;
mod gguf;
mod idefics3;
mod manifest;
mod minicpmv4_6;
mod mllama;
mod pack;
mod pull;
mod pull_names;
mod quant;
mod qwen;
mod resume;
mod row_shards;
mod safetensors;
mod search;
mod settings;
mod synth;
