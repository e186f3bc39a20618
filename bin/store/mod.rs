//! Uploaded files, batches, and files of their answers, stored in a folder.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ocelli::api::Reply;
use ocelli::engine::snapshots::{private_append, private_file, private_folder};
use ocelli::package::durable;
use ocelli::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::shared::api;
use crate::shared::callers::Caller;
use crate::shared::io;

mod batch;
mod index;

pub(crate) use batch::{Batch, Counts, NewBatch, Pace, Status};
use index::{Index, Page};

/// File extension of an object.
const OBJECT: &str = "json";
/// File extension of the bytes of an object.
const DATA: &str = "jsonl";
/// File extension of an object that is being written.
const PART: &str = "part";
/// File extension of the notes of a batch beside its answers.
const NOTES: &str = "jsonl.attempt";
/// Prefix of the ids of batches.
const BATCH: &str = "batch_";
/// Characters of an id after its prefix, at least.
const SHORTEST_ID: usize = 16;
/// Part of the limits that one key of `--keys` may use is the whole divided by this.
const OWNERS: u64 = 4;
/// Seconds after which a file may expire: from an hour to 30 days.
pub(crate) const LIFETIMES: std::ops::RangeInclusive<u64> = 3600..=30 * 24 * 3600;
/// Most characters of a file's name.
const MOST_NAME: usize = 255;

/// A folder of objects, each a JSON file, some with a data file. Locked by one server at a time.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    /// The same as in the folder. Held for short times only, never while a file is read or written.
    index: Mutex<Index>,
    /// Held while an object is written or removed.
    writing: Mutex<()>,
    most: Limits,
    /// True for a temporary folder, which is removed with the server.
    is_temporary: bool,
    /// Lock file, held while this value exists.
    _lock: File,
}

/// Limits of a store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of all files together.
    pub(crate) bytes: u64,
    /// Number of files and batches. Files of the answers of batches may exceed it.
    pub(crate) objects: u64,
}

impl Limits {
    /// The limits of an owner: those of a key are a part of the whole, so that it leaves room for others.
    fn of(&self, owner: &str) -> Self {
        let part = |most: u64| if owner.is_empty() { most } else { (most / OWNERS).max(1) };
        Self { bytes: part(self.bytes), objects: part(self.objects) }
    }
}

/// An object of the API.
pub(crate) trait Object: Serialize + DeserializeOwned {
    /// Prefix of its ids.
    const PREFIX: &'static str;
    fn id(&self) -> &str;
}

/// A file object of `/v1/files`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FileObject {
    pub(crate) id: String,
    pub(crate) object: String,
    pub(crate) bytes: u64,
    pub(crate) created_at: u64,
    pub(crate) filename: String,
    pub(crate) purpose: String,
    pub(crate) status: String,
    /// Extension: name of the key that it belongs to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) owner: String,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<u64>,
}

impl FileObject {
    pub(crate) fn new(owner: &str, filename: &str, purpose: &str) -> Self {
        Self {
            id: new_id::<Self>(),
            object: "file".into(),
            bytes: 0,
            created_at: api::seconds(),
            filename: filename.chars().take(MOST_NAME).collect(),
            purpose: purpose.into(),
            status: "processed".into(),
            owner: owner.into(),
            expires_at: None,
        }
    }
}

impl Object for FileObject {
    const PREFIX: &'static str = "file-";

    fn id(&self) -> &str {
        &self.id
    }
}

/// A unique id.
pub(crate) fn new_id<T: Object>() -> String {
    format!("{}{}", T::PREFIX, api::random_name())
}

impl Store {
    /// Opens or creates the folder, by default a temporary one. Files that have expired are removed, as are those that an earlier
    /// server began to write.
    ///
    /// # Errors
    /// `io`, also if another server has locked it.
    pub(crate) fn open(folder: Option<&Path>, most: Limits) -> Result<Self> {
        let is_temporary = folder.is_none();
        let folder = folder
            .map_or_else(|| std::env::temp_dir().join(format!("ocelli-{}", api::random_name())), Path::to_path_buf);
        let io = |error: &std::io::Error| Error::io(folder.display(), error);
        private_folder(&folder).map_err(|error| io(&error))?;
        // The folder stays the same if a link on its path is changed.
        let folder = folder.canonicalize().map_err(|error| io(&error))?;
        let io = |error: &std::io::Error| Error::io(folder.display(), error);
        let lock = private_append(&folder.join("lock")).map_err(|error| io(&error))?;
        lock.try_lock().map_err(|_| io(&std::io::Error::other("another server has this folder")))?;
        let (index, writing) = (Mutex::default(), Mutex::default());
        let store = Self { folder, index, writing, most, is_temporary, _lock: lock };
        store.read();
        store.remove_expired();
        Ok(store)
    }

    /// Reads all objects, and removes files that belong to none.
    fn read(&self) {
        let mut index = self.index();
        for (id, path) in self.entries(OBJECT) {
            if fs::read_to_string(path).is_ok_and(|json| index.set(&id, &json)) {
                let owner = index.owner(&id).unwrap_or_default();
                index.count_object(&owner);
            }
        }
        for ending in [DATA, PART, NOTES] {
            for (id, path) in self.entries(ending) {
                match index.owner(&id) {
                    Some(owner) if ending == DATA => {
                        index.count((&id, &owner), fs::metadata(path).map_or(0, |about| about.len()));
                    }
                    // An object that cannot be read may be repaired.
                    None if self.path(&id).try_exists().is_ok_and(|exists| !exists) => drop(fs::remove_file(path)),
                    _ => {}
                }
            }
        }
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the file for the bytes of an object that is written by others.
    ///
    /// # Errors
    /// `io`.
    pub(crate) fn create(&self, id: &str) -> Result<PathBuf> {
        let path = self.bytes(id);
        private_append(&path).map_err(|error| Error::io(path.display(), &error))?;
        Ok(path)
    }

    /// Counts bytes that are written to the file with an id. Returns false if there is no room for them.
    pub(crate) fn take_room(&self, file: (&str, &str), bytes: u64) -> bool {
        self.index().take_room(file, bytes, &self.most)
    }

    /// Counts an object that will be added for an owner. [`Self::return_place`] takes it back; removal of the object does too.
    ///
    /// # Errors
    /// `storage-full`, after those that have expired were removed.
    pub(crate) fn take_place(&self, owner: &str) -> std::result::Result<(), Reply> {
        let is_taken = || self.index().take_place(owner, &self.most);
        let is_there = is_taken() || {
            self.remove_expired();
            is_taken()
        };
        let full = || {
            let (objects, most) = (self.index().objects(owner), self.most.of(owner).objects);
            match objects < most {
                true => "there is no place for more files and batches: others have taken them".into(),
                false => format!("there are {objects} files and batches, of at most {most}: delete others"),
            }
        };
        if is_there { Ok(()) } else { Err(Reply::error("storage-full", &full(), None)) }
    }

    /// Counts an object that is added in any case.
    pub(crate) fn count_object(&self, owner: &str) {
        self.index().count_object(owner);
    }

    /// Uncounts an object that was not added.
    pub(crate) fn return_place(&self, owner: &str) {
        self.index().return_place(owner);
    }

    /// Removes objects that have expired.
    pub(crate) fn remove_expired(&self) {
        let expired = self.index().expired();
        expired.iter().for_each(|id| self.remove(id));
    }

    /// Path of a file's bytes.
    pub(crate) fn bytes(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.{DATA}"))
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.{OBJECT}"))
    }

    /// An object by its id.
    pub(crate) fn get<T: Object>(&self, id: &str) -> Option<T> {
        let json = self.index().json(id).filter(|_| id.starts_with(T::PREFIX))?;
        serde_json::from_str(&json).ok()
    }

    /// An object by its id, if a sender may read it.
    pub(crate) fn get_for<T: Object>(&self, caller: &Caller, id: &str) -> Option<T> {
        let owner = self.index().owner(id)?;
        if caller.sees(&owner) { self.get(id) } else { None }
    }

    /// Writes an object atomically.
    ///
    /// # Errors
    /// `io`.
    pub(crate) fn put<T: Object>(&self, object: &T) -> Result<()> {
        let (path, part) = (self.path(object.id()), self.folder.join(format!("{}.{PART}", object.id())));
        let json = io::json(object)?;
        let _writing = self.writing();
        let write = || -> std::io::Result<()> {
            let mut file = private_file(&part)?;
            file.write_all(json.as_bytes())?;
            // The new content must be on disk before its name is.
            file.sync_all()?;
            durable::rename(&part, &path)
        };
        write().map_err(|error| Error::io(path.display(), &error))?;
        self.index().set(object.id(), &json);
        Ok(())
    }

    /// Shows an object that could not be written. A restarted server has what was written last.
    pub(crate) fn show<T: Object>(&self, object: &T) {
        let _writing = self.writing();
        if let Ok(json) = io::json(object) {
            self.index().set(object.id(), &json);
        }
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes an object and its bytes, also bytes without an object.
    pub(crate) fn remove(&self, id: &str) {
        let _writing = self.writing();
        // Without its JSON the object does not exist, even if the bytes remain until the next start. There may be none.
        match fs::remove_file(self.path(id)) {
            Ok(()) => drop(durable::sync_folder(&self.folder)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => return,
        }
        self.index().unset(id);
        let _ = fs::remove_file(self.bytes(id));
        let _ = fs::remove_file(self.folder.join(format!("{id}.{NOTES}")));
        self.index().uncount(id);
    }

    /// Removes a temporary folder.
    pub(crate) fn end(&self) {
        if self.is_temporary {
            // Remaining files are left to the system's cleanup.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    /// All objects of a kind, the newest first.
    pub(crate) fn all<T: Object>(&self) -> Vec<T> {
        let ids = self.index().ids(T::PREFIX);
        ids.iter().filter_map(|id| self.get(id)).collect()
    }

    /// A page of the list of those objects that a sender may read: `limit` of them after the one with the id `after`, both from the
    /// query.
    ///
    /// # Errors
    /// A fault of the query.
    pub(crate) fn page<T: Object>(
        &self,
        caller: &Caller,
        asked: (Option<&str>, usize),
    ) -> std::result::Result<Page, Reply> {
        self.index().asked(T::PREFIX, caller, asked)
    }

    /// Ids and paths of files with an extension. Other files, whose names have no id, are left alone.
    fn entries(&self, wanted: &str) -> impl Iterator<Item = (String, PathBuf)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter_map(move |path| {
            let (id, ending) = path.file_name()?.to_str()?.split_once('.')?;
            let random = [FileObject::PREFIX, BATCH].iter().find_map(|prefix| id.strip_prefix(prefix))?;
            let is_id = random.len() >= SHORTEST_ID && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
            (is_id && ending == wanted).then(|| (id.to_owned(), path.clone()))
        })
    }
}

/// Removes a temporary store at the end of the server, however it ends.
pub(crate) struct Temporary(pub(crate) Arc<Store>);

impl Drop for Temporary {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests;
