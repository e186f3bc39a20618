//! What an interrupted import goes on from: how far it was, and what it had in memory.
//!
//! Bytes that are in no shard yet lie beside the package as parts, which the checkpoint names with their hashes. A checkpoint holds
//! for one source, one set of options and one version of this crate; any other is as good as none.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::hash::hex;
use super::manifest::{FileEntry, TensorEntry};
use crate::error::{Error, Result};

/// Raised whenever importers write other bytes for the same source, or this structure changes.
const VERSION: u32 = 2;

/// An import half way. Written as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// [`VERSION`].
    version: u32,
    /// What [`Fingerprint`] made of source and options.
    fingerprint: String,
    /// The size of a full shard.
    pub(super) shard_bytes: usize,
    /// Whether the weights say that the head is the embedding, where that had to be read.
    pub(super) tied_head: Option<bool>,
    /// The shards that are stored.
    pub(super) shards: Vec<FileEntry>,
    /// The beginning of the next one.
    pub(super) rest: Option<FileEntry>,
    /// The tensors that are complete.
    pub(super) tensors: Vec<TensorEntry>,
    /// The tensor being written.
    pub(super) open: Option<OpenTensor>,
    /// Parts named so far.
    pub(super) next_part: u64,
}

/// A tensor being written: its first plane is in the stream as far as it is there, what there is of the others waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OpenTensor {
    /// The tensor, all its planes at the place of the first.
    pub(super) entry: TensorEntry,
    /// Bytes of the first plane in the stream.
    pub(super) first_plane_bytes: u64,
    /// The other planes, piece by piece.
    pub(super) waiting: Vec<Vec<FileEntry>>,
}

impl Checkpoint {
    /// A checkpoint that says nothing yet.
    pub(super) fn new(fingerprint: String, shard_bytes: usize) -> Self {
        Self { version: VERSION, fingerprint, shard_bytes, ..Self::default() }
    }

    /// The checkpoint in `json`, if it is one and can go on as `self`.
    pub(super) fn successor(&self, json: &[u8]) -> Option<Self> {
        let stored: Self = serde_json::from_slice(json).ok()?;
        let expected = (self.version, &self.fingerprint, self.shard_bytes);
        ((stored.version, &stored.fingerprint, stored.shard_bytes) == expected).then_some(stored)
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::Internal { detail: e.to_string() })
    }

    /// Every part that is needed to go on.
    pub(super) fn parts(&self) -> impl Iterator<Item = &FileEntry> {
        self.rest.iter().chain(self.open.iter().flat_map(|open| open.waiting.iter().flatten()))
    }
}

/// A hash over everything that decides the bytes of a package, but for the weights themselves.
#[derive(Debug)]
pub(super) struct Fingerprint(Sha256);

impl Fingerprint {
    /// Of an import by the importer of that name.
    pub(super) fn new(importer: &str) -> Self {
        let mut fingerprint = Self(Sha256::new());
        fingerprint.add(importer);
        fingerprint.add(env!("CARGO_PKG_VERSION"));
        fingerprint
    }

    /// Adds a value by what its `Debug` says, apart from the ones before it.
    pub(super) fn add(&mut self, value: impl std::fmt::Debug) {
        let text = format!("{value:?}");
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
    }

    pub(super) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}
