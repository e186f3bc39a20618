//! Where bytes come from: a file, memory, or in a browser a URL or the cache.
//!
//! The traits are asynchronous because a browser cannot wait; natively every future is ready at once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// A file of known length, read in ranges.
#[allow(clippy::len_without_is_empty, reason = "nobody asks whether a file is empty")]
#[allow(async_fn_in_trait, reason = "a browser's futures are not Send, so there is no bound to promise")]
pub trait ByteSource {
    /// The name that errors show.
    fn name(&self) -> &str;

    /// Length in bytes.
    ///
    /// # Errors
    /// [`Error::Io`].
    async fn len(&self) -> Result<u64>;

    /// The bytes of `range`, all of them.
    ///
    /// # Errors
    /// [`Error::Io`], also when the range ends past the end.
    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>>;
}

/// Files by name: a directory, a URL's, a cache's.
#[allow(async_fn_in_trait, reason = "a browser's futures are not Send, so there is no bound to promise")]
pub trait FileSet {
    /// One of the files.
    type Source: ByteSource;

    /// The file `name`, or `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Io`].
    async fn open(&self, name: &str) -> Result<Option<Self::Source>>;
}

/// The whole file `name`, or `None` if there is none.
///
/// # Errors
/// [`Error::Io`], also when it is longer than `limit` bytes.
pub async fn read_whole<F: FileSet>(files: &F, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    let Some(source) = files.open(name).await? else { return Ok(None) };
    let len = source.len().await?;
    if len > limit {
        let reason = format!("{len} bytes, more than the {limit} such a file may have");
        return Err(Error::Io { path: source.name().into(), reason });
    }
    source.read(0..len).await.map(Some)
}

/// A range's length, checked against the file's.
fn range_len(path: &str, range: &Range<u64>, len: u64) -> Result<usize> {
    let wrong = |reason: String| Error::Io { path: path.into(), reason };
    if range.start > range.end || range.end > len {
        return Err(wrong(format!("bytes {}..{} lie outside its {len}", range.start, range.end)));
    }
    usize::try_from(range.end - range.start).map_err(|_| wrong("more bytes than memory can hold".into()))
}

/// A file of the file system.
#[derive(Debug)]
pub struct FileSource {
    name: String,
    len: u64,
    file: Mutex<File>,
}

impl FileSource {
    /// Opens `path`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |e| Error::io(path.display(), &e);
        let file = File::open(path).map_err(fail)?;
        let len = file.metadata().map_err(fail)?.len();
        Ok(Self { name: path.display().to_string(), len, file: Mutex::new(file) })
    }
}

impl ByteSource for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn len(&self) -> Result<u64> {
        Ok(self.len)
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; range_len(&self.name, &range, self.len)?];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(range.start))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|e| Error::io(&self.name, &e))?;
        Ok(bytes)
    }
}

/// The files of a directory.
#[derive(Debug, Clone)]
pub struct Directory(pub PathBuf);

impl FileSet for Directory {
    type Source = FileSource;

    async fn open(&self, name: &str) -> Result<Option<FileSource>> {
        let path = self.0.join(name);
        if !path.is_file() {
            return Ok(None);
        }
        FileSource::open(&path).map(Some)
    }
}

/// Bytes in memory.
#[derive(Debug, Clone)]
pub struct MemorySource {
    name: String,
    bytes: Arc<[u8]>,
}

impl MemorySource {
    /// `bytes` under `name`.
    pub fn new(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }
}

impl ByteSource for MemorySource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn len(&self) -> Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let len = range_len(&self.name, &range, self.bytes.len() as u64)?;
        // Both ends were just checked against a length that is a usize.
        let start = range.start as usize;
        Ok(self.bytes[start..start + len].to_vec())
    }
}

/// Files in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryFiles(pub BTreeMap<String, Arc<[u8]>>);

impl FileSet for MemoryFiles {
    type Source = MemorySource;

    async fn open(&self, name: &str) -> Result<Option<MemorySource>> {
        Ok(self.0.get(name).map(|bytes| MemorySource::new(name, bytes.clone())))
    }
}
