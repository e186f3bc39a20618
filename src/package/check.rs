//! Validation of a manifest, which may come from anywhere: it must be consistent in itself and with the model's configuration.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use super::hash::is_sha256_hex;
use super::manifest::{
    FORMAT, FileEntry, MANIFEST_FILE, MAX_MANIFEST_BYTES, MAX_SHARD_BYTES, MAX_SHARDS, MAX_TOKENIZER_BYTES,
    MIN_SHARD_BYTES, Manifest, PlaneEntry, TensorEntry, VERSION,
};
use crate::error::{Error, Result};
use crate::families::{TensorSpec, definition};
use crate::layout::PLANE_ALIGNMENT;

/// The two fields that determine if the rest can be read.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

fn refuse<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error::package(MANIFEST_FILE, reason))
}

/// Refuses the manifest with a formatted reason unless something holds.
macro_rules! require {
    ($holds:expr, $($reason:tt)+) => {
        if !$holds {
            return refuse(format!($($reason)+));
        }
    };
}

impl Manifest {
    /// Reads and validates a `model.json`. The result can be trusted: names, shapes, sizes and offsets agree with one another and with the
    /// configuration.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`] with the reason; [`Error::UnsupportedArchitecture`] for a model this crate does not run.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let invalid = |e: serde_json::Error| Error::package(MANIFEST_FILE, e.to_string());
        require!(bytes.len() as u64 <= MAX_MANIFEST_BYTES, "longer than {MAX_MANIFEST_BYTES} bytes");
        let Header { format, version } = serde_json::from_slice(bytes).map_err(invalid)?;
        require!(format == FORMAT, "format is {format:?}, not {FORMAT:?}");
        require!(version == VERSION, "version is {version}, this build reads version {VERSION}");
        let manifest: Self = serde_json::from_slice(bytes).map_err(invalid)?;
        check(&manifest)?;
        Ok(manifest)
    }
}

/// Checks everything that the types do not guarantee.
fn check(manifest: &Manifest) -> Result<()> {
    manifest.config.validate(MANIFEST_FILE)?;
    chat(manifest)?;
    let stream = files(manifest)?;
    tensors(manifest)?;
    places(&manifest.tensors, stream)
}

fn chat(manifest: &Manifest) -> Result<()> {
    let chat = &manifest.chat;
    require!(!chat.eos_token_ids.is_empty(), "chat.eos_token_ids is empty");
    definition(&manifest.config).chat_layout(&chat.template)?;
    let ids = chat.eos_token_ids.iter().chain(&chat.bos_token_id).chain(&chat.pad_token_id);
    for &id in ids {
        let is_known = (id as usize) < manifest.config.text().vocab_size;
        require!(is_known, "chat names token {id}, the vocabulary ends before it");
    }
    Ok(())
}

/// Checks names, lengths and hashes of all files. Returns the length of the stream.
fn files(manifest: &Manifest) -> Result<u64> {
    let mut names = HashSet::from([MANIFEST_FILE]);
    for entry in manifest.shards.iter().chain([&manifest.tokenizer]) {
        let FileEntry { file, sha256, .. } = entry;
        require!(is_plain_name(file), "{file:?} is not a plain file name");
        require!(names.insert(file), "{file:?} is named twice");
        require!(is_sha256_hex(sha256), "{file}: sha256 is not 64 lower-case hexadecimal digits");
    }
    let FileEntry { file, bytes, .. } = &manifest.tokenizer;
    require!(*bytes <= MAX_TOKENIZER_BYTES, "{file}: {bytes} bytes are too many");
    let (count, mut stream) = (manifest.shards.len(), 0);
    require!(count <= MAX_SHARDS, "{count} shards, more than {MAX_SHARDS}");
    for (index, FileEntry { file, bytes, .. }) in manifest.shards.iter().enumerate() {
        let least = if index + 1 == count { 4 } else { MIN_SHARD_BYTES };
        let fits = (least..=MAX_SHARD_BYTES).contains(bytes) && bytes.is_multiple_of(4);
        require!(fits, "{file}: {bytes} bytes, not a multiple of 4 in {least}..={MAX_SHARD_BYTES}");
        // At most 64 Ki entries of 32 MiB: cannot overflow.
        stream += bytes;
    }
    Ok(stream)
}

fn is_plain_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.bytes().all(plain)
}

/// Checks that there are exactly the tensors the configuration asks for, each with its shape and planes.
fn tensors(manifest: &Manifest) -> Result<()> {
    let mut unclaimed = HashMap::with_capacity(manifest.tensors.len());
    for entry in &manifest.tensors {
        require!(unclaimed.insert(entry.name.as_str(), entry).is_none(), "tensor {} is named twice", entry.name);
    }
    for spec in definition(&manifest.config).tensors() {
        match unclaimed.remove(spec.name.as_str()) {
            Some(entry) => tensor(entry, &spec)?,
            None => return refuse(format!("tensor {} is missing", spec.name)),
        }
    }
    match unclaimed.keys().min() {
        Some(name) => refuse(format!("tensor {name} is unknown to this model")),
        None => Ok(()),
    }
}

fn tensor(entry: &TensorEntry, spec: &TensorSpec) -> Result<()> {
    let TensorEntry { name, shape, layout, planes, .. } = entry;
    require!(*shape == spec.shape, "tensor {name} has shape {shape:?}, the model needs {:?}", spec.shape);
    let Some(expected) = layout.planes(shape) else {
        return refuse(format!("tensor {name} of shape {shape:?} cannot be stored as {layout}"));
    };
    let (have, need) = (planes.len(), expected.len());
    require!(have == need, "tensor {name} has {have} planes, {layout} has {need}");
    for (place, expected) in planes.iter().zip(expected) {
        let (have, need) = (place.bytes, expected.bytes);
        require!(have == need, "tensor {name} has a plane of {have} bytes, {layout} needs {need}");
    }
    Ok(())
}

/// Checks that the planes lie in the stream, aligned and apart from one another.
fn places<'a>(tensors: &'a [TensorEntry], stream: u64) -> Result<()> {
    let named = |entry: &'a TensorEntry| entry.planes.iter().map(|place| (*place, entry.name.as_str()));
    let mut planes: Vec<(PlaneEntry, &str)> = tensors.iter().flat_map(named).collect();
    planes.sort_by_key(|(place, _)| place.offset);
    let mut free_from = 0;
    for (PlaneEntry { offset, bytes }, name) in planes {
        let Some(end) = offset.checked_add(bytes).filter(|&end| end <= stream) else {
            return refuse(format!("tensor {name}: {bytes} bytes at {offset} end past the {stream} of all shards"));
        };
        let is_aligned = offset.is_multiple_of(PLANE_ALIGNMENT);
        require!(is_aligned, "tensor {name}: offset {offset} is not a multiple of {PLANE_ALIGNMENT}");
        require!(offset >= free_from, "tensor {name}: the plane at {offset} overlaps the one before it");
        free_from = end;
    }
    Ok(())
}
