//! A snapshot store in a folder.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::format::MAGIC;
use super::store::{Pending, SnapshotStore, StoredFile};
use crate::error::{Error, Result};
use crate::package::durable;
use crate::package::source::{ByteSource, FileSource};

/// File extension of snapshots.
const ENDING: &str = "snapshot";
/// Beginning and ending of the names of unfinished snapshots; other files are left alone.
const PART: (&str, &str) = ("ocelli-", ".part");

/// A folder of snapshots, which one process at a time uses.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The unfinished file and its name.
    begun: RefCell<Option<(File, String)>>,
    /// Held for the lifetime of this value.
    _lock: File,
}

impl Folder {
    /// Opens or creates the folder, and removes unfinished files of a killed process.
    ///
    /// # Errors
    /// [`Error::Io`], also if another process uses the folder.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |error: &io::Error| Error::io(path.display(), error);
        private_folder(path).map_err(|error| fail(&error))?;
        let lock = private_append(&path.join("lock")).map_err(|error| fail(&error))?;
        lock.try_lock().map_err(|_| fail(&io::Error::other("another process has this folder")))?;
        let folder = Self { path: path.to_path_buf(), begun: RefCell::default(), _lock: lock };
        for (path, _) in files(path, is_part)? {
            // A file that cannot be removed is overwritten later.
            let _ = fs::remove_file(path);
        }
        Ok(folder)
    }

    /// Lists the snapshots in a folder, the least recently used first, and changes nothing.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn snapshots(path: &Path) -> Result<Vec<StoredFile>> {
        let file = |(path, data): (PathBuf, fs::Metadata)| {
            Some(StoredFile { name: path.file_stem()?.to_str()?.to_owned(), bytes: data.len() })
        };
        Ok(files(path, is_snapshot)?.into_iter().filter_map(file).collect())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.{ENDING}"))
    }

    fn part(&self, name: &str) -> PathBuf {
        self.path.join([PART.0, name, PART.1].concat())
    }

    fn fail<T>(&self, name: &str, outcome: io::Result<T>) -> Result<T> {
        outcome.map_err(|error| Error::io(self.path.join(name).display(), &error))
    }

    fn finished(&self) -> Result<()> {
        let Some((file, name)) = self.begun.borrow_mut().take() else { return Ok(()) };
        // The content must be on disk before its name is, and some systems rename only closed files.
        let written = { file }.sync_all();
        self.fail(&name, written.and_then(|()| durable::rename(&self.part(&name), &self.file(&name))))
    }

    fn given_up(&self) -> Result<()> {
        let Some((_, name)) = self.begun.borrow_mut().take() else { return Ok(()) };
        self.fail(&name, fs::remove_file(self.part(&name)))
    }
}

/// Files of a folder for which `is_one` is true, the least recently changed first.
fn files(folder: &Path, is_one: impl Fn(&Path) -> bool) -> Result<Vec<(PathBuf, fs::Metadata)>> {
    let entries = fs::read_dir(folder).map_err(|error| Error::io(folder.display(), &error))?;
    let entries = entries.flatten().filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)));
    let mut files: Vec<_> = entries.filter(|(path, data)| data.is_file() && is_one(path)).collect();
    files.sort_by_key(|(path, data)| (data.modified().ok(), path.clone()));
    Ok(files)
}

/// Returns true for the name and the first bytes of a snapshot.
fn is_snapshot(path: &Path) -> bool {
    let begins_right = || {
        let mut first = [0; MAGIC.len()];
        File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok() && first == *MAGIC
    };
    path.extension().is_some_and(|ending| ending == ENDING) && begins_right()
}

/// Returns true for the name of an unfinished snapshot.
fn is_part(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()?.strip_prefix(PART.0)?.strip_suffix(PART.1));
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Creates a folder that only its owner may read, on systems with owners. A folder that exists keeps its mode.
///
/// # Errors
/// The system's error.
pub fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    durable::create_folder(&mut builder, path)
}

/// Creates or empties a file; a new one may be read by its owner only, on systems with owners.
///
/// # Errors
/// The system's error.
pub fn private_file(path: &Path) -> io::Result<File> {
    open_private(OpenOptions::new().write(true).truncate(true), path)
}

/// Creates a file or opens it at its end; a new one may be read by its owner only, on systems with owners.
///
/// # Errors
/// The system's error.
pub fn private_append(path: &Path) -> io::Result<File> {
    open_private(OpenOptions::new().append(true), path)
}

/// Creates a file or opens it by `options`; a new one may be read by its owner only, on systems with owners.
///
/// # Errors
/// The system's error.
pub fn open_private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.create(true).open(path)
}

fn ready<'a, T: 'a>(outcome: Result<T>) -> Pending<'a, T> {
    Box::pin(std::future::ready(outcome))
}

impl SnapshotStore for Folder {
    fn list(&self) -> Pending<'_, Vec<StoredFile>> {
        ready(Self::snapshots(&self.path))
    }

    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> Pending<'a, Vec<u8>> {
        Box::pin(async move { FileSource::open(&self.file(name))?.read(range).await })
    }

    fn begin<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        let begun = self.given_up().and_then(|()| {
            let file = self.fail(name, private_file(&self.part(name)))?;
            *self.begun.borrow_mut() = Some((file, name.to_owned()));
            Ok(())
        });
        ready(begun)
    }

    fn append(&self, bytes: Vec<u8>) -> Pending<'_, ()> {
        let mut begun = self.begun.borrow_mut();
        let Some((file, name)) = begun.as_mut() else {
            return ready(Err(Error::Internal { detail: "bytes of no file".into() }));
        };
        ready(self.fail(name, file.write_all(&bytes)))
    }

    fn finish(&self) -> Pending<'_, ()> {
        ready(self.finished())
    }

    fn give_up(&self) -> Pending<'_, ()> {
        ready(self.given_up())
    }

    fn touch<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        let file = OpenOptions::new().append(true).open(self.file(name));
        ready(self.fail(name, file.and_then(|file| file.set_modified(SystemTime::now()))))
    }

    fn remove<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        let removed = match fs::remove_file(self.file(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        ready(self.fail(name, removed))
    }
}
