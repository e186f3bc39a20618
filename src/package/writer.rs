//! Writing a package, tensor by tensor. Shards are stored as soon as they are full.
//!
//! At most one shard, and the small planes of one tensor, are in memory. A resumable sink gets a checkpoint after each shard, and the small
//! planes are stored as parts, so that an interrupted import resumes at the row it had reached.

use super::manifest::{FileEntry, MANIFEST_FILE, MAX_SHARD_BYTES, Manifest, PlaneEntry, TOKENIZER_FILE, TensorEntry};
use super::resume::{OpenTensor, ResumeState};
use crate::error::{Error, Result};
use crate::layout::{Layout, PLANE_ALIGNMENT, ROW_GROUP};

/// Destination of a package's files: a directory, a browser's cache. Failures are [`Error::Io`].
#[allow(async_fn_in_trait, reason = "a browser's futures are not Send, so there is no bound to promise")]
pub trait PackageSink {
    /// True if checkpoints and parts survive an interruption. Then all methods below must be implemented.
    const RESUMABLE: bool = false;

    /// Stores a file. It is not visible as part of a package before [`Self::publish`].
    async fn put(&mut self, file: &str, bytes: Vec<u8>) -> Result<()>;

    /// Publishes all stored files as one package, and removes checkpoint and parts. Called once, after the last [`Self::put`].
    async fn publish(&mut self) -> Result<()>;

    /// Stores bytes that are not yet in a shard.
    async fn put_part(&mut self, _part: &str, _bytes: &[u8]) -> Result<()> {
        Ok(())
    }

    /// A stored part, if it still exists.
    async fn get_part(&mut self, _part: &str) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Replaces the checkpoint. Parts that are not in `parts` are no longer needed.
    async fn put_checkpoint(&mut self, _checkpoint: Vec<u8>, _parts: &[&str]) -> Result<()> {
        Ok(())
    }

    /// The last checkpoint, if all its shards are still stored.
    async fn get_checkpoint(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// A package in the making.
#[derive(Debug)]
pub struct PackageWriter<S> {
    sink: S,
    /// The stored files, and the tensor being written.
    state: ResumeState,
    /// Bytes of the stream that are in no file yet.
    shard: Vec<u8>,
    /// Length of the stream so far.
    written: u64,
    /// Bytes of the open tensor's other planes that are not stored as parts.
    waiting: Vec<Vec<u8>>,
    /// True if a shard was stored since the last checkpoint.
    unsaved: bool,
    /// True if the open tensor was begun by the interrupted import.
    resumed: bool,
}

impl<S: PackageSink> PackageWriter<S> {
    /// A writer of shards of the usual size.
    pub fn new(sink: S) -> Self {
        Self::with_shard_bytes(sink, MAX_SHARD_BYTES as usize)
    }

    /// A writer of smaller shards: `bytes` is rounded down to a multiple of 256 in `256..=`[`MAX_SHARD_BYTES`].
    pub fn with_shard_bytes(sink: S, bytes: usize) -> Self {
        let unit = PLANE_ALIGNMENT as usize;
        let state = ResumeState::new(String::new(), (bytes / unit * unit).clamp(unit, MAX_SHARD_BYTES as usize));
        let (shard, waiting) = (Vec::new(), Vec::new());
        Self { sink, state, shard, written: 0, waiting, unsaved: false, resumed: false }
    }

    /// Resumes from the sink's checkpoint, if it has this fingerprint and all its parts are intact; else starts from the beginning.
    pub(crate) async fn resume(&mut self, fingerprint: String) -> Result<()> {
        self.state = ResumeState::new(fingerprint, self.state.shard_bytes);
        if !S::RESUMABLE {
            return Ok(());
        }
        let json = self.sink.get_checkpoint().await?;
        let Some(state) = json.and_then(|json| self.state.successor(&json)) else { return Ok(()) };
        let mut shard = self.empty_shard();
        for part in state.parts() {
            let kept = self.sink.get_part(&part.file).await?.filter(|bytes| part.verify(bytes).is_ok());
            let Some(bytes) = kept else { return Ok(()) };
            if state.rest.as_ref() == Some(part) {
                shard.extend_from_slice(&bytes);
            }
        }
        self.written = state.shards.iter().map(|shard| shard.bytes).sum::<u64>() + shard.len() as u64;
        self.shard = shard;
        if let Some(OpenTensor { entry, .. }) = &state.open {
            self.waiting = self.rooms(&entry.planes);
            self.resumed = true;
        }
        self.state = state;
        Ok(())
    }

    /// Number of complete tensors.
    pub(crate) fn complete(&self) -> usize {
        self.state.tensors.len()
    }

    /// The value of [`Self::set_tied_head`], if it was called.
    pub(crate) fn tied_head(&self) -> Option<bool> {
        self.state.tied_head
    }

    /// Stores whether the head equals the embedding, because finding out reads both.
    pub(crate) async fn set_tied_head(&mut self, tied: bool) -> Result<()> {
        self.state.tied_head = Some(tied);
        self.unsaved = true;
        self.save().await
    }

    /// Starts a tensor; the one before must have ended. Returns the number of rows (elements of a vector) that are already written, which is 0
    /// except in a resumed import. Fails with [`Error::Internal`] if the tensor cannot have this layout, or [`Error::Io`].
    pub async fn begin(&mut self, name: &str, shape: &[usize], layout: Layout) -> Result<usize> {
        let wrong = || Error::Internal { detail: format!("tensor {name} {shape:?} cannot be written as {layout}") };
        let planes = layout.planes(shape).ok_or_else(wrong)?;
        if let Some(OpenTensor { entry, first_plane_bytes, .. }) = &self.state.open {
            let same = entry.name == name && entry.shape == shape && entry.layout == layout;
            if !std::mem::take(&mut self.resumed) || !same {
                return Err(wrong());
            }
            return Ok(rows_in(shape, planes.first().map_or(0, |plane| plane.bytes), *first_plane_bytes));
        }
        let offset = self.align().await?;
        let places: Vec<_> = planes.iter().map(|plane| PlaneEntry { offset, bytes: plane.bytes }).collect();
        self.waiting = self.rooms(&places);
        let waiting = vec![Vec::new(); self.waiting.len()];
        let entry =
            TensorEntry { name: name.into(), shape: shape.to_vec(), layout, requantized_from: None, planes: places };
        self.state.open = Some(OpenTensor { entry, first_plane_bytes: 0, waiting });
        Ok(0)
    }

    /// Records that the source of the open tensor was quantised in another layout.
    pub fn requantized_from(&mut self, layout: Layout) {
        if let Some(open) = &mut self.state.open {
            open.entry.requantized_from = Some(layout);
        }
    }

    /// Appends to the planes of the open tensor and empties `planes`.
    ///
    /// # Errors
    /// [`Error::Internal`] if it has not that many planes; [`Error::Io`].
    pub async fn append(&mut self, planes: &mut [Vec<u8>]) -> Result<()> {
        let open = self.state.open.as_mut().filter(|open| open.entry.planes.len() == planes.len());
        let (Some(open), Some((first, others))) = (open, planes.split_first_mut()) else {
            return Err(Error::Internal { detail: "planes that belong to no open tensor".into() });
        };
        open.first_plane_bytes += first.len() as u64;
        for (waiting, plane) in self.waiting.iter_mut().zip(others) {
            waiting.append(plane);
        }
        self.push(first).await?;
        first.clear();
        self.save().await
    }

    /// Ends the open tensor; [`Error::Internal`] if its planes are not complete; [`Error::Io`].
    pub async fn end(&mut self) -> Result<()> {
        let Some(OpenTensor { mut entry, first_plane_bytes, waiting: kept }) = self.state.open.take() else {
            return Err(Error::Internal { detail: "no tensor is open".into() });
        };
        let waiting = std::mem::take(&mut self.waiting);
        let kept_bytes = |parts: &Vec<FileEntry>| parts.iter().map(|part| part.bytes).sum::<u64>();
        let others = kept.iter().zip(&waiting).map(|(parts, plane)| kept_bytes(parts) + plane.len() as u64);
        if !entry.planes.iter().map(|place| place.bytes).eq([first_plane_bytes].into_iter().chain(others)) {
            return Err(Error::Internal { detail: format!("tensor {} ended before it was complete", entry.name) });
        }
        for ((place, parts), plane) in entry.planes.iter_mut().skip(1).zip(&kept).zip(&waiting) {
            place.offset = self.align().await?;
            for part in parts {
                let bytes = self.sink.get_part(&part.file).await?.filter(|bytes| part.verify(bytes).is_ok());
                let gone = || Error::Io { path: part.file.clone(), reason: "a stored part is missing".into() };
                self.push(&bytes.ok_or_else(gone)?).await?;
            }
            self.push(plane).await?;
        }
        self.state.tensors.push(entry);
        self.save().await
    }

    /// Writes the tokenizer and the manifest and publishes the package.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`] if what was written is not what `manifest` describes; [`Error::Io`].
    pub async fn finish(mut self, manifest: Manifest, tokenizer: Vec<u8>) -> Result<Manifest> {
        self.cut().await?;
        let ResumeState { tensors, shards, .. } = self.state;
        let manifest = Manifest { tokenizer: FileEntry::of(TOKENIZER_FILE, &tokenizer), tensors, shards, ..manifest };
        let json = manifest.to_json()?;
        let manifest = Manifest::parse(&json)?;
        self.sink.put(TOKENIZER_FILE, tokenizer).await?;
        self.sink.put(MANIFEST_FILE, json).await?;
        self.sink.publish().await?;
        Ok(manifest)
    }

    /// Pads the stream to the alignment of planes. Returns its length.
    async fn align(&mut self) -> Result<u64> {
        let padding = self.written.next_multiple_of(PLANE_ALIGNMENT) - self.written;
        self.push(&[0; PLANE_ALIGNMENT as usize][..padding as usize]).await?;
        Ok(self.written)
    }

    async fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.shard.capacity() == 0 {
                self.shard = self.empty_shard();
            }
            let room = self.state.shard_bytes - self.shard.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.shard.extend_from_slice(now);
            self.written += now.len() as u64;
            bytes = later;
            if self.shard.len() == self.state.shard_bytes {
                self.cut().await?;
            }
        }
        Ok(())
    }

    /// Stores the current bytes as a shard.
    async fn cut(&mut self) -> Result<()> {
        if self.shard.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.shard);
        let entry = FileEntry::of(format!("shard-{:04}.bin", self.state.shards.len()), &bytes);
        self.sink.put(&entry.file, bytes).await?;
        self.state.shards.push(entry);
        self.unsaved = true;
        Ok(())
    }

    /// Stores a checkpoint, and before it the parts it needs, if a shard was stored since the last one.
    async fn save(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.unsaved) || !S::RESUMABLE {
            return Ok(());
        }
        let Self { sink, state, waiting, .. } = self;
        for (kept, plane) in state.open.iter_mut().flat_map(|open| &mut open.waiting).zip(waiting) {
            kept.extend(keep(sink, &mut state.next_part, plane).await?);
            plane.clear();
        }
        state.rest = keep(sink, &mut state.next_part, &self.shard).await?;
        let parts: Vec<&str> = state.parts().map(|part| part.file.as_str()).collect();
        sink.put_checkpoint(state.to_json()?, &parts).await
    }

    /// Room for a whole shard: growing to it would take twice as much.
    fn empty_shard(&self) -> Vec<u8> {
        room_for(self.state.shard_bytes as u64)
    }

    /// Room for all planes but the first, as far as they stay in memory: whole, or what comes between two checkpoints.
    fn rooms(&self, planes: &[PlaneEntry]) -> Vec<Vec<u8>> {
        let Some((first, others)) = planes.split_first() else { return Vec::new() };
        let between = |plane: &PlaneEntry| {
            let share = plane.bytes as f64 / first.bytes.max(1) as f64;
            // Beside a shard's there is that of the rows which filled it.
            (1.25 * share * self.state.shard_bytes as f64) as u64
        };
        let bytes = |plane: &PlaneEntry| if S::RESUMABLE { plane.bytes.min(between(plane)) } else { plane.bytes };
        others.iter().map(|plane| room_for(bytes(plane))).collect()
    }
}

/// Stores bytes as the next part; does nothing if there are none.
async fn keep<S: PackageSink>(sink: &mut S, next: &mut u64, bytes: &[u8]) -> Result<Option<FileEntry>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let part = FileEntry::of(format!("part-{next}"), bytes);
    *next += 1;
    sink.put_part(&part.file, bytes).await?;
    Ok(Some(part))
}

/// Rows, or elements of a vector, that `there` bytes of the first plane hold. Rows of a matrix come in groups, of which the last
/// may be filled up.
fn rows_in(shape: &[usize], plane_bytes: u64, there: u64) -> usize {
    let Some(&rows) = shape.first() else { return 0 };
    let stored = if shape.len() == 1 { rows } else { rows.next_multiple_of(ROW_GROUP) };
    let row_bytes = (plane_bytes / stored.max(1) as u64).max(1);
    // At most `rows`, which is a usize.
    (there / row_bytes).min(rows as u64) as usize
}

/// An empty buffer with that capacity, if it can be reserved: growing to it would take twice as much memory.
fn room_for(bytes: u64) -> Vec<u8> {
    let mut buffer = Vec::new();
    if let Ok(bytes) = usize::try_from(bytes) {
        // If it cannot be reserved now, writing will fail later.
        let _ = buffer.try_reserve_exact(bytes);
    }
    buffer
}
