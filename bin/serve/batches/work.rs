//! Processing of the active batch.

use std::fs::File;
use std::io::BufReader;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use ocelli::api::{Opened, Priority};
use ocelli::engine::RequestControl;
use ocelli::usage::BatchBudget;
use ocelli::{Error, Result};
use serde_json::json;

use super::{AT_ONCE, Batch, Counts, Pace, Status, locked};
use crate::batch::{Answered, Answers, BatchRequest, Requests, survey};
use crate::serve::handler::Server;
use crate::serve::http::told;
use crate::serve::store::FileObject;
use crate::shared::api;
use crate::shared::io;

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
        if server.jobs.is_stopped() {
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
        if let Err(error) = batches.store.put(&batch) {
            io::complain(&error);
        }
    }
}

/// Files of the active batch: one for answers, one for refusals and invalid lines.
struct Outputs {
    right: Answers,
    refused: Answers,
}

impl Outputs {
    fn has(&self, request: &BatchRequest) -> bool {
        self.right.has(&request.custom_id) || self.refused.has(&request.custom_id)
    }

    fn add(&mut self, answered: &Answered) -> Result<()> {
        if answered.is_right() { self.right.add(answered) } else { self.refused.add(answered) }
    }

    fn counts(&self, total: usize) -> Counts {
        Counts { total, completed: self.right.len(), failed: self.refused.len() + self.refused.wrong_lines() }
    }
}

/// Processes the active batch.
fn carry_out(server: &Server) -> Result<()> {
    let batches = &server.batches;
    let store = &batches.store;
    let Some(mut batch) = batches.current().clone() else { return Ok(()) };
    let file_of = |known: Option<String>, name: &str| match known {
        Some(id) => Ok(id),
        None => {
            let file = FileObject::new(&batch.owner, &format!("{}_{name}.jsonl", batch.id), "batch_output");
            store.put(&file).map(|()| file.id)
        }
    };
    let output = file_of(batch.output_file_id.clone(), "output")?;
    let errors = file_of(batch.error_file_id.clone(), "error")?;
    (batch.output_file_id, batch.error_file_id) = (Some(output.clone()), Some(errors.clone()));
    let (path, name) = (store.bytes(&batch.input_file_id), batch.input_file_id.clone());
    let input = || File::open(&path).map(BufReader::new).map_err(|error| Error::io(&name, &error));
    let (ids, wrong) = survey(input()?, &name)?;
    let total = ids.len() + wrong.len();
    let open = |id| Answers::open(&store.create(id)?);
    let mut outputs = Outputs { right: open(&output)?, refused: open(&errors)? };
    outputs.refused.report(&wrong)?;
    if let Some(current) = &mut *batches.current() {
        (current.output_file_id, current.error_file_id) = (batch.output_file_id.clone(), batch.error_file_id.clone());
        current.request_counts = outputs.counts(total);
        if current.status == Status::Validating {
            current.enter(Status::InProgress);
        }
        store.put(current)?;
    }
    let answered = answer_all(server, &mut outputs, &batch, (Requests::new(input()?), total));
    for id in [output, errors] {
        if let Some(mut file) = store.get::<FileObject>(&id) {
            let bytes = std::fs::metadata(store.bytes(&id)).map_or(0, |about| about.len());
            store.count(bytes.saturating_sub(file.bytes));
            file.bytes = bytes;
            store.put(&file)?;
        }
    }
    answered
}

/// Answers all requests, several at once. A device error ends the batch; answers that complete are still written.
fn answer_all(
    server: &Server,
    outputs: &mut Outputs,
    batch: &Batch,
    (requests, total): (Requests<BufReader<File>>, usize),
) -> Result<()> {
    let (began, has_failed) = (Instant::now(), AtomicBool::new(false));
    let budget = server.accounts.as_ref().map(|accounts| accounts.batch(outputs.right.spent()));
    let (requests, outputs) = (Mutex::new(requests), Mutex::new((outputs, 0)));
    let work = |place: usize| -> Result<()> {
        while !has_failed.load(Ordering::Relaxed) && server.batches.goes_on() {
            let line = locked(&requests).next().map_err(|error| Error::io(&batch.input_file_id, &error))?;
            let Some(line) = line else { break };
            let Ok(request) = line else { continue };
            if locked(&outputs).0.has(&request) {
                continue;
            }
            let Some(answered) = answer(server, (batch, budget.as_ref()), (&request, place))? else { continue };
            let (outputs, now) = &mut *locked(&outputs);
            outputs.add(&answered)?;
            *now += 1;
            let (counts, rate) = (outputs.counts(total), f64::from(*now) / began.elapsed().as_secs_f64().max(1e-3));
            let left = (total - counts.completed - counts.failed) as f64;
            server.batches.update(|batch| {
                batch.request_counts = counts;
                batch.ocelli = Some(Pace { requests_per_second: rate, seconds_left: left / rate });
            });
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
    })
}

/// Answers one request, with lower priority than requests outside batches; `None` if the batch was cancelled meanwhile.
///
/// # Errors
/// `aborted` when the server ends; errors of the device.
fn answer(
    server: &Server,
    (batch, budget): (&Batch, Option<&BatchBudget>),
    (request, place): (&BatchRequest, usize),
) -> Result<Option<Answered>> {
    let Ok(loaded) = server.loaded() else { return Err(Error::Aborted) };
    let unknown = || Error::request("owner", "the key of this batch has expired or was removed");
    let caller = server.access.keys.owner(&batch.owner).ok_or_else(unknown)?;
    let (id, opened) = request.open(&loaded.service);
    let outcome = opened.and_then(|opened| {
        let mut work = match opened {
            Opened::Ready(body) => return Ok(body),
            Opened::Work(work) => work,
        };
        if request.url != batch.endpoint {
            return Err(Error::request("url", format!("this batch is for {}", batch.endpoint)));
        }
        server.own(&mut work, &caller);
        let (bill, control) = (server.bill(&work.asker, &caller, budget)?, RequestControl::new());
        *locked(&server.batches.requests[place]) = control.clone();
        let prepared = loaded.intake.places.here(|| loaded.intake.prepare((id.clone(), work), bill, control))?;
        let reader = server.jobs.submit(prepared, Priority::Batch).ok_or(Error::Aborted)?;
        // The batch may have been cancelled before.
        if server.batches.goes_on() { pollster::block_on(reader.whole()) } else { Err(Error::Aborted) }
    });
    // A request that fails because the server ends counts as unanswered.
    if outcome.is_err() && server.jobs.is_stopped() {
        return Err(Error::Aborted);
    }
    if outcome.is_err() && !server.batches.goes_on() {
        return Ok(None);
    }
    Answered::new(&request.custom_id, &id, outcome.map_err(|error| told(&error))).map(Some)
}
