//! Usage in append-only files: one file a day. A killed process leaves at most half a line, and an answer ends after its usage is on disk.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use ocelli::engine::snapshots::{private_append, private_folder};
use ocelli::package::durable::sync_folder;
use ocelli::usage::{Counts, Ledger, Sums, Then, is_day};
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

/// Usage that is stored in a folder by a thread of its own, so that nothing waits for the disk but the ends of answers.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Nothing is stored if it is `None`.
    writer: Option<Writer>,
    /// Counts that are not written, and the time of the last write.
    unsaved: Sums,
    saved_at: u64,
    /// Seconds since 1970.
    clock: fn() -> u64,
}

impl Folder {
    /// Opens or creates a folder, and reads its sums.
    ///
    /// # Errors
    /// `io`, also if another process has locked it.
    pub(super) fn open(path: Option<&Path>, clock: fn() -> u64) -> Result<(Sums, Self)> {
        let (mut sums, mut writer) = (Sums::default(), None);
        if let Some(path) = path {
            let io = |error: &std::io::Error| Error::io(path.display(), error);
            private_folder(path).map_err(|error| io(&error))?;
            let lock = private_append(&path.join("lock")).map_err(|error| io(&error))?;
            lock.try_lock().map_err(|_| io(&std::io::Error::other("another process counts there")))?;
            (sums, writer) = (read(path)?, Some(Writer::start(path, lock)));
        }
        Ok((sums, Self { writer, unsaved: Sums::default(), saved_at: 0, clock }))
    }

    fn save(&mut self) {
        let unsaved = std::mem::take(&mut self.unsaved);
        if let Some(writer) = &self.writer {
            let entries = unsaved.lines().map(|(day, line)| Entry::Line { day: day.to_owned(), line });
            entries.for_each(|entry| writer.send(entry));
        }
        self.saved_at = (self.clock)();
    }
}

impl Ledger for Folder {
    fn add(&mut self, day: &str, key: &str, counts: Counts) {
        self.unsaved.add(day, key, counts);
        if counts.refusals == 0 || (self.clock)() >= self.saved_at + REFUSALS_EVERY {
            self.save();
        }
    }

    fn when_stored(&mut self, then: Then) {
        match &self.writer {
            Some(writer) => writer.send(Entry::Stored(then)),
            None => then(),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.save();
    }
}

/// Messages to the thread that writes.
enum Entry {
    Line {
        day: String,
        line: String,
    },
    /// To be called when all earlier lines are on disk.
    Stored(Then),
}

/// A thread that writes lines to the files of a folder. Dropping this value waits for it.
#[derive(Debug)]
struct Writer {
    /// `None` once it ends.
    sender: Option<Sender<Entry>>,
    thread: Option<JoinHandle<()>>,
    /// Lock file, held while this value exists.
    _lock: File,
}

impl Writer {
    fn start(folder: &Path, lock: File) -> Self {
        let (sender, entries) = channel();
        let mut files =
            Files { folder: folder.to_path_buf(), file: None, unwritten: Sums::default(), has_complained: false };
        let thread = std::thread::spawn(move || files.work(&entries));
        Self { sender: Some(sender), thread: Some(thread), _lock: lock }
    }

    fn send(&self, entry: Entry) {
        if let Some(sender) = &self.sender {
            // Sending fails only after a panic of the thread.
            let _ = sender.send(entry);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
        // A panic of the thread was reported by it.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The files of a folder.
struct Files {
    folder: PathBuf,
    /// The file of a day.
    file: Option<(String, File)>,
    /// Usage that could not be written, for the next attempt.
    unwritten: Sums,
    has_complained: bool,
}

impl Files {
    /// Writes lines until there is no sender. Those that wait together are written to disk together.
    fn work(&mut self, entries: &Receiver<Entry>) {
        while let Ok(first) = entries.recv() {
            let (mut stored, mut outcome) = (Vec::new(), Ok(()));
            for (day, line) in std::mem::take(&mut self.unwritten).lines() {
                outcome = outcome.and(self.keep(day, &line));
            }
            for entry in std::iter::once(first).chain(entries.try_iter()) {
                match entry {
                    Entry::Line { day, line } => outcome = outcome.and(self.keep(&day, &line)),
                    Entry::Stored(then) => stored.push(then),
                }
            }
            let outcome = outcome.and_then(|()| self.sync());
            self.tell(outcome);
            stored.into_iter().for_each(|then| then());
        }
    }

    /// Writes a line. If that fails, as on a full disk, the line is written with the next one.
    fn keep(&mut self, day: &str, line: &str) -> std::io::Result<()> {
        let written = self.write(day, line);
        if written.is_err() {
            self.unwritten.read(line.as_bytes());
        }
        written
    }

    /// Reports the first of successive failures.
    fn tell(&mut self, outcome: std::io::Result<()>) {
        let had_failed = std::mem::replace(&mut self.has_complained, outcome.is_err());
        if let Err(error) = outcome
            && !had_failed
        {
            io::complain(&Error::io(self.folder.display(), &error));
        }
    }

    fn write(&mut self, day: &str, line: &str) -> std::io::Result<()> {
        let file = match self.file.take() {
            Some((known, file)) if known == day => file,
            earlier => {
                earlier.map_or(Ok(()), |(_, file)| file.sync_data())?;
                self.open(day)?
            }
        };
        let (_, file) = self.file.insert((day.to_owned(), file));
        let before = file.metadata()?.len();
        // A part of the line is removed: the whole line follows later.
        file.write_all(line.as_bytes()).inspect_err(|_| drop(file.set_len(before)))
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |(_, file)| file.sync_data())
    }

    /// Opens the file of a day, and ends a partial line.
    fn open(&self, day: &str) -> std::io::Result<File> {
        let path = self.folder.join(format!("{day}.jsonl"));
        let mut file = private_append(&path)?;
        sync_folder(&self.folder)?;
        if fs::read(path)?.last().is_some_and(|byte| *byte != b'\n') {
            file.write_all(b"\n")?;
        }
        Ok(file)
    }
}
