//! Packages as directories: complete or absent.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use ocelli::import::hf::import;
use ocelli::layout::Layout;
use ocelli::package::DirectorySink;
use ocelli::package::Package;
use ocelli::package::manifest::Manifest;
use ocelli::package::source::Directory;
use ocelli::package::writer::PackageWriter;
use ocelli::{Error, Result};

use super::common::{Scratch, checkpoint, options, with_weights};
use crate::common::MemoryFiles;

fn pack_into(files: &MemoryFiles, target: &Path) -> Result<Manifest> {
    let writer = PackageWriter::with_shard_bytes(DirectorySink::create(target)?, 20_000);
    pollster::block_on(import(files, writer, options(Layout::Q4_0), |_| ControlFlow::Continue(())))
}

fn poisoned() -> MemoryFiles {
    with_weights("text_long", |parts| {
        let end = parts.data.len();
        let last = parts.range("model.norm.weight");
        assert!(last.end <= end);
        parts.data[last.end - 4..last.end].copy_from_slice(&f32::NAN.to_le_bytes());
    })
}

#[test]
fn a_package_appears_and_reads_back() {
    let scratch = Scratch::new();
    let target = scratch.0.join("package");
    let manifest = pack_into(&checkpoint("text_long"), &target).expect("a package");
    assert_eq!(scratch.entries(), ["package"]);
    let package = pollster::block_on(Package::open(Directory(target.clone()))).expect("a package");
    assert_eq!(package.manifest, manifest);
    for shard in 0..manifest.shards.len() {
        pollster::block_on(package.read_shard(shard)).expect("a sound shard");
    }
    let files = fs::read_dir(&target).expect("a directory").count();
    assert_eq!(files, manifest.shards.len() + 2);
}

#[test]
fn a_failure_leaves_no_files() {
    let scratch = Scratch::new();
    let target = scratch.0.join("package");
    let error = pack_into(&poisoned(), &target).expect_err("a NaN");
    assert_eq!(error.code(), "invalid-checkpoint");
    assert!(scratch.entries().is_empty(), "{:?}", scratch.entries());
    let sink = DirectorySink::create(&target).expect("a sink");
    assert_eq!(scratch.entries().len(), 1, "the work is hidden beside the target");
    let stop = |_| ControlFlow::Break(());
    let stopped =
        pollster::block_on(import(&checkpoint("text_long"), PackageWriter::new(sink), options(Layout::F32), stop));
    assert_eq!(stopped.expect_err("a stop"), Error::Aborted);
    assert!(scratch.entries().is_empty());
}

#[test]
fn an_older_package_is_replaced_whole_and_survives_failure() {
    let scratch = Scratch::new();
    let target = scratch.0.join("package");
    let older = pack_into(&checkpoint("tied_two_images"), &target).expect("a package");
    pack_into(&poisoned(), &target).expect_err("a NaN");
    let kept = pollster::block_on(Package::open(Directory(target.clone()))).expect("the older package");
    assert_eq!(kept.manifest, older);
    let newer = pack_into(&checkpoint("text_long"), &target).expect("a package");
    assert!(newer.shards.len() < older.shards.len());
    assert_eq!(
        fs::read_dir(&target).expect("a directory").count(),
        newer.shards.len() + 2,
        "no shard of the older one is left"
    );
    assert_eq!(scratch.entries(), ["package"]);
}

#[test]
fn other_folders_are_not_overwritten() {
    let scratch = Scratch::new();
    let refuse = |target: &Path, word: &str| {
        let before = scratch.entries();
        let error = pack_into(&checkpoint("text_long"), target).expect_err(word);
        assert!(error.code() == "io" && error.to_string().contains(word), "{error}");
        assert_eq!(scratch.entries(), before);
    };
    let file = scratch.0.join("file");
    fs::write(&file, "precious").expect("a file");
    refuse(&file, "not a directory");
    assert_eq!(fs::read(&file).expect("the file"), b"precious");

    let foreign = scratch.0.join("foreign");
    fs::create_dir(&foreign).expect("a directory");
    fs::write(foreign.join("thesis.tex"), "precious").expect("a file");
    refuse(&foreign, "not a package");
    fs::write(foreign.join("model.json"), r#"{"format": "other"}"#).expect("a file");
    refuse(&foreign, "not a package");
    assert!(foreign.join("thesis.tex").exists());

    let mixed = scratch.0.join("mixed");
    pack_into(&checkpoint("text_long"), &mixed).expect("a package");
    fs::write(mixed.join("notes.txt"), "precious").expect("a file");
    refuse(&mixed, "notes.txt");
    assert!(mixed.join("notes.txt").exists());

    refuse(&scratch.0.join("no/such/parent"), "does not exist");
    let empty = scratch.0.join("empty");
    fs::create_dir(&empty).expect("a directory");
    pack_into(&checkpoint("text_long"), &empty).expect("an empty directory may be filled");
}
