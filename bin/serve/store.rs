//! Uploaded files, batches, and files of their answers, stored in a folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use ocelli::api::Reply;
use ocelli::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::shared::api;
use crate::shared::io;

/// A folder of objects, each a JSON file, some with a data file. Locked by one server at a time.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    /// True for a temporary folder, which is removed with the server.
    is_temporary: bool,
    /// Lock file, held while this value exists.
    _lock: File,
}

/// An object of the API.
pub(super) trait Object: Serialize + DeserializeOwned {
    /// Prefix of its ids.
    const PREFIX: &'static str;
    fn id(&self) -> &str;
    /// Seconds since 1970.
    fn created(&self) -> u64;
}

/// A file object of `/v1/files`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FileObject {
    pub(super) id: String,
    pub(super) object: String,
    pub(super) bytes: u64,
    pub(super) created_at: u64,
    pub(super) filename: String,
    pub(super) purpose: String,
    pub(super) status: String,
}

impl FileObject {
    pub(super) fn new(filename: &str, purpose: &str) -> Self {
        Self {
            id: new_id::<Self>(),
            object: "file".into(),
            bytes: 0,
            created_at: api::seconds(),
            filename: filename.into(),
            purpose: purpose.into(),
            status: "processed".into(),
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
}

/// A unique id.
pub(super) fn new_id<T: Object>() -> String {
    format!("{}{}", T::PREFIX, api::random_name())
}

impl Store {
    /// Opens or creates the folder; by default a temporary one.
    ///
    /// # Errors
    /// `io`, also if another server has locked it.
    pub(super) fn open(folder: Option<&Path>) -> Result<Self> {
        let is_temporary = folder.is_none();
        let folder = folder
            .map_or_else(|| std::env::temp_dir().join(format!("ocelli-{}", api::random_name())), Path::to_path_buf);
        let io = |error: &std::io::Error| Error::io(folder.display(), error);
        fs::create_dir_all(&folder).map_err(|error| io(&error))?;
        let lock = File::create(folder.join("lock")).map_err(|error| io(&error))?;
        lock.try_lock().map_err(|_| io(&std::io::Error::other("another server has this folder")))?;
        Ok(Self { folder, is_temporary, _lock: lock })
    }

    /// Path of a file's bytes.
    pub(super) fn bytes(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.jsonl"))
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// An object by its id.
    pub(super) fn get<T: Object>(&self, id: &str) -> Option<T> {
        // An id is not a path.
        let name = id.strip_prefix(T::PREFIX)?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        serde_json::from_slice(&fs::read(self.path(id)).ok()?).ok()
    }

    /// Writes an object atomically.
    ///
    /// # Errors
    /// `io`.
    pub(super) fn put<T: Object>(&self, object: &T) -> Result<()> {
        let (path, part) = (self.path(object.id()), self.folder.join(format!("{}.part", object.id())));
        let written = fs::write(&part, io::json(object)?).and_then(|()| fs::rename(&part, &path));
        written.map_err(|error| Error::io(path.display(), &error))
    }

    /// Removes a file and its bytes.
    pub(super) fn remove(&self, id: &str) {
        // Without its JSON the object does not exist, even if its bytes remain. Not every object has bytes.
        let _ = fs::remove_file(self.path(id));
        let _ = fs::remove_file(self.bytes(id));
    }

    /// Removes a temporary folder.
    pub(super) fn end(&self) {
        if self.is_temporary {
            // Remaining files are left to the system's cleanup.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    /// All objects of a kind, the newest first.
    pub(super) fn all<T: Object>(&self) -> Vec<T> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned));
        let mut objects: Vec<T> = ids.filter_map(|id| self.get(&id)).collect();
        objects.sort_by(|one, other| (other.created(), other.id()).cmp(&(one.created(), one.id())));
        objects
    }
}

/// A page of a list: `limit` objects after the one with the id `after`, both from the query.
pub(super) fn page<T: Object>(objects: Vec<T>, query: Option<&str>, most: usize) -> std::result::Result<String, Reply> {
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
