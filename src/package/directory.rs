//! A package as a directory, written atomically.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::durable;
use super::manifest::{FORMAT, MANIFEST_FILE, MAX_MANIFEST_BYTES, TOKENIZER_FILE};
use super::writer::PackageSink;
use crate::error::{Error, Result};

/// Writes into a hidden directory beside `target` and renames it at the end. Dropped before that, it removes what it wrote.
#[derive(Debug)]
pub struct DirectorySink {
    target: PathBuf,
    partial: PathBuf,
    published: bool,
}

impl DirectorySink {
    /// Prepares to write the package `target`. An older package there is replaced; anything else there is an error.
    pub fn create(target: &Path) -> Result<Self> {
        refuse_foreign(target)?;
        let partial = fresh_sibling(target, "partial")?;
        fs::create_dir(&partial).map_err(|e| Error::io(partial.display(), &e))?;
        Ok(Self { target: target.to_path_buf(), partial, published: false })
    }

    /// Gives the finished directory its name, in place of an older package.
    fn replace(&self) -> Result<()> {
        refuse_foreign(&self.target)?;
        let fail = |e: io::Error| Error::io(self.target.display(), &e);
        if !self.target.exists() {
            return durable::rename(&self.partial, &self.target).map_err(fail);
        }
        match durable::exchange(&self.partial, &self.target) {
            Ok(()) => fs::remove_dir_all(&self.partial).map_err(|e| Error::io(self.partial.display(), &e)),
            Err(e) if e.kind() == io::ErrorKind::Unsupported => self.replace_in_steps(),
            Err(e) => Err(fail(e)),
        }
    }

    /// The same on systems that cannot exchange two names at once; restores the older package if it fails.
    fn replace_in_steps(&self) -> Result<()> {
        let fail = |e: io::Error| Error::io(self.target.display(), &e);
        let old = fresh_sibling(&self.target, "old")?;
        fs::rename(&self.target, &old).map_err(fail)?;
        if let Err(e) = durable::rename(&self.partial, &self.target) {
            fs::rename(&old, &self.target).map_err(fail)?;
            return Err(fail(e));
        }
        fs::remove_dir_all(&old).map_err(|e| Error::io(old.display(), &e))
    }
}

impl PackageSink for DirectorySink {
    async fn put(&mut self, file: &str, bytes: Vec<u8>) -> Result<()> {
        let path = self.partial.join(file);
        let write = || {
            let mut to = fs::File::create(&path)?;
            to.write_all(&bytes)?;
            // The content must be on disk before the package has its name.
            to.sync_all()
        };
        write().map_err(|e| Error::io(path.display(), &e))
    }

    async fn publish(&mut self) -> Result<()> {
        durable::sync_folder(&self.partial).map_err(|e| Error::io(self.partial.display(), &e))?;
        self.replace()?;
        self.published = true;
        Ok(())
    }
}

impl Drop for DirectorySink {
    fn drop(&mut self) {
        if !self.published {
            // A failure cannot be reported here, and the caller already has an error.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// A path beside `target` that does not exist.
fn fresh_sibling(target: &Path, purpose: &str) -> Result<PathBuf> {
    let fail = |reason: &str| Error::Io { path: target.display().to_string(), reason: reason.into() };
    let name = target.file_name().ok_or_else(|| fail("not a name for a directory"))?.to_string_lossy();
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !parent.is_dir() {
        return Err(fail("the directory that should hold it does not exist"));
    }
    (0..1000)
        .map(|n| parent.join(format!(".{name}.{purpose}-{}-{n}", std::process::id())))
        .find(|path| !path.exists())
        .ok_or_else(|| fail("there are too many unfinished packages beside it"))
}

/// Refuses to replace what is neither absent, nor empty, nor a package.
fn refuse_foreign(target: &Path) -> Result<()> {
    let refuse = |reason: String| Err(Error::Io { path: target.display().to_string(), reason });
    if target.symlink_metadata().is_err() {
        return Ok(());
    }
    if !target.is_dir() || target.is_symlink() {
        return refuse("exists and is not a directory".into());
    }
    let fail = |e: io::Error| Error::io(target.display(), &e);
    let names: Vec<_> = fs::read_dir(target)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>())
        .map_err(fail)?;
    if names.is_empty() {
        return Ok(());
    }
    let Some(files) = package_files(target) else {
        return refuse("exists and is not a package, so it is not overwritten".into());
    };
    match names.iter().find(|name| !files.iter().any(|file| **name == **file)) {
        Some(name) => refuse(format!("holds {}, which is no part of a package", name.display())),
        None => Ok(()),
    }
}

/// The files of the package in `directory`, of any version; `None` if there is no package.
fn package_files(directory: &Path) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Outline {
        format: String,
        #[serde(default)]
        shards: Vec<File>,
    }
    #[derive(Deserialize)]
    struct File {
        file: String,
    }
    let path = directory.join(MANIFEST_FILE);
    fs::metadata(&path).ok().filter(|metadata| metadata.len() <= MAX_MANIFEST_BYTES)?;
    let outline: Outline = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
    let fixed = [MANIFEST_FILE, TOKENIZER_FILE].map(String::from);
    (outline.format == FORMAT).then(|| fixed.into_iter().chain(outline.shards.into_iter().map(|s| s.file)).collect())
}
