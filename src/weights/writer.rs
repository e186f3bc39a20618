//! Writing a package: tensors go in one after the other, shards come out as soon as they are full.
//!
//! At most one shard, and the small planes of one tensor, are in memory.

use super::hash::sha256_hex;
use super::layout::{Layout, PLANE_ALIGNMENT};
use super::manifest::{
    ChatSettings, FORMAT, FileEntry, MANIFEST_FILE, MAX_SHARD_BYTES, Manifest, PlaneEntry, TOKENIZER_FILE, TensorEntry,
    VERSION,
};
use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// Where the files of a package go: a directory, a browser's cache.
#[allow(async_fn_in_trait, reason = "a browser's futures are not Send, so there is no bound to promise")]
pub trait PackageSink {
    /// Stores a file. It is not to be seen as part of a package before [`Self::publish`].
    ///
    /// # Errors
    /// [`Error::Io`].
    async fn put(&mut self, file: &str, bytes: Vec<u8>) -> Result<()>;

    /// Makes everything stored one package. Called once, after the last [`Self::put`].
    ///
    /// # Errors
    /// [`Error::Io`].
    async fn publish(&mut self) -> Result<()>;
}

/// What a manifest says beside tensors and files.
#[derive(Debug, Clone)]
pub struct PackageInfo {
    /// The model's name, for people.
    pub name: String,
    /// Licence of the weights.
    pub license: Option<String>,
    /// Where the weights come from.
    pub source: Option<String>,
    /// Layout of the projection matrices.
    pub quantization: Layout,
    /// The model.
    pub config: ModelConfig,
    /// How a conversation becomes tokens.
    pub chat: ChatSettings,
}

/// A package in the making.
#[derive(Debug)]
pub struct PackageWriter<S> {
    sink: S,
    max_shard_bytes: usize,
    /// The part of the stream that is in no file yet.
    shard: Vec<u8>,
    /// Length of the stream so far.
    written: u64,
    shards: Vec<FileEntry>,
    tensors: Vec<TensorEntry>,
    open: Option<OpenTensor>,
}

/// A tensor that is being written: its first plane goes straight into the stream, the others wait for its end.
#[derive(Debug)]
struct OpenTensor {
    entry: TensorEntry,
    first_plane_bytes: u64,
    waiting: Vec<Vec<u8>>,
}

impl<S: PackageSink> PackageWriter<S> {
    /// A writer of shards of the usual size.
    pub fn new(sink: S) -> Self {
        Self::with_shard_bytes(sink, MAX_SHARD_BYTES as usize)
    }

    /// A writer of smaller shards: `bytes` is rounded down to a multiple of 256 in `256..=`[`MAX_SHARD_BYTES`].
    pub fn with_shard_bytes(sink: S, bytes: usize) -> Self {
        let unit = PLANE_ALIGNMENT as usize;
        let max_shard_bytes = (bytes / unit * unit).clamp(unit, MAX_SHARD_BYTES as usize);
        let (shards, tensors) = (Vec::new(), Vec::new());
        Self { sink, max_shard_bytes, shard: Vec::new(), written: 0, shards, tensors, open: None }
    }

    /// Starts a tensor; the one before must have ended.
    ///
    /// # Errors
    /// [`Error::Internal`] if such a tensor has no such layout; [`Error::Io`].
    pub async fn begin(&mut self, name: &str, shape: &[usize], layout: Layout) -> Result<()> {
        let planes = layout.planes(shape).filter(|_| self.open.is_none());
        let Some(planes) = planes else {
            return Err(Error::Internal { detail: format!("tensor {name} {shape:?} cannot be written as {layout}") });
        };
        let offset = self.align().await?;
        let places = planes.iter().map(|plane| PlaneEntry { offset, bytes: plane.bytes }).collect();
        let (name, shape) = (name.into(), shape.to_vec());
        let entry = TensorEntry { name, shape, layout, requantized_from: None, planes: places };
        let waiting = planes.iter().skip(1).map(|plane| room_for(plane.bytes)).collect();
        self.open = Some(OpenTensor { entry, first_plane_bytes: 0, waiting });
        Ok(())
    }

    /// Notes that the open tensor was quantised before, in another layout.
    pub fn requantized_from(&mut self, layout: Layout) {
        if let Some(open) = &mut self.open {
            open.entry.requantized_from = Some(layout);
        }
    }

    /// Appends to the planes of the open tensor and empties `planes`.
    ///
    /// # Errors
    /// [`Error::Internal`] if it has not that many planes; [`Error::Io`].
    pub async fn append(&mut self, planes: &mut [Vec<u8>]) -> Result<()> {
        let open = self.open.as_mut().filter(|open| open.entry.planes.len() == planes.len());
        let (Some(open), Some((first, others))) = (open, planes.split_first_mut()) else {
            return Err(Error::Internal { detail: "planes that belong to no open tensor".into() });
        };
        open.first_plane_bytes += first.len() as u64;
        for (waiting, plane) in open.waiting.iter_mut().zip(others) {
            waiting.append(plane);
        }
        self.push(first).await?;
        first.clear();
        Ok(())
    }

    /// Ends the open tensor.
    ///
    /// # Errors
    /// [`Error::Internal`] if its planes are not complete; [`Error::Io`].
    pub async fn end(&mut self) -> Result<()> {
        let Some(OpenTensor { mut entry, first_plane_bytes, waiting }) = self.open.take() else {
            return Err(Error::Internal { detail: "no tensor is open".into() });
        };
        let lengths = [first_plane_bytes].into_iter().chain(waiting.iter().map(|plane| plane.len() as u64));
        if !entry.planes.iter().map(|place| place.bytes).eq(lengths) {
            return Err(Error::Internal { detail: format!("tensor {} ended before it was complete", entry.name) });
        }
        for (place, plane) in entry.planes.iter_mut().skip(1).zip(&waiting) {
            place.offset = self.align().await?;
            self.push(plane).await?;
        }
        self.tensors.push(entry);
        Ok(())
    }

    /// Writes the tokenizer and the manifest and publishes the package.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`] if what was written is not what `info` describes; [`Error::Io`].
    pub async fn finish(mut self, info: PackageInfo, tokenizer: Vec<u8>) -> Result<Manifest> {
        self.cut().await?;
        let file = |name: &str, bytes: &[u8]| FileEntry {
            file: name.into(),
            bytes: bytes.len() as u64,
            sha256: sha256_hex(bytes),
        };
        let manifest = Manifest {
            format: FORMAT.into(),
            version: VERSION,
            name: info.name,
            license: info.license,
            source: info.source,
            quantization: info.quantization,
            config: info.config,
            chat: info.chat,
            tokenizer: file(TOKENIZER_FILE, &tokenizer),
            tensors: self.tensors,
            shards: self.shards,
        };
        let json = manifest.to_json()?;
        let manifest = Manifest::parse(&json)?;
        self.sink.put(TOKENIZER_FILE, tokenizer).await?;
        self.sink.put(MANIFEST_FILE, json).await?;
        self.sink.publish().await?;
        Ok(manifest)
    }

    /// Fills up to where a plane may start; gives that place.
    async fn align(&mut self) -> Result<u64> {
        let padding = self.written.next_multiple_of(PLANE_ALIGNMENT) - self.written;
        self.push(&[0; PLANE_ALIGNMENT as usize][..padding as usize]).await?;
        Ok(self.written)
    }

    async fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = self.max_shard_bytes - self.shard.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.shard.extend_from_slice(now);
            self.written += now.len() as u64;
            bytes = later;
            if self.shard.len() == self.max_shard_bytes {
                self.cut().await?;
            }
        }
        Ok(())
    }

    /// Hands the bytes at hand over as a shard.
    async fn cut(&mut self) -> Result<()> {
        if self.shard.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.shard);
        let file = format!("shard-{:04}.bin", self.shards.len());
        let entry = FileEntry { file, bytes: bytes.len() as u64, sha256: sha256_hex(&bytes) };
        self.sink.put(&entry.file, bytes).await?;
        self.shards.push(entry);
        Ok(())
    }
}

/// An empty buffer of that capacity, if it can be had: growing to it would take twice as much.
fn room_for(bytes: u64) -> Vec<u8> {
    let mut buffer = Vec::new();
    if let Ok(bytes) = usize::try_from(bytes) {
        // Where it cannot be had now, what is really written will say so.
        let _ = buffer.try_reserve_exact(bytes);
    }
    buffer
}
