//! Notes of the requests that are being prepared. A request that ends the process, such as a picture that takes all memory, would
//! otherwise be prepared again after each start.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use ocelli::engine::snapshots::private_file;
use ocelli::{Error, Result};

/// Processes that may end while they prepare the same request.
const MOST_ENDS: u32 = 2;

/// The requests of a batch that are being prepared, in a file beside its answers.
#[derive(Debug)]
pub(crate) struct Attempts {
    path: PathBuf,
    noted: Mutex<Noted>,
    /// Held exclusively for a request that is under suspicion: if this process ends too, no other request can be the cause.
    alone: RwLock<()>,
}

#[derive(Debug)]
struct Noted {
    /// Processes that began to prepare a request and did not complete that, by id of the request. Includes this process.
    begun: BTreeMap<String, u32>,
    /// Requests that this process prepares.
    active: HashSet<String>,
    is_closed: bool,
}

impl Attempts {
    /// The notes of earlier processes beside a file of answers.
    pub(crate) fn open(answers: &Path) -> Self {
        let mut path = answers.as_os_str().to_owned();
        path.push(".attempt");
        // A process that ended while it wrote the notes did not end because of a request.
        let begun = fs::read(&path).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        let noted = Mutex::new(Noted { begun, active: HashSet::new(), is_closed: false });
        Self { path: path.into(), noted, alone: RwLock::new(()) }
    }

    /// Prepares a request.
    ///
    /// # Errors
    /// Errors of `prepare`, `internal` for a request during which two processes ended, `io`, and `aborted` after [`Self::close`].
    pub(crate) fn prepare<T>(&self, id: &str, prepare: impl FnOnce() -> Result<T>) -> Result<T> {
        let ends = self.noted().begun.get(id).copied().unwrap_or(0);
        let (_one_of_several, _alone) = match ends {
            0 => (Some(self.alone.read().unwrap_or_else(PoisonError::into_inner)), None),
            _ => (None, Some(self.alone.write().unwrap_or_else(PoisonError::into_inner))),
        };
        if ends >= MOST_ENDS {
            self.change(|noted| noted.begun.remove(id))?;
            let detail =
                format!("{ends} processes ended while they prepared this request, so it is not prepared again");
            return Err(Error::Internal { detail });
        }
        self.change(|noted| {
            noted.active.insert(id.into());
            noted.begun.insert(id.into(), ends + 1)
        })?;
        let _active = Active { attempts: self, id };
        prepare()
    }

    /// Ends the notes of this process, which is about to end for another reason.
    pub(crate) fn close(&self) {
        // The notes may also be outdated if they cannot be written: then the next process suspects these requests.
        let _ = self.change(|noted| {
            for id in std::mem::take(&mut noted.active) {
                noted.begun.remove(&id);
            }
            noted.is_closed = true;
        });
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes and writes the notes; a system that is interrupted may lose them.
    fn change<T>(&self, change: impl FnOnce(&mut Noted) -> T) -> Result<()> {
        let mut noted = self.noted();
        if noted.is_closed {
            return Err(Error::Aborted);
        }
        change(&mut noted);
        let written = match serde_json::to_vec(&noted.begun) {
            Ok(json) if !noted.begun.is_empty() => private_file(&self.path).and_then(|mut file| file.write_all(&json)),
            _ => fs::remove_file(&self.path),
        };
        match written {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(self.path.display(), &error)),
            _ => Ok(()),
        }
    }
}

/// A request that is being prepared.
struct Active<'a> {
    attempts: &'a Attempts,
    id: &'a str,
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        // Fails after `close`, which has ended all notes.
        let _ = self.attempts.change(|noted| {
            noted.active.remove(self.id);
            noted.begun.remove(self.id)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers in an empty folder.
    fn answers(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("ocelli-attempts-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        folder.join("out.jsonl")
    }

    /// The file of a process that ends while it prepares these requests together.
    fn end_during(answers: &Path, ids: &[&str]) {
        let attempts = Attempts::open(answers);
        let path = attempts.path.clone();
        let (first, rest) = ids.split_first().expect("an id");
        let during = || {
            let inner = rest.first().map(|id| attempts.prepare(id, || Ok(fs::read(&path).expect("notes"))));
            inner.unwrap_or_else(|| Ok(fs::read(&path).expect("notes")))
        };
        let notes = attempts.prepare(first, during).expect("notes");
        fs::write(&path, notes).expect("a file");
    }

    #[test]
    fn a_request_during_which_two_processes_ended_is_given_up() {
        let answers = answers("two");
        let given_up = |id: &str| Attempts::open(&answers).prepare(id, || Ok(())).is_err();
        end_during(&answers, &["a", "b"]);
        assert!(answers.with_file_name("out.jsonl.attempt").exists());
        end_during(&answers, &["a"]);
        assert!(given_up("a"), "both ended during it");
        assert!(!given_up("b") && !given_up("c"));
        assert!(!given_up("a"), "its refusal is an answer, after which nothing is noted");
        assert!(!answers.with_file_name("out.jsonl.attempt").exists());
    }

    #[test]
    fn processes_that_end_during_different_requests_are_no_reason() {
        let answers = answers("different");
        for id in ["a", "b", "c"] {
            end_during(&answers, &[id]);
        }
        let attempts = Attempts::open(&answers);
        for id in ["a", "b", "c"] {
            assert_eq!(attempts.prepare(id, || Ok(7)), Ok(7), "{id}");
        }
        end_during(&answers, &["a"]);
        assert_eq!(Attempts::open(&answers).prepare("a", || Ok(7)), Ok(7), "it was prepared in between");
    }

    #[test]
    fn a_process_that_ends_in_order_leaves_no_suspicion() {
        let answers = answers("order");
        for _ in 0..3 {
            let attempts = Attempts::open(&answers);
            let ended = attempts.prepare("a", || {
                attempts.close();
                Ok(())
            });
            assert_eq!(ended, Ok(()));
            assert_eq!(attempts.prepare("b", || Ok(())), Err(Error::Aborted));
        }
        let attempts = Attempts::open(&answers);
        let refused = attempts.prepare("a", || Err::<(), _>(Error::request("a", "b")));
        assert_eq!(refused, Err(Error::request("a", "b")), "an error ends no process");
    }
}
