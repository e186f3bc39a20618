//! Every parser survives damaged and hostile files: no panic, no hang, no memory out of proportion to the input.
//!
//! The parsers are in `fuzz/src`; the inputs are mutations of valid files, the same in every run. `docs/testing.md` describes how to run
//! more of them, or to repeat one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod memory;
mod mutate;
mod random;
mod regressions;
mod run;
mod seeds;
mod structure;
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use run::{Parser, survives};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A tree of JSON values takes 32 bytes for a value and a node of some 600 for the shortest object.
const JSON_TREE: u64 = 128;
/// Limit of llguidance for a grammar and the states of its lexer.
const MOST_GRAMMAR: u64 = 64 * MIB;

#[test]
fn gguf_text() {
    let (target, seeds) = (targets::gguf_text, seeds::gguf_text());
    // An element may take 32 times its bytes: a matrix 4 wide is padded to 32, in four times the precision. The constant is the
    // list of the tensors of 1024 layers, the most that a file may claim, whether it holds them or not.
    survives(&Parser { name: "gguf_text", target, seeds, factor: 64, constant: 2 * MIB });
}

#[test]
fn gguf_vision() {
    let (target, seeds) = (targets::gguf_vision, seeds::gguf_vision());
    survives(&Parser { name: "gguf_vision", target, seeds, factor: 64, constant: 2 * MIB });
}

#[test]
fn safetensors() {
    let (target, seeds) = (targets::safetensors, seeds::safetensors());
    survives(&Parser { name: "safetensors", target, seeds, factor: 64, constant: 64 * KIB });
}

#[test]
fn safetensors_index() {
    let (target, seeds) = (targets::safetensors_index, seeds::safetensors_index());
    survives(&Parser { name: "safetensors_index", target, seeds, factor: 64, constant: 64 * KIB });
}

#[test]
fn checkpoint() {
    let (target, seeds) = (targets::checkpoint, seeds::checkpoint());
    assert!(seeds.iter().all(|seed| target(&seed.bytes).is_ok()), "good files");
    // The constant is the names of the tensors of 1024 layers in tower and decoder.
    survives(&Parser { name: "checkpoint", target, seeds, factor: 64, constant: 2 * MIB });
}

#[test]
fn hf_settings() {
    let (target, seeds) = (targets::hf_settings, seeds::hf_settings());
    // The constant is the names of the tensors of 1024 layers in tower and decoder.
    survives(&Parser { name: "hf_settings", target, seeds, factor: JSON_TREE, constant: 2 * MIB });
}

#[test]
fn manifest() {
    let (target, seeds) = (targets::manifest, seeds::manifest());
    // The configuration may claim any size, but each tensor needs an entry.
    survives(&Parser { name: "manifest", target, seeds, factor: 32, constant: 128 * KIB });
}

#[test]
fn tokenizer() {
    let (target, seeds) = (targets::tokenizer, seeds::tokenizer());
    survives(&Parser { name: "tokenizer", target, seeds, factor: JSON_TREE, constant: MIB });
}

#[test]
fn picture() {
    let (target, seeds) = (targets::picture, seeds::picture());
    // The decoder may take 24 bytes for a pixel; then come pixels as RGB, the resampled picture, and its planes as floats.
    let pixels = u64::from(targets::LIMIT_MEGAPIXELS) * 1_000_000;
    survives(&Parser { name: "picture", target, seeds, factor: 64, constant: 64 * pixels + 16 * MIB });
}

#[test]
fn snapshot() {
    let (target, seeds) = (targets::snapshot, seeds::snapshot());
    // An entry takes 8 bytes of the file and 40 in a list, of which there are several; the constant is the shape of a published model.
    survives(&Parser { name: "snapshot", target, seeds, factor: 32, constant: 16 * KIB });
}

#[test]
fn request() {
    let (target, seeds) = (targets::request, seeds::request());
    // Besides, the regular expression's own cache grows with the text it sees.
    survives(&Parser { name: "request", target, seeds, factor: JSON_TREE, constant: 256 * KIB });
}

#[test]
fn text_stream() {
    let (target, seeds) = (targets::text_stream, seeds::text_stream());
    survives(&Parser { name: "text_stream", target, seeds, factor: 16, constant: 4096 });
}

#[test]
fn calls() {
    let (target, seeds) = (targets::calls, seeds::calls());
    // Pieces of a byte, each with its own text, in two readings.
    survives(&Parser { name: "calls", target, seeds, factor: 256, constant: 16 * KIB });
}

#[test]
fn wire() {
    let (target, seeds) = (targets::wire, seeds::wire());
    survives(&Parser { name: "wire", target, seeds, factor: JSON_TREE, constant: 64 * KIB });
}

#[test]
fn upload() {
    let (target, seeds) = (targets::upload, seeds::upload());
    // Pieces of a byte.
    survives(&Parser { name: "upload", target, seeds, factor: 256, constant: 64 * KIB });
}

#[test]
fn batch_lines() {
    let (target, seeds) = (targets::batch_lines, seeds::batch_lines());
    survives(&Parser { name: "batch_lines", target, seeds, factor: JSON_TREE, constant: 16 * KIB });
}

#[test]
fn extent() {
    let (target, seeds) = (targets::extent, seeds::extent());
    survives(&Parser { name: "extent", target, seeds, factor: 16, constant: 4096 });
}

#[test]
fn usage() {
    let (target, seeds) = (targets::usage, seeds::usage());
    survives(&Parser { name: "usage", target, seeds, factor: JSON_TREE, constant: 16 * KIB });
}

#[test]
fn schema() {
    let (target, seeds) = (targets::schema, seeds::schema());
    survives(&Parser { name: "schema", target, seeds, factor: JSON_TREE, constant: 8 * MIB });
}

#[test]
fn regex() {
    let (target, seeds) = (targets::regex, seeds::regex());
    survives(&Parser { name: "regex", target, seeds, factor: JSON_TREE, constant: MOST_GRAMMAR });
}

#[test]
fn lark() {
    let (target, seeds) = (targets::lark, seeds::lark());
    survives(&Parser { name: "lark", target, seeds, factor: JSON_TREE, constant: MOST_GRAMMAR });
}

#[test]
fn pattern() {
    let (target, seeds) = (targets::pattern, seeds::pattern());
    // A class of words is sixty bytes.
    survives(&Parser { name: "pattern", target, seeds, factor: 512, constant: 16 * KIB });
}
