//! Tests that need a GPU: each kernel against its reference, then whole models, then engines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic on failure")]

mod agent;
mod batch;
mod batch_options;
mod chat;
mod command;
mod counters;
mod demo;
mod device;
mod documents;
mod embeddings;
mod engine;
mod folders;
mod injection;
mod kernels;
#[path = "../shared/manifests.rs"]
mod manifests;
mod memory;
#[path = "../shared/memory_files.rs"]
mod memory_files;
#[path = "../shared/memory_snapshots.rs"]
mod memory_snapshots;
mod model;
mod packages;
#[cfg(target_os = "linux")]
mod power;
mod races;
#[cfg(target_os = "linux")]
mod readme;
mod recovery;
mod sampling;
mod self_test;
mod serve;
mod speculation;
#[path = "../shared/streams.rs"]
mod streams;
mod vision;
