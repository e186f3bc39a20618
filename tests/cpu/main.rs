//! Tests that need no GPU and little time: `./build.sh check` runs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic on failure")]

use proptest::test_runner::{Config, RngSeed};

mod api;
mod calls;
mod chat;
mod clients;
#[path = "../shared/cpu_time.rs"]
mod cpu_time;
mod devices;
mod docs;
mod gemma4;
mod generation;
mod idefics3;
mod image;
mod language;
#[path = "../shared/manifests.rs"]
mod manifests;
#[path = "../shared/memory_snapshots.rs"]
mod memory_snapshots;
mod minicpmv4_6;
mod mllama;
mod pages;
mod picture_size;
mod plans;
mod qwen;
mod reference;
mod rooms;
mod shaders;
mod state_parts;
#[path = "../shared/streams.rs"]
mod streams;
mod tokenizer;
mod wire;

/// Configuration of a test of properties, with the same cases in every run.
fn fixed_cases(number: u32) -> Config {
    Config { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..Config::with_cases(number) }
}
