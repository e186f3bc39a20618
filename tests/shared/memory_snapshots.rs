//! A store of snapshots in memory, which outlives engines and can be made to fail.

use std::cell::RefCell;
use std::future::ready;
use std::ops::Range;
use std::rc::Rc;

use ocelli::engine::snapshots::{Pending, SnapshotStore, StoredFile};
use ocelli::{Error, Result};

/// Files, the last used one last. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemorySnapshots(pub(crate) Rc<RefCell<Files>>);

#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) files: Vec<(String, Vec<u8>)>,
    begun: Option<(String, Vec<u8>)>,
    /// Capacity in bytes.
    pub(crate) room: Option<usize>,
    /// True while no file can be read.
    pub(crate) is_unreadable: bool,
    /// Bytes read of files so far.
    pub(crate) read: u64,
}

fn io(reason: &str) -> Error {
    Error::Io { path: "memory".into(), reason: reason.into() }
}

impl MemorySnapshots {
    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> usize {
        self.0.borrow().files.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    fn with<T: 'static>(&self, then: impl FnOnce(&mut Files) -> Result<T>) -> Pending<'_, T> {
        Box::pin(ready(then(&mut self.0.borrow_mut())))
    }
}

impl SnapshotStore for MemorySnapshots {
    fn list(&self) -> Pending<'_, Vec<StoredFile>> {
        let file = |(name, bytes): &(String, Vec<u8>)| StoredFile { name: name.clone(), bytes: bytes.len() as u64 };
        self.with(|files| Ok(files.files.iter().map(file).collect()))
    }

    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> Pending<'a, Vec<u8>> {
        self.with(|files| {
            if files.is_unreadable {
                return Err(io("too many open files"));
            }
            let (_, bytes) = files.files.iter().find(|(known, _)| known == name).ok_or_else(|| io("no such file"))?;
            files.read += range.end - range.start;
            let bytes = bytes.get(range.start as usize..range.end as usize);
            bytes.map(<[u8]>::to_vec).ok_or_else(|| io("the file is too short"))
        })
    }

    fn begin<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        self.with(|files| {
            files.begun = Some((name.to_owned(), Vec::new()));
            Ok(())
        })
    }

    fn append(&self, more: Vec<u8>) -> Pending<'_, ()> {
        self.with(|files| {
            let held: usize = files.files.iter().map(|(_, bytes)| bytes.len()).sum();
            let (_, bytes) = files.begun.as_mut().ok_or_else(|| io("no file was begun"))?;
            if files.room.is_some_and(|room| held + bytes.len() + more.len() > room) {
                return Err(io("no space left"));
            }
            bytes.extend(more);
            Ok(())
        })
    }

    fn finish(&self) -> Pending<'_, ()> {
        self.with(|files| {
            let begun = files.begun.take().ok_or_else(|| io("no file was begun"))?;
            files.files.retain(|(name, _)| *name != begun.0);
            files.files.push(begun);
            Ok(())
        })
    }

    fn give_up(&self) -> Pending<'_, ()> {
        self.with(|files| {
            files.begun = None;
            Ok(())
        })
    }

    fn touch<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        self.with(|files| {
            let place = files.files.iter().position(|(known, _)| known == name).ok_or_else(|| io("no such file"))?;
            let file = files.files.remove(place);
            files.files.push(file);
            Ok(())
        })
    }

    fn remove<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        self.with(|files| {
            files.files.retain(|(known, _)| known != name);
            Ok(())
        })
    }
}
