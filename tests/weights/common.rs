//! Fixtures, packages in memory, scratch directories, damaged checkpoints.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ocelli::families::ModelConfig;
use ocelli::families::mistral3::Config;
use ocelli::import::ImportOptions;
use ocelli::import::hf::import;
use ocelli::layout::Layout;
use ocelli::layout::quant::decode;
use ocelli::package::Package;
use ocelli::package::manifest::Manifest;
use ocelli::package::writer::{PackageSink, PackageWriter};
use ocelli::{Error, Result};
use serde_json::{Map, Value};

#[path = "../shared/memory_files.rs"]
mod memory_files;
pub(crate) use memory_files::{MemoryFiles, MemorySource};

/// Checkpoints that can be imported.
pub(crate) const CHECKPOINTS: [&str; 10] = [
    "fp8",
    "like_14b",
    "like_24b",
    "like_8b",
    "merge1",
    "small31",
    "text_long",
    "tied_two_images",
    "untied",
    "wide_heads",
];

/// The configuration of a model of the Mistral3 family.
pub(crate) fn mistral3(config: &ModelConfig) -> Config {
    assert_eq!(config.family(), "mistral3");
    serde_json::to_value(config).and_then(serde_json::from_value).expect("the family's own configuration")
}

pub(crate) fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

pub(crate) fn checkpoint_dir(name: &str) -> PathBuf {
    fixture("checkpoints").join(name)
}

/// The files of a checkpoint.
pub(crate) fn checkpoint(name: &str) -> MemoryFiles {
    let mut files = MemoryFiles::default();
    for entry in fs::read_dir(checkpoint_dir(name)).expect("a checkpoint") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            files.0.insert(name, fs::read(&path).expect("a file").into());
        }
    }
    files
}

/// A sink that keeps files in memory and can be made to fail.
#[derive(Clone, Default)]
pub(crate) struct MemorySink {
    pub(crate) files: Arc<Mutex<BTreeMap<String, Arc<[u8]>>>>,
    pub(crate) published: Arc<Mutex<bool>>,
    pub(crate) fail_at: Option<usize>,
}

impl PackageSink for MemorySink {
    async fn put(&mut self, file: &str, bytes: Vec<u8>) -> Result<()> {
        let mut files = self.files.lock().expect("no panic");
        if self.fail_at == Some(files.len()) {
            return Err(Error::Io { path: file.into(), reason: "the disk is full".into() });
        }
        assert!(files.insert(file.into(), bytes.into()).is_none(), "{file} was stored twice");
        Ok(())
    }

    async fn publish(&mut self) -> Result<()> {
        *self.published.lock().expect("no panic") = true;
        Ok(())
    }
}

pub(crate) fn options(layout: Layout) -> ImportOptions {
    ImportOptions { name: Some("test".into()), layouts: layout.into(), ..ImportOptions::default() }
}

/// Imports a checkpoint with shards of `shard_bytes`.
pub(crate) fn pack_sharded(files: &MemoryFiles, layout: Layout, shard_bytes: usize) -> Result<(Manifest, MemoryFiles)> {
    let sink = MemorySink::default();
    let writer = PackageWriter::with_shard_bytes(sink.clone(), shard_bytes);
    let manifest = pollster::block_on(import(files, writer, options(layout), |_| ControlFlow::Continue(())))?;
    assert!(*sink.published.lock().expect("no panic"));
    let files = sink.files.lock().expect("no panic").clone();
    Ok((manifest, MemoryFiles(files)))
}

pub(crate) fn pack(files: &MemoryFiles, layout: Layout) -> Result<(Manifest, MemoryFiles)> {
    pack_sharded(files, layout, usize::MAX)
}

/// The planes of a tensor, byte for byte.
pub(crate) fn read_planes(package: &Package<MemoryFiles>, name: &str) -> (Layout, Vec<usize>, Vec<Vec<u8>>) {
    let tensors = &package.manifest.tensors;
    let index = tensors.iter().position(|tensor| tensor.name == name).expect("a tensor");
    let mut planes = vec![Vec::new(); tensors[index].planes.len()];
    let map = package.manifest.shard_map();
    for shard in 0..package.manifest.shards.len() {
        let bytes = pollster::block_on(package.read_shard(shard)).expect("a shard");
        for write in map.writes(shard).filter(|write| write.tensor == index) {
            // Shards come in stream order, so every piece joins the end.
            planes[write.plane].extend_from_slice(&bytes[write.range_in_shard]);
        }
    }
    (tensors[index].layout, tensors[index].shape.clone(), planes)
}

/// The numbers of a tensor, row-major and unpadded.
pub(crate) fn read_values(package: &Package<MemoryFiles>, name: &str) -> Vec<f32> {
    let (layout, shape, planes) = read_planes(package, name);
    decode(layout, &shape, &planes).expect("the tensor's planes")
}

/// A safetensors file taken apart.
pub(crate) struct Parts {
    pub(crate) header: Map<String, Value>,
    pub(crate) data: Vec<u8>,
}

impl Parts {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let len = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
        let header = serde_json::from_slice(&bytes[8..8 + len]).expect("a header");
        Self { header, data: bytes[8 + len..].to_vec() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let header = serde_json::to_vec(&self.header).expect("JSON");
        [&(header.len() as u64).to_le_bytes(), header.as_slice(), &self.data].concat()
    }

    /// First and last byte of a tensor.
    pub(crate) fn range(&self, tensor: &str) -> std::ops::Range<usize> {
        let offsets = &self.header[tensor]["data_offsets"];
        let at = |index: usize| offsets[index].as_u64().expect("an offset") as usize;
        at(0)..at(1)
    }
}

/// The checkpoint with its `model.safetensors` changed.
pub(crate) fn with_weights(name: &str, change: impl FnOnce(&mut Parts)) -> MemoryFiles {
    let mut files = checkpoint(name);
    let mut parts = Parts::of(&files.0["model.safetensors"]);
    change(&mut parts);
    files.0.insert("model.safetensors".into(), parts.bytes().into());
    files
}

/// The checkpoint with one of its JSON files changed.
pub(crate) fn with_json(name: &str, file: &str, change: impl FnOnce(&mut Value)) -> MemoryFiles {
    let mut files = checkpoint(name);
    let mut value = serde_json::from_slice(&files.0[file]).expect("JSON");
    change(&mut value);
    files.0.insert(file.into(), serde_json::to_vec(&value).expect("JSON").into());
    files
}

/// A directory that is deleted with the value.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("weights-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("a scratch directory");
        Self(path)
    }

    /// Names of all entries, hidden files included.
    pub(crate) fn entries(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("the scratch directory");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A small deterministic generator.
pub(crate) struct XorShift(pub(crate) u64);

impl XorShift {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Changes some bytes: flips, deletions, insertions, repeated stretches, a cut.
pub(crate) fn mutate(bytes: &mut Vec<u8>, random: &mut XorShift) {
    for _ in 0..1 + random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] = random.next() as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, b"0123456789-.eE\"{}[],:"[random.below(21)]),
            4 => {
                let end = (at + random.below(64)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            _ => bytes.truncate(at.max(1)),
        }
    }
}
