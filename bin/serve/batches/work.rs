//! Processing of the active batch.

use std::fs::File;
use std::io::BufReader;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use ocelli::api::{Opened, Priority, Stamp, Work};
use ocelli::engine::RequestControl;
use ocelli::usage::BatchBudget;
use ocelli::{Error, Result};
use serde_json::json;

use super::{AT_ONCE, locked};
use crate::batch::{Answered, Answers, Attempts, BatchRequest, LineError, Requests, Retries, survey};
use crate::engines::Prepared;
use crate::lanes::Lane;
use crate::serve::handler::{Ready, Server};
use crate::serve::http::told;
use crate::serve::models::Model;
use crate::shared::api;
use crate::shared::callers::Caller;
use crate::shared::io;
use crate::store::{Batch, Counts, FileObject, Pace, Status, Store};

/// Most lines of a batch, as in OpenAI's API: memory and the file of errors grow with them.
const MOST_LINES: usize = 50_000;

/// Answers batches one after another until the server ends. Runs on its own thread.
pub(in crate::serve) fn work(server: &Server, waiting: &Receiver<String>) {
    let batches = &server.batches;
    for id in waiting {
        if !batches.begin(&id) {
            continue;
        }
        // A panic is a fault of this batch alone.
        let panicked = |_| Err(Error::Internal { detail: "the batch's thread panicked".into() });
        let outcome = catch_unwind(AssertUnwindSafe(|| carry_out(server))).unwrap_or_else(panicked);
        // The next server continues the batch.
        if server.models.are_stopped() {
            return;
        }
        let mut current = batches.current();
        let Some(mut batch) = current.take() else { continue };
        match outcome {
            Err(error) => {
                let error = told(&error);
                let told = json!({"code": error.code(), "message": error.to_string(), "param": null, "line": null});
                batch.errors = Some(json!({"object": "list", "data": [told]}));
                batch.enter(Status::Failed);
            }
            Ok(()) if batch.status == Status::Cancelling => batch.enter(Status::Cancelled),
            Ok(()) => {
                batch.finalizing_at = Some(api::seconds());
                batch.enter(Status::Completed);
            }
        }
        batch.ocelli = None;
        batch.removed_at = batch.output_expires_after.map(|after| api::seconds() + after.seconds);
        if let Err(error) = batches.store.put(&batch) {
            io::complain(&error);
            // Clients see that it has ended; the next server tries again to write it.
            batches.store.show(&batch);
        }
    }
}

/// Files of the active batch: one for answers, one for refusals and invalid lines.
struct Outputs<'a> {
    store: &'a Store,
    batch: &'a Batch,
    right: Answers,
    refused: Answers,
}

impl Outputs<'_> {
    fn has(&self, request: &BatchRequest) -> bool {
        self.right.has(&request.custom_id) || self.refused.has(&request.custom_id)
    }

    /// Writes an answer, after its bytes are counted.
    fn add(&mut self, answered: &Answered) -> Result<()> {
        let (answers, id) = match answered.is_right() {
            true => (&mut self.right, &self.batch.output_file_id),
            false => (&mut self.refused, &self.batch.error_file_id),
        };
        let id = id.as_deref().unwrap_or_default();
        let line = answered.line()?;
        if !self.store.take_room((id, &self.batch.owner), line.len() as u64) {
            return Err(Error::StorageFull { path: id.into() });
        }
        answers.write(answered, &line)
    }

    /// Reports invalid lines of the input that are not reported yet.
    fn report(&mut self, wrong: &[LineError]) -> Result<()> {
        for error in wrong.iter().filter(|error| !self.refused.has_line(error.line)).cloned().collect::<Vec<_>>() {
            self.add(&Answered::wrong(error))?;
        }
        Ok(())
    }

    fn counts(&self, total: usize) -> Counts {
        Counts { total, completed: self.right.len(), failed: self.refused.len() + self.refused.wrong_lines() }
    }
}

/// Processes the active batch.
fn carry_out(server: &Server) -> Result<()> {
    let batches = &server.batches;
    let store = &*batches.store;
    let Some(mut batch) = batches.current().clone() else { return Ok(()) };
    let (path, name) = (store.bytes(&batch.input_file_id), batch.input_file_id.clone());
    let input = || File::open(&path).map(BufReader::new).map_err(|error| Error::io(&name, &error));
    let (ids, wrong) = survey(input()?, &name, MOST_LINES)?;
    let file_of = |known: Option<String>, name: &str| -> Result<String> {
        if let Some(id) = known {
            return Ok(id);
        }
        let file = FileObject::new(&batch.owner, &format!("{}_{name}.jsonl", batch.id), "batch_output");
        store.put(&file)?;
        store.count_object(&batch.owner);
        Ok(file.id)
    };
    let output = file_of(batch.output_file_id.clone(), "output")?;
    let errors = file_of(batch.error_file_id.clone(), "error")?;
    (batch.output_file_id, batch.error_file_id) = (Some(output.clone()), Some(errors.clone()));
    // Before anything can fail: the files are deleted with the batch.
    batches.change(|current| {
        (current.output_file_id, current.error_file_id) = (batch.output_file_id.clone(), batch.error_file_id.clone());
    })?;
    let outcome = write_answers(server, &batch, (&input, ids.len() + wrong.len()), &wrong);
    let ended = [output, errors].map(|id| end_file(store, &batch, &id));
    ended.into_iter().fold(outcome, Result::and)
}

/// Writes the final description of a file of answers.
fn end_file(store: &Store, batch: &Batch, id: &str) -> Result<()> {
    let Some(mut file) = store.get::<FileObject>(id) else { return Ok(()) };
    file.bytes = std::fs::metadata(store.bytes(id)).map_or(0, |about| about.len());
    file.expires_at = batch.output_expires_after.map(|after| api::seconds() + after.seconds);
    store.put(&file).inspect_err(|_| store.show(&file))
}

/// Answers the requests of a batch that are not answered yet.
fn write_answers(
    server: &Server,
    batch: &Batch,
    (input, total): (&dyn Fn() -> Result<BufReader<File>>, usize),
    wrong: &[LineError],
) -> Result<()> {
    let batches = &server.batches;
    let store = &*batches.store;
    let open = |id: &Option<String>| Answers::open(&store.create(id.as_deref().unwrap_or_default())?);
    let (right, refused) = (open(&batch.output_file_id)?, open(&batch.error_file_id)?);
    let mut outputs = Outputs { store, batch, right, refused };
    outputs.report(wrong)?;
    batches.change(|current| {
        current.request_counts = outputs.counts(total);
        if current.status == Status::Validating {
            current.enter(Status::InProgress);
        }
    })?;
    let answers = store.bytes(batch.output_file_id.as_deref().unwrap_or_default());
    let attempts = Arc::new(Attempts::open(&answers));
    *locked(&batches.attempts) = Some(attempts.clone());
    let budget = server.accounts.as_ref().map(|accounts| accounts.batch(outputs.right.spent()));
    let (outputs, retries) = (Mutex::new(outputs), Mutex::default());
    let documents = Mutex::default();
    let (began, answered) = (Instant::now(), AtomicU32::new(0));
    let active = Active { server, batch, budget, attempts, outputs, retries, documents, total, began, answered };
    let answered = active.answer_all(Requests::new(input()?));
    *locked(&batches.attempts) = None;
    answered
}

/// The active batch while its requests are answered.
struct Active<'a> {
    server: &'a Server,
    batch: &'a Batch,
    budget: Option<BatchBudget>,
    attempts: Arc<Attempts>,
    outputs: Mutex<Outputs<'a>>,
    retries: Mutex<Retries>,
    /// Held by a request with documents, so that one at most waits for the place that it shares with all other requests.
    documents: Mutex<()>,
    /// Number of lines.
    total: usize,
    began: Instant,
    /// Requests answered since then.
    answered: AtomicU32,
}

impl Active<'_> {
    /// Answers all requests, several at once. A device error ends the batch; answers that complete are still written.
    fn answer_all(&self, requests: Requests<BufReader<File>>) -> Result<()> {
        let (requests, has_failed) = (Mutex::new(requests), AtomicBool::new(false));
        let work = |place: usize| -> Result<()> {
            while !has_failed.load(Ordering::Relaxed) && self.server.batches.goes_on() {
                let line = locked(&requests).next().map_err(|error| Error::io(&self.batch.input_file_id, &error))?;
                let Some(line) = line else { break };
                let Ok(request) = line else { continue };
                if !locked(&self.outputs).has(&request) {
                    self.answer(&request, place, false)?;
                }
            }
            Ok(())
        };
        let work = |place| work(place).inspect_err(|_| has_failed.store(true, Ordering::Relaxed));
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..AT_ONCE).map(|place| scope.spawn(move || work(place))).collect();
            let ended = |thread: ScopedJoinHandle<'_, Result<()>>| {
                thread.join().unwrap_or_else(|_| Err(Error::Internal { detail: "a batch's thread ended".into() }))
            };
            threads.into_iter().map(ended).fold(Ok(()), Result::and)
        })?;
        while self.server.batches.goes_on() {
            let Some(request) = locked(&self.retries).next() else { break };
            self.answer(&request, 0, true)?;
        }
        Ok(())
    }

    /// Answers one request and writes the answer, unless the batch was cancelled meanwhile or the request is answered again later.
    ///
    /// # Errors
    /// `aborted` when the server ends; errors of the device.
    fn answer(&self, request: &BatchRequest, place: usize, is_alone: bool) -> Result<()> {
        let model = self.server.models.of_body(&request.body);
        let unknown = || Error::request("owner", "the key of this batch has expired or was removed");
        let caller = self.server.access.keys.owner(&self.batch.owner).ok_or_else(unknown)?;
        let stamp = api::stamp();
        let id = stamp.id.clone();
        let ready = self.ready((request, stamp), (model, &caller), place);
        let outcome = ready.and_then(|ready| self.finish(model, ready));
        // A request that fails because the server ends counts as unanswered.
        if outcome.is_err() && self.server.models.are_stopped() {
            return Err(Error::Aborted);
        }
        let is_cancelled = outcome.is_err() && !self.server.batches.goes_on();
        if is_cancelled || locked(&self.retries).keep(request, is_alone, &outcome) {
            return Ok(());
        }
        let answered = Answered::new(&request.custom_id, &id, outcome.map_err(|error| told(&error)))?;
        let mut outputs = locked(&self.outputs);
        outputs.add(&answered)?;
        let now = self.answered.fetch_add(1, Ordering::Relaxed) + 1;
        let (counts, rate) =
            (outputs.counts(self.total), f64::from(now) / self.began.elapsed().as_secs_f64().max(1e-3));
        let left = (self.total - counts.completed - counts.failed) as f64;
        self.server.batches.update(|batch| {
            batch.request_counts = counts;
            batch.ocelli = Some(Pace { requests_per_second: rate, seconds_left: left / rate });
        });
        Ok(())
    }

    /// Reads and prepares a request in places of its lane.
    fn ready(
        &self,
        (request, stamp): (&BatchRequest, Stamp),
        (model, caller): (&Model, &Caller),
        place: usize,
    ) -> Result<Ready> {
        let (intake, id) = (&self.server.intake, stamp.id.clone());
        let service = &pollster::block_on(model.loaded())?.service;
        let open = || {
            let opened = request.open(service, &|id| self.server.album.document(id, caller), stamp);
            opened.map_err(|error| self.server.models.told(error))
        };
        let prepare = |opened: Opened| match opened {
            Opened::Ready(body) => Ok(Ready::Answer(body)),
            Opened::Work(work) => {
                let prepare = || self.prepare((id, work), (model, caller), request, place);
                self.attempts.prepare(&request.custom_id, prepare).map(|prepared| Ready::Request(Box::new(prepared)))
            }
        };
        let turn = |lane| (lane == Lane::Documents).then(|| locked(&self.documents));
        let body = match Lane::of_body(&request.body) {
            Lane::Documents => Lane::Documents,
            _ => Lane::Large,
        };
        if let Some(_turn) = turn(body) {
            return intake.places(body).here(|| prepare(open()?));
        }
        let opened = open()?;
        let lane = match &opened {
            Opened::Ready(_) => body,
            Opened::Work(work) => Lane::of(work, body),
        };
        let _turn = turn(lane);
        intake.places(lane).here(|| prepare(opened))
    }

    fn prepare(
        &self,
        (id, mut work): (String, Box<Work>),
        (model, caller): (&Model, &Caller),
        request: &BatchRequest,
        place: usize,
    ) -> Result<Prepared> {
        let Self { server, batch, .. } = self;
        if request.url != batch.endpoint {
            return Err(Error::request("url", format!("this batch is for {}", batch.endpoint)));
        }
        server.own(&mut work, caller);
        let bill = server.bill(&work.asker, caller, self.budget.as_ref())?;
        let control = RequestControl::new();
        *locked(&server.batches.requests[place]) = control.clone();
        let pictures = server.album.pictures(&work, caller)?;
        model.known()?.prepare((id, work), &pictures, (bill, None), control)
    }

    /// Computes an answer, with lower priority than requests outside batches.
    fn finish(&self, model: &Model, ready: Ready) -> Result<String> {
        let prepared = match ready {
            Ready::Answer(body) => return Ok(body),
            Ready::Request(prepared) => *prepared,
            // Lines of batches are few at a time, and are not refused.
            Ready::Refused(_) => return Err(Error::Aborted),
        };
        let reader = model.jobs.submit(prepared, Priority::Batch).ok_or(Error::Aborted)?;
        // The batch may have been cancelled before.
        if self.server.batches.goes_on() { pollster::block_on(reader.whole()) } else { Err(Error::Aborted) }
    }
}
