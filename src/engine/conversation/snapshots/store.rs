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

/// Files by name, which outlive the engine. One engine at a time has them. What fails is [`crate::Error::Io`].
pub trait SnapshotStore: fmt::Debug {
    /// All files, those first that were [used](Self::touch) longest ago.
    fn list(&self) -> Pending<'_, Vec<StoredFile>>;

    /// Bytes of a file, all of the range.
    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> Pending<'a, Vec<u8>>;

    /// Begins a file. Until it is finished it is in no list; what was begun before is given up.
    fn begin<'a>(&'a self, name: &'a str) -> Pending<'a, ()>;

    /// Adds bytes to the file that was begun.
    fn append(&self, bytes: Vec<u8>) -> Pending<'_, ()>;

    /// Has the file that was begun be there, whole; or it is not there, and this fails.
    fn finish(&self) -> Pending<'_, ()>;

    /// Gives up the file that was begun, if there is one.
    fn give_up(&self) -> Pending<'_, ()>;

    /// Notes that a file has been used.
    fn touch<'a>(&'a self, name: &'a str) -> Pending<'a, ()>;

    /// Removes a file, if it is there.
    fn remove<'a>(&'a self, name: &'a str) -> Pending<'a, ()>;
}
