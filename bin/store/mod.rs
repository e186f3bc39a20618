//! Uploaded files, batches, and files of their answers, stored in a folder.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ocelli::api::Reply;
use ocelli::engine::snapshots::{private_append, private_file, private_folder};
use ocelli::package::durable;
use ocelli::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::shared::api;
use crate::shared::callers::Caller;
use crate::shared::io;

/// File extension of an object.
const OBJECT: &str = "json";
/// File extension of the bytes of an object.
const DATA: &str = "jsonl";

/// A folder of objects, each a JSON file, some with a data file. Locked by one server at a time.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    /// Bytes of all files.
    used: AtomicU64,
    /// Number of objects.
    objects: AtomicU64,
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

/// An object of the API.
pub(crate) trait Object: Serialize + DeserializeOwned {
    /// Prefix of its ids.
    const PREFIX: &'static str;
    fn id(&self) -> &str;
    /// Seconds since 1970.
    fn created(&self) -> u64;
    /// Name of the key that it belongs to; empty if it belongs to none.
    fn owner(&self) -> &str;
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
            filename: filename.into(),
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

    fn created(&self) -> u64 {
        self.created_at
    }

    fn owner(&self) -> &str {
        &self.owner
    }
}

/// A unique id.
pub(crate) fn new_id<T: Object>() -> String {
    format!("{}{}", T::PREFIX, api::random_name())
}

impl Store {
    /// Opens or creates the folder, by default a temporary one. Files that have expired are removed.
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
        let (used, objects) = (AtomicU64::new(0), AtomicU64::new(0));
        let store = Self { folder, used, objects, most, is_temporary, _lock: lock };
        store.remove_expired();
        let bytes = store.entries(DATA).filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum();
        store.used.store(bytes, Ordering::Relaxed);
        store.objects.store(store.entries(OBJECT).count() as u64, Ordering::Relaxed);
        Ok(store)
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

    /// Counts bytes that others have written, also beyond the limit.
    pub(crate) fn count(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that are written. Returns false if there is no room for them.
    pub(crate) fn take_room(&self, bytes: u64) -> bool {
        grow(&self.used, bytes, self.most.bytes)
    }

    /// Counts an object that will be added. [`Self::return_place`] takes it back; removal of the object does too.
    ///
    /// # Errors
    /// `storage-full`, after those that have expired were removed.
    pub(crate) fn take_place(&self) -> std::result::Result<(), Reply> {
        let is_taken = || grow(&self.objects, 1, self.most.objects);
        let is_there = is_taken() || {
            self.remove_expired();
            is_taken()
        };
        let objects = self.objects.load(Ordering::Relaxed);
        let full = || format!("there are {objects} files and batches, of at most {}: delete others", self.most.objects);
        if is_there { Ok(()) } else { Err(Reply::error("storage-full", &full(), None)) }
    }

    /// Counts an object that is added in any case.
    pub(crate) fn count_object(&self) {
        self.objects.fetch_add(1, Ordering::Relaxed);
    }

    /// Uncounts an object that was not added.
    pub(crate) fn return_place(&self) {
        shrink(&self.objects, 1);
    }

    /// Removes files that have expired.
    pub(crate) fn remove_expired(&self) {
        let now = api::seconds();
        let expired = |file: &FileObject| file.expires_at.is_some_and(|at| at <= now);
        self.all().iter().filter(|file| expired(file)).for_each(|file| self.remove(&file.id));
    }

    /// Path of a file's bytes.
    pub(crate) fn bytes(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.{DATA}"))
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// An object by its id.
    pub(crate) fn get<T: Object>(&self, id: &str) -> Option<T> {
        // An id is not a path.
        let name = id.strip_prefix(T::PREFIX)?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let object: T = serde_json::from_slice(&fs::read(self.path(id)).ok()?).ok()?;
        // Its other files are found by the id in it.
        (object.id() == id).then_some(object)
    }

    /// An object by its id, if a sender may read it.
    pub(crate) fn get_for<T: Object>(&self, caller: &Caller, id: &str) -> Option<T> {
        self.get(id).filter(|object: &T| caller.sees(object.owner()))
    }

    /// Writes an object atomically.
    ///
    /// # Errors
    /// `io`.
    pub(crate) fn put<T: Object>(&self, object: &T) -> Result<()> {
        let (path, part) = (self.path(object.id()), self.folder.join(format!("{}.part", object.id())));
        let json = io::json(object)?;
        let write = || -> std::io::Result<()> {
            let mut file = private_file(&part)?;
            file.write_all(json.as_bytes())?;
            // The new content must be on disk before its name is.
            file.sync_all()?;
            durable::rename(&part, &path)
        };
        let written = write();
        written.map_err(|error| Error::io(path.display(), &error))
    }

    /// Removes a file and its bytes.
    pub(crate) fn remove(&self, id: &str) {
        self.discard(id, fs::metadata(self.bytes(id)).map_or(0, |data| data.len()));
    }

    /// Removes a file and the bytes that were counted for it, of which some may not be written yet.
    pub(crate) fn discard(&self, id: &str, bytes: u64) {
        // Without its JSON the object does not exist, even if the bytes remain. There may be none.
        if fs::remove_file(self.path(id)).is_ok() {
            let _ = durable::sync_folder(&self.folder);
            self.return_place();
        }
        if fs::remove_file(self.bytes(id)).is_ok() {
            shrink(&self.used, bytes);
        }
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
        let ids = self.entries(OBJECT).filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()));
        let mut objects: Vec<T> = ids.filter_map(|id| self.get(&id)).collect();
        objects.sort_by(|one, other| (other.created(), other.id()).cmp(&(one.created(), one.id())));
        objects
    }

    /// Files with an extension.
    fn entries(&self, extension: &'static str) -> impl Iterator<Item = fs::DirEntry> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.filter(move |entry| entry.path().extension().is_some_and(|ending| ending == extension))
    }
}

/// Adds to a count up to a limit. Returns false if it would be exceeded.
fn grow(count: &AtomicU64, more: u64, most: u64) -> bool {
    let fits = |count: u64| count.checked_add(more).filter(|count| *count <= most);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
}

fn shrink(count: &AtomicU64, less: u64) {
    let rest = |count: u64| Some(count.saturating_sub(less));
    let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
}

/// Removes a temporary store at the end of the server, however it ends.
pub(crate) struct Temporary(pub(crate) Arc<Store>);

impl Drop for Temporary {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A page of the list of those objects that a sender may read: `limit` of them after the one with the id `after`, both from the query.
pub(crate) fn page<T: Object>(
    mut objects: Vec<T>,
    caller: &Caller,
    (query, most): (Option<&str>, usize),
) -> std::result::Result<String, Reply> {
    objects.retain(|object| caller.sees(object.owner()));
    let field = |name: &str| {
        let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let wrong = |name: &str, reason: String| Reply::from(&Error::request(name, reason));
    let limit = match field("limit").map(str::parse) {
        None => most,
        Some(Ok(limit)) if (1..=10_000).contains(&limit) => limit,
        Some(_) => return Err(wrong("limit", "must be a number from 1 to 10000".into())),
    };
    let from = match field("after") {
        None => 0,
        Some(after) => match objects.iter().position(|object| object.id() == after) {
            Some(place) => place + 1,
            None => return Err(wrong("after", format!("there is no {after:?}"))),
        },
    };
    let shown = &objects[from..objects.len().min(from + limit)];
    let id = |object: Option<&T>| object.map_or(Value::Null, |object| object.id().into());
    let has_more = from + shown.len() < objects.len();
    let list = json!({"object": "list", "data": shown, "first_id": id(shown.first()), "last_id": id(shown.last()), "has_more": has_more});
    Ok(list.to_string())
}

#[cfg(test)]
mod tests;
