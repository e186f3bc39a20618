//! Usage in append-only files: one file a day. A killed process leaves at most half a line.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use ocelli::engine::snapshots::{private_append, private_folder};
use ocelli::usage::{Counts, Ledger, Sums, is_day};
use ocelli::{Error, Result};

use crate::shared::io::{self, inform};

/// Seconds without a write after which a refusal is written, so that repeated requests do not fill the disk.
const REFUSALS_EVERY: u64 = 1;

/// Reads a folder, and reports damaged lines.
///
/// # Errors
/// `io`.
pub(super) fn read(folder: &Path) -> Result<Sums> {
    let io = |error: &std::io::Error| Error::io(folder.display(), error);
    let mut sums = Sums::default();
    for entry in fs::read_dir(folder).map_err(|error| io(&error))? {
        let path = entry.map_err(|error| io(&error))?.path();
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if !is_day(&stem) || path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in sums.read(&io::read(&path)?) {
            inform(&format!("{}: line {line} is damaged and was skipped", path.display()));
        }
    }
    Ok(sums)
}

/// The files of a folder.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Nothing is stored if it is `None`.
    path: Option<PathBuf>,
    /// The file of a day.
    file: Option<(String, File)>,
    /// Counts that are not written, and the time of the last write.
    unsaved: Sums,
    saved_at: u64,
    /// Seconds since 1970.
    clock: fn() -> u64,
    has_complained: bool,
    /// Lock file, held while this value exists.
    _lock: Option<File>,
}

impl Folder {
    /// Opens or creates a folder, and reads its sums.
    ///
    /// # Errors
    /// `io`, also if another process has locked it.
    pub(super) fn open(path: Option<&Path>, clock: fn() -> u64) -> Result<(Sums, Self)> {
        let (mut sums, mut lock) = (Sums::default(), None);
        if let Some(path) = path {
            let io = |error: &std::io::Error| Error::io(path.display(), error);
            private_folder(path).map_err(|error| io(&error))?;
            let file = private_append(&path.join("lock")).map_err(|error| io(&error))?;
            file.try_lock().map_err(|_| io(&std::io::Error::other("another process counts there")))?;
            (sums, lock) = (read(path)?, Some(file));
        }
        let (path, unsaved) = (path.map(Path::to_path_buf), Sums::default());
        Ok((sums, Self { path, file: None, unsaved, saved_at: 0, clock, has_complained: false, _lock: lock }))
    }

    /// If writing fails, usage is still counted in memory.
    fn save(&mut self) {
        for (day, line) in std::mem::take(&mut self.unsaved).lines() {
            if let Err(error) = self.write(day, &line)
                && !std::mem::replace(&mut self.has_complained, true)
            {
                io::complain(&error);
            }
        }
        self.saved_at = (self.clock)();
    }

    fn write(&mut self, day: &str, line: &str) -> Result<()> {
        let Some(folder) = &self.path else { return Ok(()) };
        let path = folder.join(format!("{day}.jsonl"));
        let io = |error: std::io::Error| Error::io(path.display(), &error);
        let file = match self.file.take() {
            Some((known, file)) if known == day => file,
            _ => open_to_append(&path).map_err(io)?,
        };
        let (_, file) = self.file.insert((day.to_owned(), file));
        file.write_all(line.as_bytes()).map_err(io)
    }
}

impl Ledger for Folder {
    fn add(&mut self, day: &str, key: &str, counts: Counts) {
        self.unsaved.add(day, key, counts);
        if counts.refusals == 0 || (self.clock)() >= self.saved_at + REFUSALS_EVERY {
            self.save();
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.save();
    }
}

/// Ends a partial line.
fn open_to_append(path: &Path) -> std::io::Result<File> {
    let mut file = private_append(path)?;
    if fs::read(path)?.last().is_some_and(|byte| *byte != b'\n') {
        file.write_all(b"\n")?;
    }
    Ok(file)
}
