//! The answers of a batch: a line of JSON for each request, written when it is answered. An unfinished file is continued.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::path::Path;

use ocelli::engine::snapshots::open_private;
use ocelli::package::durable::{folder_of, sync_folder};
use ocelli::usage::Spent;
use ocelli::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::requests::LineError;
use crate::shared::io;

/// Beginning of an answer's line.
const START: &[u8] = br#"{"id":"batch_req_"#;

/// Outcome of a line of the input.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answered {
    /// This answer's own id.
    pub(crate) id: String,
    /// The request's id; absent if the line has none, or a duplicate.
    pub(crate) custom_id: Option<String>,
    pub(crate) response: Option<Response>,
    /// Error of a line that is not a request.
    pub(crate) error: Option<LineError>,
}

/// An HTTP response; refused requests have one too.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Response {
    pub(crate) status_code: u16,
    pub(crate) request_id: String,
    pub(crate) body: Value,
}

/// The file of a batch's answers, locked by one process at a time.
#[derive(Debug)]
pub(crate) struct Answers {
    file: File,
    name: String,
    /// Ids of answered requests.
    ids: HashSet<String>,
    /// Lines of the input that are reported as wrong.
    lines: HashSet<usize>,
    /// Usage of the answers.
    spent: Spent,
    /// True if the last answer lacks its line break, which precedes the next one.
    is_open: bool,
}

/// Returns true for the last line of an interrupted write: the beginning of an answer. After a power failure parts of it may be zeros, and
/// its beginning, too, if it follows other answers; a file of others is left alone.
fn is_partial(line: &[u8], follows_answers: bool) -> bool {
    let is_zero = |byte: &u8| *byte == 0;
    let may_be_zero = follows_answers || line.iter().all(is_zero);
    let begins = line.iter().zip(START).all(|(byte, start)| byte == start || may_be_zero && is_zero(byte));
    begins && serde_json::from_slice::<Answered>(line).is_err()
}

impl Answers {
    /// Opens or creates the file. A partial answer of an interrupted write is cut off; nothing else is.
    ///
    /// # Errors
    /// `io`, also if another process writes it; `invalid-request` if it contains anything but answers.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let io = |error: std::io::Error| Error::io(&name, &error);
        let file = open_private(OpenOptions::new().read(true).write(true).truncate(false), path).map_err(io)?;
        let busy = |error: std::fs::TryLockError| match error {
            std::fs::TryLockError::Error(error) => io(error),
            std::fs::TryLockError::WouldBlock => io(std::io::Error::other("another process writes it")),
        };
        file.try_lock().map_err(busy)?;
        let mut answers = Self {
            file,
            name: name.clone(),
            ids: HashSet::new(),
            lines: HashSet::new(),
            spent: Spent::default(),
            is_open: false,
        };
        let whole = answers.read()?;
        let cut = answers.file.set_len(whole).and_then(|()| answers.file.seek(SeekFrom::End(0)));
        // Before more is written: the name of a new file, and its length without a partial answer.
        cut.and_then(|_| answers.file.sync_all()).and_then(|()| sync_folder(folder_of(path))).map_err(io)?;
        Ok(answers)
    }

    /// Reads the existing answers; returns the bytes of complete lines.
    fn read(&mut self) -> Result<u64> {
        let (mut reader, mut line, mut whole) = (BufReader::new(&self.file), Vec::new(), 0);
        for number in 1.. {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(|error| Error::io(&self.name, &error))?;
            let is_last = reader.fill_buf().map_err(|error| Error::io(&self.name, &error))?.is_empty();
            if line.is_empty() || is_last && is_partial(&line, whole > 0) {
                break;
            }
            let answered: Answered = serde_json::from_slice(&line).map_err(|error| {
                Error::request(&self.name, format!("line {number} is no answer of a batch: {error}"))
            })?;
            whole += read as u64;
            self.is_open = line.last() != Some(&b'\n');
            self.spent += answered.used().spent();
            self.ids.extend(answered.custom_id);
            self.lines.extend(answered.error.map(|error| error.line));
        }
        Ok(whole)
    }

    /// Checks that every answer belongs to a request of the batch.
    ///
    /// # Errors
    /// `invalid-request` if one does not.
    pub(crate) fn check(&self, requests: &[String]) -> Result<()> {
        let known: HashSet<&String> = requests.iter().collect();
        match self.ids.iter().find(|id| !known.contains(id)) {
            Some(id) => Err(Error::request(&self.name, format!("it answers {id:?}, which this batch does not ask"))),
            None => Ok(()),
        }
    }

    /// Returns true if a request is answered.
    pub(crate) fn has(&self, custom_id: &str) -> bool {
        self.ids.contains(custom_id)
    }

    /// Reports invalid lines of the input that are not reported yet.
    ///
    /// # Errors
    /// `io`.
    pub(crate) fn report(&mut self, wrong: &[LineError]) -> Result<()> {
        for error in wrong {
            if !self.lines.contains(&error.line) {
                self.add(&Answered::wrong(error.clone()))?;
            }
        }
        Ok(())
    }

    /// Number of reported invalid lines.
    pub(crate) fn wrong_lines(&self) -> usize {
        self.lines.len()
    }

    /// Number of answered requests.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Usage of the answers that existed when the file was opened.
    pub(crate) fn spent(&self) -> Spent {
        self.spent
    }

    /// Returns true if an invalid line is reported.
    pub(crate) fn has_line(&self, line: usize) -> bool {
        self.lines.contains(&line)
    }

    /// Writes an answer and syncs it to disk. After an error nothing of it remains.
    ///
    /// # Errors
    /// `io`, `storage-full`.
    pub(crate) fn add(&mut self, answered: &Answered) -> Result<()> {
        self.write(answered, &answered.line()?)
    }

    /// The same with its line.
    ///
    /// # Errors
    /// `io`, `storage-full`.
    pub(crate) fn write(&mut self, answered: &Answered, line: &str) -> Result<()> {
        let line = format!("{}{line}", if self.is_open { "\n" } else { "" });
        let before = self.file.stream_position().map_err(|error| Error::io(&self.name, &error))?;
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| {
            // Another answer may follow if there is room again. If this fails too, the next start cuts the partial line off.
            let cut = self.file.set_len(before).and_then(|()| self.file.seek(SeekFrom::Start(before)));
            drop(cut);
            match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                    Error::StorageFull { path: self.name.clone() }
                }
                _ => Error::io(&self.name, &error),
            }
        })?;
        self.is_open = false;
        self.ids.extend(answered.custom_id.clone());
        self.lines.extend(answered.error.as_ref().map(|error| error.line));
        Ok(())
    }
}

impl Answered {
    /// Its line in a file of answers.
    ///
    /// # Errors
    /// `internal`.
    pub(crate) fn line(&self) -> Result<String> {
        Ok(io::json(self)? + "\n")
    }
}
