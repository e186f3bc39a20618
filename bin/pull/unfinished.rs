//! The folder of an unfinished download, which belongs to one process at a time and to one source.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;

use ocelli::engine::snapshots::{private_append, private_file};
use ocelli::package::durable::{self, sync_folder};
use ocelli::{Error, Result};
use sha2::{Digest, Sha256};

use crate::shared::models::KnownSource;

/// Name of the file that is locked.
const LOCK: &str = ".lock";
/// Name of the file with the hash of the source. Addresses may have secrets in them.
const SOURCE: &str = ".source";

/// Locks the folder for this process; the lock ends with the process.
pub(super) fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let fail = |error: &io::Error| Error::io(path.display(), error);
    let file = private_append(&path).map_err(|error| fail(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Io {
            path: folder.display().to_string(),
            reason: "another `ocelli pull` is downloading it".into(),
        }),
        Err(TryLockError::Error(error)) => Err(fail(&error)),
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hash of a source.
pub(super) fn hash_of(source: &KnownSource) -> String {
    hash(source.addresses().join("\n").as_bytes())
}

/// Removes the files of any other source: two models have files of the same names.
///
/// # Errors
/// `io`.
pub(super) fn reserve(folder: &Path, source: &KnownSource) -> Result<()> {
    let hash = hash_of(source);
    let path = folder.join(SOURCE);
    if fs::read(&path).is_ok_and(|known| known == hash.as_bytes()) {
        return Ok(());
    }
    let part = folder.join(".source.part");
    let written = clear(folder).and_then(|()| {
        let mut file = private_file(&part)?;
        file.write_all(hash.as_bytes())?;
        file.sync_all()?;
        durable::rename(&part, &path)
    });
    written.map_err(|error| Error::io(folder.display(), &error))
}

/// Removes everything but the lock file.
fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == LOCK {
            continue;
        }
        let is_folder = entry.file_type()?.is_dir();
        if is_folder { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_another_source_are_removed() {
        let folder = std::env::temp_dir().join(format!("ocelli-unfinished-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("part")).expect("a folder");
        let at = |address: &str| KnownSource::Safetensors { safetensors: address.into() };
        let _lock = lock(&folder).expect("a lock");
        let names = || {
            let names = fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().expect("text")).collect();
            names.sort();
            names
        };
        // Downloads of earlier versions do not name their source.
        fs::write(folder.join("model.json"), "of some source").expect("a file");
        reserve(&folder, &at("http://one/")).expect("reserved");
        assert_eq!(names(), [LOCK, SOURCE]);
        fs::write(folder.join("model.json"), "of the first").expect("a file");
        reserve(&folder, &at("http://one/")).expect("reserved");
        assert_eq!(names(), [LOCK, SOURCE, "model.json"]);
        reserve(&folder, &at("http://other/")).expect("reserved");
        assert_eq!(names(), [LOCK, SOURCE]);
        fs::remove_dir_all(&folder).expect("the folder");
    }
}
