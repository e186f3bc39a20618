//! Sources of bytes: a file, memory, or in a browser a URL or the cache.
//!
//! The traits are asynchronous because a browser cannot wait; natively every future is ready at once.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// A file of known length, read in ranges. Failures are [`Error::Io`].
#[allow(clippy::len_without_is_empty, reason = "nobody asks whether a file is empty")]
#[allow(async_fn_in_trait, reason = "a browser's futures are not Send, so there is no bound to promise")]
pub trait ByteSource {
    /// Name for errors.
    fn name(&self) -> &str;

    /// Length in bytes.
    async fn len(&self) -> Result<u64>;

    /// All bytes of `range`; fails if it ends past the end.
    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>>;
}

/// Files by name: a directory, a URL's, a cache's. Failures are [`Error::Io`].
#[allow(async_fn_in_trait, reason = "a browser's futures are not Send, so there is no bound to promise")]
pub trait FileSet {
    /// One of the files.
    type Source: ByteSource;

    /// The file `name`, or `None` if there is none.
    async fn open(&self, name: &str) -> Result<Option<Self::Source>>;
}

/// The whole file `name`, or `None` if there is none; [`Error::Io`] also when it is longer than `limit` bytes.
pub async fn read_whole<F: FileSet>(files: &F, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    let Some(source) = files.open(name).await? else { return Ok(None) };
    let len = source.len().await?;
    if len > limit {
        let reason = format!("{len} bytes, more than the {limit} such a file may have");
        return Err(Error::Io { path: source.name().into(), reason });
    }
    source.read(0..len).await.map(Some)
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
        let Range { start, end } = range;
        let fail = |reason: String| Error::Io { path: self.name.clone(), reason };
        if start > end || end > self.len {
            return Err(fail(format!("bytes {start}..{end} lie outside its {}", self.len)));
        }
        let len = usize::try_from(end - start).map_err(|_| fail("more bytes than memory can hold".into()))?;
        let mut bytes = vec![0; len];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(start))
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
        if path.is_dir() || !path.exists() {
            return Ok(None);
        }
        FileSource::open(&path).map(Some)
    }
}
