//! GGUF files: reading, configuration, tokenizer, planes, damage.

mod config;
mod damaged;
mod llama;
pub(crate) mod parts;
mod planes;
mod reader;
mod tokenizer;

use std::ops::ControlFlow;

use ocelli::import::ImportOptions;
use ocelli::import::gguf::{GgufImport, import};
use ocelli::import::layouts::Layouts;
use ocelli::layout::Layout;
use ocelli::package::Package;
use ocelli::package::manifest::Manifest;
use ocelli::package::writer::PackageWriter;
use ocelli::{Error, Result};

use super::common::{MemorySink, fixture, read_planes};
use crate::common::MemoryFiles;
use parts::Parts;

const TEXT: &str = "text.gguf";
const MMPROJ: &str = "mmproj.gguf";

fn read(name: &str) -> Vec<u8> {
    std::fs::read(fixture("gguf").join(name)).expect("a fixture")
}

/// A fixture's text model and its vision file, after changes.
fn files(name: &str, text: impl FnOnce(&mut Parts), mmproj: impl FnOnce(&mut Parts)) -> MemoryFiles {
    let mut parts = [Parts::of(&read(&format!("{name}.gguf"))), Parts::of(&read(MMPROJ))];
    text(&mut parts[0]);
    mmproj(&mut parts[1]);
    let mut files = MemoryFiles::default();
    files.0.insert(TEXT.into(), parts[0].bytes().into());
    files.0.insert(MMPROJ.into(), parts[1].bytes().into());
    files
}

/// The files of a fixture, with changes to the text model only.
pub(crate) fn text_files(name: &str, change: impl FnOnce(&mut Parts)) -> MemoryFiles {
    files(name, change, |_| ())
}

pub(crate) fn both() -> GgufImport {
    GgufImport { text: TEXT.into(), mmproj: Some(MMPROJ.into()) }
}

fn pack_as(files: &MemoryFiles, names: &GgufImport, layout: Option<Layout>) -> Result<(Manifest, MemoryFiles)> {
    pack_with(files, names, layout.map_or_else(Layouts::default, Layouts::from))
}

fn pack_with(files: &MemoryFiles, names: &GgufImport, layouts: Layouts) -> Result<(Manifest, MemoryFiles)> {
    let sink = MemorySink::default();
    let writer = PackageWriter::with_shard_bytes(sink.clone(), 65_536);
    let options = ImportOptions { layouts, ..ImportOptions::default() };
    let result = pollster::block_on(import(files, names, writer, options, |_| ControlFlow::Continue(())));
    let stored = sink.files.lock().expect("no panic").clone();
    assert_eq!(stored.contains_key("model.json"), result.is_ok(), "a manifest is there exactly when all went well");
    Ok((result?, MemoryFiles(stored)))
}

fn pack(files: &MemoryFiles) -> Result<(Manifest, MemoryFiles)> {
    pack_as(files, &both(), None)
}

/// Asserts that two packages hold the same model; the offsets of its tensors may differ.
fn assert_same_model((a, a_files): (Manifest, MemoryFiles), (b, b_files): (Manifest, MemoryFiles)) {
    let outline = |manifest: &Manifest| (manifest.config.clone(), manifest.chat.clone(), manifest.tokenizer.clone());
    assert_eq!((outline(&a), &a.name, a.quantization), (outline(&b), &b.name, b.quantization));
    assert_eq!(a.tensors.len(), b.tensors.len());
    let [left, right] = [a_files, b_files].map(|files| pollster::block_on(Package::open(files)).expect("a package"));
    for tensor in &a.tensors {
        let planes = |package: &Package<_>| read_planes(package, &tensor.name);
        assert_eq!(planes(&left), planes(&right), "{}", tensor.name);
    }
}

fn refused(files: &MemoryFiles) -> Error {
    pack(files).map(drop).expect_err("a refusal")
}

fn assert_says(error: &Error, code: &str, parts: &[&str]) {
    assert_eq!(error.code(), code, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{error} does not say {part:?}");
    }
}
