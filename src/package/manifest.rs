//! `model.json`: the contents of a package, and their places.
//!
//! The shards, put end to end, are one stream of bytes; planes lie anywhere in it and may cross from one shard into the next.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::hash::sha256_hex;
use crate::chat::EmbeddingSettings;
use crate::error::{Error, Result};
use crate::families::ModelConfig;
use crate::layout::{Layout, PLANE_ALIGNMENT};
use crate::sampling::SamplingDefaults;

/// File name of the manifest.
pub const MANIFEST_FILE: &str = crate::error::MANIFEST_FILE;
/// File name of the tokenizer.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// Value of `format`.
pub const FORMAT: &str = "ocelli";
/// Value of `version`.
pub const VERSION: u32 = 1;
/// Most shards.
pub const MAX_SHARDS: usize = 1 << 16;
/// Least bytes in a shard that is not the last.
pub const MIN_SHARD_BYTES: u64 = PLANE_ALIGNMENT;
/// Most bytes in one shard.
pub const MAX_SHARD_BYTES: u64 = 32 << 20;
/// Most bytes in a manifest.
pub const MAX_MANIFEST_BYTES: u64 = 16 << 20;
/// Most bytes in a tokenizer file.
pub const MAX_TOKENIZER_BYTES: u64 = 256 << 20;

/// The contents of `model.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// The model's name, for people.
    pub name: String,
    /// Licence of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Source of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Layout of the projection matrices; single tensors may differ.
    pub quantization: Layout,
    /// The model.
    pub config: ModelConfig,
    /// Conversion of conversations to tokens.
    pub chat: ChatSettings,
    /// The tokenizer file.
    pub tokenizer: FileEntry,
    /// Every tensor.
    pub tensors: Vec<TensorEntry>,
    /// The files that make up the stream, in order.
    pub shards: Vec<FileEntry>,
}

/// Conversion of conversations to tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatSettings {
    /// Name of the layout, such as `mistral-v13`.
    pub template: String,
    /// True if the checkpoint's own template matches none of the family's layouts, so that this one is a guess.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub template_is_assumed: bool,
    /// System message of a conversation that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_system_prompt: Option<String>,
    /// First token of every prompt; absent where prompts have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bos_token_id: Option<u32>,
    /// Tokens that end an answer; at least one.
    pub eos_token_ids: Vec<u32>,
    /// Token that fills unused places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_token_id: Option<u32>,
    /// Sampling options for requests that set none.
    #[serde(default, skip_serializing_if = "SamplingDefaults::are_none")]
    pub sampling: SamplingDefaults,
    /// Prompts of an embedding model; absent in other models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<EmbeddingSettings>,
}

/// A file of the package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name, without a path.
    pub file: String,
    /// Length.
    pub bytes: u64,
    /// SHA-256 of the contents, lower-case hexadecimal.
    pub sha256: String,
}

impl FileEntry {
    /// The entry of a file that holds `bytes`.
    pub(super) fn of(file: impl Into<String>, bytes: &[u8]) -> Self {
        Self { file: file.into(), bytes: bytes.len() as u64, sha256: sha256_hex(bytes) }
    }

    /// Checks that `bytes` are the promised ones.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`] if there are more or fewer, [`Error::Integrity`] if they are others.
    pub fn verify(&self, bytes: &[u8]) -> Result<()> {
        if bytes.len() as u64 != self.bytes {
            return Err(self.wrong_length(bytes.len() as u64));
        }
        let actual = sha256_hex(bytes);
        if actual == self.sha256 {
            return Ok(());
        }
        Err(Error::Integrity { file: self.file.clone(), expected: self.sha256.clone(), actual })
    }

    pub(super) fn wrong_length(&self, len: u64) -> Error {
        Error::package(&self.file, format!("{len} bytes, the manifest says {}", self.bytes))
    }
}

/// A tensor of the package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorEntry {
    /// Name, as the model's family has it.
    pub name: String,
    /// `[len]` or `[rows, cols]`, unpadded.
    pub shape: Vec<usize>,
    /// Number format and byte order.
    pub layout: Layout,
    /// The source's quantised layout, if its numbers were rounded a second time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requantized_from: Option<Layout>,
    /// Places of its planes, in the order of [`Layout::planes`].
    pub planes: Vec<PlaneEntry>,
}

/// The place of a plane in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaneEntry {
    /// First byte in the stream; a multiple of [`PLANE_ALIGNMENT`](crate::layout::PLANE_ALIGNMENT).
    pub offset: u64,
    /// Length.
    pub bytes: u64,
}

/// A range of a shard that belongs to a plane. Offsets and lengths are multiples of 4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardWrite {
    /// Index in [`Manifest::tensors`].
    pub tensor: usize,
    /// Index in [`TensorEntry::planes`].
    pub plane: usize,
    /// First byte in the plane.
    pub offset_in_plane: u64,
    /// Bytes of the shard.
    pub range_in_shard: Range<usize>,
}

impl Manifest {
    /// The manifest of a package without files yet.
    pub fn draft(name: String, quantization: Layout, config: ModelConfig, chat: ChatSettings) -> Self {
        Self {
            format: FORMAT.into(),
            version: VERSION,
            name,
            license: None,
            source: None,
            quantization,
            config,
            chat,
            tokenizer: FileEntry::of(TOKENIZER_FILE, &[]),
            tensors: Vec::new(),
            shards: Vec::new(),
        }
    }

    /// The text of `model.json`.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self).map_err(|e| Error::Internal { detail: e.to_string() })?;
        json.push(b'\n');
        Ok(json)
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&TensorEntry> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// Bytes in all shards together.
    pub fn total_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes).sum()
    }

    /// The shards and the planes in the order of the stream.
    pub fn shard_map(&self) -> ShardMap {
        let ends = self.shards.iter().scan(0, |end, shard| {
            *end += shard.bytes;
            Some(*end)
        });
        let planes = self.tensors.iter().enumerate().flat_map(|(tensor, entry)| {
            entry.planes.iter().enumerate().map(move |(plane, place)| PlacedPlane { tensor, plane, place: *place })
        });
        let mut planes: Vec<PlacedPlane> = planes.collect();
        planes.sort_by_key(|plane| plane.place.offset);
        ShardMap { bounds: [0].into_iter().chain(ends).collect(), planes }
    }
}

/// The shards and planes of a package in the order of the stream, made by [`Manifest::shard_map`].
#[derive(Debug)]
pub struct ShardMap {
    /// First byte of each shard, then the length of the stream.
    bounds: Vec<u64>,
    /// All planes, which do not overlap.
    planes: Vec<PlacedPlane>,
}

#[derive(Debug)]
struct PlacedPlane {
    tensor: usize,
    plane: usize,
    place: PlaneEntry,
}

impl ShardMap {
    /// The part of the stream that shard `index` holds; empty if there is no such shard.
    pub fn range(&self, index: usize) -> Range<u64> {
        let end = self.bounds.last().copied().unwrap_or(0);
        let bound = |index: usize| self.bounds.get(index).copied().unwrap_or(end);
        bound(index)..bound(index + 1)
    }

    /// The destinations of the bytes of shard `index`.
    pub fn writes(&self, index: usize) -> impl Iterator<Item = ShardWrite> + '_ {
        let shard = self.range(index);
        let first = self.planes.partition_point(|plane| plane.place.offset + plane.place.bytes <= shard.start);
        let planes = self.planes[first..].iter().take_while(move |plane| plane.place.offset < shard.end);
        planes.map(move |&PlacedPlane { tensor, plane, place }| {
            let start = shard.start.max(place.offset);
            let end = shard.end.min(place.offset + place.bytes);
            ShardWrite {
                tensor,
                plane,
                offset_in_plane: start - place.offset,
                // A shard is far smaller than any usize.
                range_in_shard: (start - shard.start) as usize..(end - shard.start) as usize,
            }
        })
    }
}
