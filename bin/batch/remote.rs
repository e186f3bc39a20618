//! A batch that other servers answer, several requests at a time.

use std::io::BufRead;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use indicatif::ProgressBar;
use ocelli::{Error, Result};

use super::answers::Answers;
use super::endpoint::Endpoints;
use super::inline;
use super::requests::{BatchRequest, Requests, survey};
use super::{Tally, progress};
use crate::shared::ask::PictureFolder;
use crate::shared::io;

/// A batch for other servers.
pub(super) struct RemoteJob<'a> {
    /// Name of the input, for errors.
    pub(super) name: &'a str,
    pub(super) pictures: PictureFolder<'a>,
    pub(super) output: &'a Path,
    pub(super) endpoints: Endpoints,
    /// Requests at the same time.
    pub(super) concurrency: usize,
    /// Model of requests that name none.
    pub(super) model: Option<&'a str>,
}

/// State that the threads share.
struct Shared<'a, R> {
    requests: Requests<R>,
    answers: &'a mut Answers,
    tally: &'a mut Tally,
    /// Requests that got no answer in all their attempts.
    given_up: usize,
    /// The error that ends the batch.
    failed: Option<Error>,
}

/// One thread's view of the batch.
struct Work<'w, 'a, R> {
    job: &'w RemoteJob<'a>,
    shared: &'w Mutex<Shared<'a, R>>,
    /// Answers so far, which tell a server that fails from a request that fails.
    answered: &'w AtomicUsize,
    /// Requests that were begun, which are dealt to the servers in turn.
    begun: &'w AtomicUsize,
    bar: &'w ProgressBar,
}

/// Sends the requests that are not answered yet; `input` begins to read them.
pub(super) fn carry_out<R: BufRead + Send>(job: &RemoteJob<'_>, input: impl Fn() -> Result<R>) -> Result<()> {
    let (ids, wrong) = survey(input()?, job.name, usize::MAX)?;
    let mut answers = Answers::open(job.output)?;
    answers.check(&ids)?;
    answers.report(&wrong)?;
    let (before, mut tally) = (answers.len(), Tally::default());
    let mut given_up = 0;
    if before < ids.len() {
        let requests = Requests::new(input()?);
        let shared =
            Mutex::new(Shared { requests, answers: &mut answers, tally: &mut tally, given_up: 0, failed: None });
        let (bar, answered, begun) = (progress(ids.len(), before), AtomicUsize::new(0), AtomicUsize::new(0));
        let work = Work { job, shared: &shared, answered: &answered, begun: &begun, bar: &bar };
        let threads = job.concurrency.min(ids.len() - before);
        thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(|| work.run()))));
        bar.finish_and_clear();
        let shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        shared.failed.map_or(Ok(()), Err)?;
        given_up = shared.given_up;
    }
    io::inform(&format!("{} requests: {before} answered before, {tally}; {} lines are none", ids.len(), wrong.len()));
    if given_up > 0 {
        let reason = format!("{given_up} requests got no answer; run the same command again to retry them");
        return Err(Error::Io { path: job.name.into(), reason });
    }
    Ok(())
}

impl<'w, 'a, R: BufRead + Send> Work<'w, 'a, R> {
    fn shared(&self) -> MutexGuard<'w, Shared<'a, R>> {
        // A panic of another thread leaves complete answers.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while let Some(request) = self.next() {
            if let Err(error) = self.answer(request) {
                self.shared().failed.get_or_insert(error);
                return;
            }
        }
    }

    /// The next request that is not answered; `None` at the end, and after an error.
    fn next(&self) -> Option<BatchRequest> {
        let mut shared = self.shared();
        while shared.failed.is_none() {
            match shared.requests.next() {
                Ok(None) => return None,
                Ok(Some(Ok(request))) if !shared.answers.has(&request.custom_id) => return Some(request),
                Ok(Some(_)) => {}
                Err(error) => shared.failed = Some(Error::io(self.job.name, &error)),
            }
        }
        None
    }

    /// Sends a request and writes its answer.
    ///
    /// # Errors
    /// An error that other requests would have too.
    fn answer(&self, request: BatchRequest) -> Result<()> {
        let RemoteJob { endpoints, pictures, model, .. } = self.job;
        let before = self.answered.load(Ordering::SeqCst);
        let first = self.begun.fetch_add(1, Ordering::SeqCst);
        let outcome = match sendable(&request).and_then(|()| inline::complete(&request, *pictures, *model)) {
            Ok(complete) => endpoints.answer(&complete, first, || self.shared().failed.is_some()),
            Err(error) => super::Answered::new(&request.custom_id, &super::api::random_name(), Err(error)),
        };
        match outcome {
            Ok(answered) => {
                self.answered.fetch_add(1, Ordering::SeqCst);
                let mut shared = self.shared();
                shared.tally.count(&answered);
                shared.answers.add(&answered)?;
                self.bar.inc(1);
            }
            // Others were answered meanwhile, so it is this request that fails.
            Err(Error::Io { path, reason }) if self.answered.load(Ordering::SeqCst) > before => {
                io::warn(&format!("{}: no answer: {path}: {reason}", request.custom_id));
                self.shared().given_up += 1;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Refuses addresses that would change the host, to which the key is sent: `@other.example/v1` after `http://host:8000`.
fn sendable(request: &BatchRequest) -> Result<()> {
    match request.url.starts_with("/v1/") {
        true => Ok(()),
        false => Err(Error::request("url", "must be a path that begins with /v1/")),
    }
}
