//! Stores of snapshots.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;

use crate::error::Result;

/// Pending operation of a store.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// A file of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Its name: lower-case letters and digits.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// Files by name, which outlive the engine. One engine at a time uses a store. Failures are [`crate::Error::Io`].
pub trait SnapshotStore: fmt::Debug {
    /// Lists all files, the least recently [used](Self::touch) first.
    fn list(&self) -> Pending<'_, Vec<StoredFile>>;

    /// Reads all bytes of the range.
    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> Pending<'a, Vec<u8>>;

    /// Begins a file, which is listed once it is finished. An unfinished file is dropped.
    fn begin<'a>(&'a self, name: &'a str) -> Pending<'a, ()>;

    /// Appends bytes to the unfinished file.
    fn append(&self, bytes: Vec<u8>) -> Pending<'_, ()>;

    /// Completes the unfinished file. After a failure it does not exist.
    fn finish(&self) -> Pending<'_, ()>;

    /// Drops the unfinished file, if there is one.
    fn give_up(&self) -> Pending<'_, ()>;

    /// Marks a file as used now.
    fn touch<'a>(&'a self, name: &'a str) -> Pending<'a, ()>;

    /// Removes a file, if it exists.
    fn remove<'a>(&'a self, name: &'a str) -> Pending<'a, ()>;
}
