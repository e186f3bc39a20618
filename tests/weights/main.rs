//! Weights: layouts, quantisers, importers, packages.

#![allow(clippy::expect_used, clippy::panic, reason = "in a test that is the way to fail")]

mod command;
mod common;
mod damaged;
mod directory;
mod manifest;
mod pack;
mod quant;
mod safetensors;
mod settings;
