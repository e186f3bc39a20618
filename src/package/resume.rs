//! The state from which an interrupted import resumes.
//!
//! Bytes that are in no shard yet are stored beside the package as parts, which the state lists with their hashes. A state is valid
//! for one source, one set of options and one version of this crate; any other is ignored.

use serde::{Deserialize, Serialize};

use super::manifest::{FileEntry, TensorEntry};
use crate::error::{Error, Result};

/// Must be raised whenever importers write other bytes for the same source, or this structure changes.
const VERSION: u32 = 2;

/// The progress of an unfinished import, stored as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ResumeState {
    /// [`VERSION`].
    version: u32,
    /// Hash of source and options.
    fingerprint: String,
    /// The size of a full shard.
    pub(super) shard_bytes: usize,
    /// True if the weights of the head equal those of the embedding; `None` until they were compared.
    pub(super) tied_head: Option<bool>,
    /// Stored shards.
    pub(super) shards: Vec<FileEntry>,
    /// The first bytes of the next shard.
    pub(super) rest: Option<FileEntry>,
    /// Complete tensors.
    pub(super) tensors: Vec<TensorEntry>,
    /// The tensor being written.
    pub(super) open: Option<OpenTensor>,
    /// Number of the next part.
    pub(super) next_part: u64,
}

/// The tensor being written. Its first plane goes to the stream at once; the others wait until it is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OpenTensor {
    /// The tensor; all planes have the offset of the first.
    pub(super) entry: TensorEntry,
    /// Bytes of the first plane in the stream.
    pub(super) first_plane_bytes: u64,
    /// Parts of each of the other planes.
    pub(super) waiting: Vec<Vec<FileEntry>>,
}

impl ResumeState {
    /// The state of an import that has written nothing yet.
    pub(super) fn new(fingerprint: String, shard_bytes: usize) -> Self {
        Self { version: VERSION, fingerprint, shard_bytes, ..Self::default() }
    }

    /// The state in `json`, if it belongs to the same import as `self`.
    pub(super) fn successor(&self, json: &[u8]) -> Option<Self> {
        let stored: Self = serde_json::from_slice(json).ok()?;
        let expected = (self.version, &self.fingerprint, self.shard_bytes);
        ((stored.version, &stored.fingerprint, stored.shard_bytes) == expected).then_some(stored)
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::Internal { detail: e.to_string() })
    }

    /// Every part that is needed to resume.
    pub(super) fn parts(&self) -> impl Iterator<Item = &FileEntry> {
        self.rest.iter().chain(self.open.iter().flat_map(|open| open.waiting.iter().flatten()))
    }
}
