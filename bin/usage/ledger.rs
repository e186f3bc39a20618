//! Usage of requests in append-only files: one file a day, one line a request. A killed process leaves at most half a line.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use ocelli::{Error, Result};
use serde::{Deserialize, Serialize};

use super::rules::day;
use crate::shared::io::{self, inform};

/// Seconds between two writes of refusals, so that repeated requests do not fill the disk.
const REFUSALS_EVERY: u64 = 1;

/// Usage of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) prompt_tokens: u64,
    /// Prompt tokens that were cached.
    pub(super) cached_tokens: u64,
    pub(super) completion_tokens: u64,
    /// Seconds of the engine's time.
    pub(super) seconds: f64,
    /// Requests refused by a budget.
    pub(super) refusals: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.requests += more.requests;
        self.prompt_tokens += more.prompt_tokens;
        self.cached_tokens += more.cached_tokens;
        self.completion_tokens += more.completion_tokens;
        self.seconds += more.seconds;
        self.refusals += more.refusals;
    }
}

/// A line of a file.
#[derive(Serialize, Deserialize)]
struct Line {
    day: String,
    key: String,
    #[serde(flatten)]
    counts: Counts,
}

/// Usage by day and key, and the number of damaged lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Kept {
    pub(super) sums: BTreeMap<(String, String), Counts>,
    pub(super) damaged_lines: usize,
}

impl Kept {
    pub(super) fn add(&mut self, day: &str, key: &str, counts: Counts) {
        *self.sums.entry((day.to_owned(), key.to_owned())).or_default() += counts;
    }

    /// Adds the lines of a file. Returns the numbers of damaged lines, from 1; the others still count.
    pub(super) fn read(&mut self, text: &[u8]) -> Vec<usize> {
        let mut damaged = Vec::new();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice::<Line>(line) {
                Ok(Line { day, key, counts }) if is_day(&day) && counts.seconds >= 0.0 => self.add(&day, &key, counts),
                _ => damaged.push(index + 1),
            }
        }
        self.damaged_lines += damaged.len();
        damaged
    }
}

fn is_day(text: &str) -> bool {
    let is_right = |(at, byte): (usize, u8)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() };
    text.len() == 10 && text.bytes().enumerate().all(is_right)
}

/// Reads a folder, and reports damaged lines.
///
/// # Errors
/// `io`.
pub(super) fn read(folder: &Path) -> Result<Kept> {
    let io = |error: &std::io::Error| Error::io(folder.display(), error);
    let mut kept = Kept::default();
    for entry in fs::read_dir(folder).map_err(|error| io(&error))? {
        let path = entry.map_err(|error| io(&error))?.path();
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if !is_day(&stem) || path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in kept.read(&io::read(&path)?) {
            inform(&format!("{}: line {line} is damaged and was skipped", path.display()));
        }
    }
    Ok(kept)
}

/// Current usage, and its files.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) kept: Kept,
    folder: Option<PathBuf>,
    /// The file of a day.
    file: Option<(String, File)>,
    /// Unwritten refusals by day and key, and the time of the last write.
    refusals: BTreeMap<(String, String), u64>,
    refused_at: u64,
    has_complained: bool,
    /// Lock file, held while this value exists.
    _lock: Option<File>,
}

impl Ledger {
    /// Opens or creates a folder; without one nothing is stored.
    ///
    /// # Errors
    /// `io`, also if another process has locked it.
    pub(super) fn open(folder: Option<&Path>) -> Result<Self> {
        let (mut kept, mut lock) = (Kept::default(), None);
        if let Some(folder) = folder {
            let io = |error: &std::io::Error| Error::io(folder.display(), error);
            fs::create_dir_all(folder).map_err(|error| io(&error))?;
            let file = File::create(folder.join("lock")).map_err(|error| io(&error))?;
            file.try_lock().map_err(|_| io(&std::io::Error::other("another process counts there")))?;
            (kept, lock) = (read(folder)?, Some(file));
        }
        let (folder, refusals) = (folder.map(Path::to_path_buf), BTreeMap::new());
        Ok(Self { kept, folder, file: None, refusals, refused_at: 0, has_complained: false, _lock: lock })
    }

    /// Counts the usage of a request.
    pub(super) fn add(&mut self, now: u64, key: &str, counts: Counts) {
        self.kept.add(&day(now), key, counts);
        self.write(&day(now), key, counts);
        self.write_refusals();
    }

    /// Counts a refusal.
    pub(super) fn refuse(&mut self, now: u64, key: &str) {
        self.kept.add(&day(now), key, Counts { refusals: 1, ..Counts::default() });
        *self.refusals.entry((day(now), key.to_owned())).or_default() += 1;
        if now >= self.refused_at + REFUSALS_EVERY {
            self.refused_at = now;
            self.write_refusals();
        }
    }

    fn write_refusals(&mut self) {
        for ((day, key), refusals) in std::mem::take(&mut self.refusals) {
            self.write(&day, &key, Counts { refusals, ..Counts::default() });
        }
    }

    /// If writing fails, usage is still counted in memory.
    fn write(&mut self, day: &str, key: &str, counts: Counts) {
        if let Err(error) = self.try_write(day, key, counts)
            && !std::mem::replace(&mut self.has_complained, true)
        {
            io::complain(&error);
        }
    }

    fn try_write(&mut self, day: &str, key: &str, counts: Counts) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let path = folder.join(format!("{day}.jsonl"));
        let io = |error: std::io::Error| Error::io(path.display(), &error);
        let file = match self.file.take() {
            Some((known, file)) if known == day => file,
            _ => open_to_append(&path).map_err(io)?,
        };
        let (_, file) = self.file.insert((day.to_owned(), file));
        let line = io::json(&Line { day: day.to_owned(), key: key.to_owned(), counts })? + "\n";
        file.write_all(line.as_bytes()).map_err(io)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.write_refusals();
    }
}

/// Ends a partial line.
fn open_to_append(path: &Path) -> std::io::Result<File> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    if fs::read(path)?.last().is_some_and(|byte| *byte != b'\n') {
        file.write_all(b"\n")?;
    }
    Ok(file)
}
