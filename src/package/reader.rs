//! Reading a package: the manifest, then shards, whose hashes are checked before their bytes are used.

use std::ops::Range;

use super::manifest::{FileEntry, MANIFEST_FILE, MAX_MANIFEST_BYTES, Manifest};
use super::source::{ByteSource, FileSet, read_whole};
use crate::error::{Error, Result};

/// An opened package.
#[derive(Debug)]
pub struct Package<F> {
    /// Its contents, checked.
    pub manifest: Manifest,
    files: F,
}

impl<F: FileSet> Package<F> {
    /// Reads and checks the manifest; fails with [`Error::InvalidPackage`] or [`Error::Io`].
    pub async fn open(files: F) -> Result<Self> {
        let Some(json) = read_whole(&files, MANIFEST_FILE, MAX_MANIFEST_BYTES).await? else {
            return Err(Error::package(MANIFEST_FILE, "there is no such file, so this is not a package"));
        };
        Ok(Self { manifest: Manifest::parse(&json)?, files })
    }

    /// The bytes of shard `index`.
    ///
    /// # Errors
    /// [`Error::Integrity`] if they are not the promised ones, [`Error::InvalidPackage`] or [`Error::Io`] if they cannot be read.
    pub async fn read_shard(&self, index: usize) -> Result<Vec<u8>> {
        let Some(entry) = self.manifest.shards.get(index) else {
            return Err(Error::Internal { detail: format!("there is no shard {index}") });
        };
        self.read_verified(entry).await
    }

    /// Some bytes of shard `index`, without a check of its hash; [`Error::InvalidPackage`] or [`Error::Io`] if they cannot be read.
    pub async fn read_part(&self, index: usize, range: Range<usize>) -> Result<Vec<u8>> {
        let Some(entry) = self.manifest.shards.get(index) else {
            return Err(Error::Internal { detail: format!("there is no shard {index}") });
        };
        let Some(source) = self.files.open(&entry.file).await? else {
            return Err(Error::package(&entry.file, "the file is missing"));
        };
        source.read(range.start as u64..range.end as u64).await
    }

    /// The bytes of the tokenizer file; fails as [`Self::read_shard`].
    pub async fn read_tokenizer(&self) -> Result<Vec<u8>> {
        self.read_verified(&self.manifest.tokenizer).await
    }

    /// Reads and checks all files; fails as [`Self::read_shard`].
    pub async fn verify(&self) -> Result<()> {
        for index in 0..self.manifest.shards.len() {
            self.read_shard(index).await?;
        }
        self.read_tokenizer().await.map(drop)
    }

    async fn read_verified(&self, entry: &FileEntry) -> Result<Vec<u8>> {
        let Some(source) = self.files.open(&entry.file).await? else {
            return Err(Error::package(&entry.file, "the file is missing"));
        };
        let len = source.len().await?;
        // Before reading, so that no file can ask for more memory than the manifest may promise.
        if len != entry.bytes {
            return Err(entry.wrong_length(len));
        }
        let bytes = source.read(0..len).await?;
        entry.verify(&bytes)?;
        Ok(bytes)
    }
}
