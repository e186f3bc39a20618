//! A snapshot store in a folder.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::store::{Pending, SnapshotStore, StoredFile};
use crate::error::{Error, Result};
use crate::package::source::{ByteSource, FileSource};

/// File extension of snapshots.
const ENDING: &str = "snapshot";
/// File extension of unfinished snapshots.
const PART: &str = "part";

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
        let lock = File::create(path.join("lock")).map_err(|error| fail(&error))?;
        lock.try_lock().map_err(|_| fail(&io::Error::other("another process has this folder")))?;
        let folder = Self { path: path.to_path_buf(), begun: RefCell::default(), _lock: lock };
        for (path, _) in folder.files(PART)? {
            // A file that cannot be removed is overwritten later.
            let _ = fs::remove_file(path);
        }
        Ok(folder)
    }

    fn file(&self, name: &str, ending: &str) -> PathBuf {
        self.path.join(format!("{name}.{ending}"))
    }

    /// Files with this extension, the least recently changed first.
    fn files(&self, ending: &str) -> Result<Vec<(PathBuf, fs::Metadata)>> {
        let entries = fs::read_dir(&self.path).map_err(|error| Error::io(self.path.display(), &error))?;
        let entries = entries.flatten().filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)));
        let is_one = |(path, data): &(PathBuf, fs::Metadata)| {
            data.is_file() && path.extension().is_some_and(|found| found == ending)
        };
        let mut files: Vec<_> = entries.filter(is_one).collect();
        files.sort_by_key(|(path, data)| (data.modified().ok(), path.clone()));
        Ok(files)
    }

    fn fail<T>(&self, name: &str, outcome: io::Result<T>) -> Result<T> {
        outcome.map_err(|error| Error::io(self.path.join(name).display(), &error))
    }

    /// Closes the unfinished file. Returns its name.
    fn closed(&self) -> Option<String> {
        self.begun.borrow_mut().take().map(|(_, name)| name)
    }

    fn finished(&self) -> Result<()> {
        let Some(name) = self.closed() else { return Ok(()) };
        self.fail(&name, fs::rename(self.file(&name, PART), self.file(&name, ENDING)))
    }

    fn given_up(&self) -> Result<()> {
        let Some(name) = self.closed() else { return Ok(()) };
        self.fail(&name, fs::remove_file(self.file(&name, PART)))
    }
}

/// Creates a folder that only its owner may read, on systems with owners. A folder that exists keeps its mode.
///
/// # Errors
/// The system's error.
pub fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Creates or empties a file; a new one may be read by its owner only, on systems with owners.
///
/// # Errors
/// The system's error.
pub fn private_file(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().write(true).truncate(true), path)
}

/// Creates a file or opens it at its end; a new one may be read by its owner only, on systems with owners.
///
/// # Errors
/// The system's error.
pub fn private_append(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().append(true), path)
}

fn private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.create(true).open(path)
}

fn ready<'a, T: 'a>(outcome: Result<T>) -> Pending<'a, T> {
    Box::pin(std::future::ready(outcome))
}

impl SnapshotStore for Folder {
    fn list(&self) -> Pending<'_, Vec<StoredFile>> {
        let file = |(path, data): (PathBuf, fs::Metadata)| {
            Some(StoredFile { name: path.file_stem()?.to_str()?.to_owned(), bytes: data.len() })
        };
        ready(self.files(ENDING).map(|files| files.into_iter().filter_map(file).collect()))
    }

    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> Pending<'a, Vec<u8>> {
        Box::pin(async move { FileSource::open(&self.file(name, ENDING))?.read(range).await })
    }

    fn begin<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        let begun = self.given_up().and_then(|()| {
            let file = self.fail(name, private_file(&self.file(name, PART)))?;
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
        let file = OpenOptions::new().append(true).open(self.file(name, ENDING));
        ready(self.fail(name, file.and_then(|file| file.set_modified(SystemTime::now()))))
    }

    fn remove<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        let removed = match fs::remove_file(self.file(name, ENDING)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        ready(self.fail(name, removed))
    }
}
