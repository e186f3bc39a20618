//! Reading a manifest, which may come from anywhere: whether it is consistent in itself and with the model it describes.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use super::hash::is_sha256_hex;
use super::layout::PLANE_ALIGNMENT;
use super::manifest::{
    FORMAT, FileEntry, MANIFEST_FILE, MAX_MANIFEST_BYTES, MAX_SHARD_BYTES, MAX_TOKENIZER_BYTES, Manifest, PlaneEntry,
    TensorEntry, VERSION,
};
use crate::error::{Error, Result};
use crate::families::{TensorSpec, definition};

/// The two fields that say whether the rest can be understood.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

impl Manifest {
    /// Reads and checks a `model.json`. Whatever it returns can be trusted: names, shapes, sizes and offsets all agree with
    /// one another and with the configuration.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`] with the reason; [`Error::UnsupportedArchitecture`] for a model this crate does not run.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let invalid = |e: serde_json::Error| Error::package(MANIFEST_FILE, e.to_string());
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(Error::package(MANIFEST_FILE, format!("longer than {MAX_MANIFEST_BYTES} bytes")));
        }
        let header: Header = serde_json::from_slice(bytes).map_err(invalid)?;
        if header.format != FORMAT {
            return Err(Error::package(MANIFEST_FILE, format!("format is {:?}, not {FORMAT:?}", header.format)));
        }
        if header.version != VERSION {
            let reason = format!("version is {}, this build reads version {VERSION}", header.version);
            return Err(Error::package(MANIFEST_FILE, reason));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(invalid)?;
        check(&manifest)?;
        Ok(manifest)
    }
}

fn refuse<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error::package(MANIFEST_FILE, reason))
}

/// Checks everything that the types do not already promise.
fn check(manifest: &Manifest) -> Result<()> {
    manifest.config.validate(MANIFEST_FILE)?;
    chat(manifest)?;
    let stream = files(manifest)?;
    tensors(manifest)?;
    places(&manifest.tensors, stream)
}

fn chat(manifest: &Manifest) -> Result<()> {
    let chat = &manifest.chat;
    if chat.eos_token_ids.is_empty() {
        return refuse("chat.eos_token_ids is empty");
    }
    definition(&manifest.config).chat_layout(&chat.template)?;
    let ids = chat.eos_token_ids.iter().chain(&chat.bos_token_id).chain(&chat.pad_token_id);
    for &id in ids {
        if id as usize >= manifest.config.text().vocab_size {
            return refuse(format!("chat names token {id}, the vocabulary ends before it"));
        }
    }
    Ok(())
}

/// Checks names, lengths and hashes of all files; gives the length of the stream.
fn files(manifest: &Manifest) -> Result<u64> {
    let mut names = HashSet::from([MANIFEST_FILE]);
    for entry in manifest.shards.iter().chain([&manifest.tokenizer]) {
        let FileEntry { file, sha256, .. } = entry;
        if !is_plain_name(file) {
            return refuse(format!("{file:?} is not a plain file name"));
        }
        if !names.insert(file) {
            return refuse(format!("{file:?} is named twice"));
        }
        if !is_sha256_hex(sha256) {
            return refuse(format!("{file}: sha256 is not 64 lower-case hexadecimal digits"));
        }
    }
    if manifest.tokenizer.bytes > MAX_TOKENIZER_BYTES {
        return refuse(format!("{}: {} bytes are too many", manifest.tokenizer.file, manifest.tokenizer.bytes));
    }
    let mut stream = 0;
    for FileEntry { file, bytes, .. } in &manifest.shards {
        if *bytes == 0 || *bytes > MAX_SHARD_BYTES || !bytes.is_multiple_of(4) {
            return refuse(format!("{file}: {bytes} bytes, not a multiple of 4 in 4..={MAX_SHARD_BYTES}"));
        }
        // At most 16 Mi entries of 32 MiB: cannot overflow.
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
        if unclaimed.insert(entry.name.as_str(), entry).is_some() {
            return refuse(format!("tensor {} is named twice", entry.name));
        }
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
    if *shape != spec.shape {
        return refuse(format!("tensor {name} has shape {shape:?}, the model needs {:?}", spec.shape));
    }
    let Some(expected) = layout.planes(shape) else {
        return refuse(format!("tensor {name} of shape {shape:?} cannot be stored as {layout}"));
    };
    if planes.len() != expected.len() {
        return refuse(format!("tensor {name} has {} planes, {layout} has {}", planes.len(), expected.len()));
    }
    for (place, expected) in planes.iter().zip(expected) {
        if place.bytes != expected.bytes {
            let (have, need) = (place.bytes, expected.bytes);
            return refuse(format!("tensor {name} has a plane of {have} bytes, {layout} needs {need}"));
        }
    }
    Ok(())
}

/// Checks that the planes lie in the stream, aligned and apart from one another.
fn places(tensors: &[TensorEntry], stream: u64) -> Result<()> {
    let named = |entry: &TensorEntry| entry.planes.iter().map(|p| (*p, entry.name.clone())).collect::<Vec<_>>();
    let mut planes: Vec<(PlaneEntry, String)> = tensors.iter().flat_map(named).collect();
    planes.sort_by_key(|(place, _)| place.offset);
    let mut free_from = 0;
    for (PlaneEntry { offset, bytes }, name) in planes {
        let Some(end) = offset.checked_add(bytes).filter(|&end| end <= stream) else {
            return refuse(format!("tensor {name}: {bytes} bytes at {offset} end past the {stream} of all shards"));
        };
        if !offset.is_multiple_of(PLANE_ALIGNMENT) {
            return refuse(format!("tensor {name}: offset {offset} is not a multiple of {PLANE_ALIGNMENT}"));
        }
        if offset < free_from {
            return refuse(format!("tensor {name}: the plane at {offset} overlaps the one before it"));
        }
        free_from = end;
    }
    Ok(())
}
