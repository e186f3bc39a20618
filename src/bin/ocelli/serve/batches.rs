//! `/v1/batches`: files of requests, answered while nobody else asks. A server that was killed goes on with them when it is started again.

use std::fs::File;
use std::io::BufReader;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ocelli::api::Reply;
use ocelli::engine::Cancel;
use ocelli::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::handler::Server;
use super::jobs::Priority;
use super::store::{FileObject, Object, Store, new_id};
use crate::api;
use crate::batch::{Answered, Answers, BatchRequest, Requests, survey};

/// The only time that a batch can be given, in words and seconds. Here none ends for being late.
const WINDOW: (&str, u64) = ("24h", 24 * 60 * 60);
/// Most pairs of metadata.
const MOST_METADATA: usize = 16;

/// A batch, as the API tells it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Batch {
    id: String,
    object: String,
    endpoint: String,
    errors: Option<Value>,
    input_file_id: String,
    completion_window: String,
    status: Status,
    output_file_id: Option<String>,
    error_file_id: Option<String>,
    created_at: u64,
    in_progress_at: Option<u64>,
    expires_at: u64,
    finalizing_at: Option<u64>,
    completed_at: Option<u64>,
    failed_at: Option<u64>,
    expired_at: Option<u64>,
    cancelling_at: Option<u64>,
    cancelled_at: Option<u64>,
    request_counts: Counts,
    metadata: Option<Map<String, Value>>,
    /// Of this program alone: how fast it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    ocelli: Option<Pace>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Validating,
    InProgress,
    Completed,
    Failed,
    Cancelling,
    Cancelled,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Counts {
    total: usize,
    completed: usize,
    failed: usize,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Pace {
    requests_per_second: f64,
    seconds_left: f64,
}

impl Object for Batch {
    const PREFIX: &'static str = "batch_";

    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> u64 {
        self.created_at
    }
}

#[derive(Deserialize)]
struct NewBatch {
    input_file_id: String,
    endpoint: String,
    completion_window: String,
    metadata: Option<Map<String, Value>>,
}

/// Batches that wait, and the one under way.
pub(super) struct Batches {
    pub(super) store: Arc<Store>,
    sender: Sender<String>,
    /// The one under way, as it is now: it is written when its status changes.
    current: Mutex<Option<Batch>>,
    /// Ends its request under way.
    request: Mutex<Cancel>,
}

impl Batches {
    /// Batches of a store; the receiver is for [`work`].
    pub(super) fn new(store: Store) -> (Self, Receiver<String>) {
        let (sender, receiver) = channel();
        // The oldest first.
        for batch in store.all::<Batch>().iter().rev().filter(|batch| !batch.has_ended()) {
            let _ = sender.send(batch.id.clone());
        }
        (Self { store: Arc::new(store), sender, current: Mutex::new(None), request: Mutex::default() }, receiver)
    }

    /// Takes a batch in.
    pub(super) fn create(&self, body: &str) -> std::result::Result<String, Reply> {
        let refuse = |field: &str, reason: String| Reply::from(&Error::request(field, reason));
        let asked: NewBatch = serde_json::from_str(body).map_err(|error| refuse("body", error.to_string()))?;
        if !["/v1/chat/completions", "/v1/completions", "/v1/responses"].contains(&asked.endpoint.as_str()) {
            return Err(refuse("endpoint", format!("{:?} takes no batches", asked.endpoint)));
        }
        if asked.completion_window != WINDOW.0 {
            return Err(refuse("completion_window", format!("must be {:?}", WINDOW.0)));
        }
        let is_long =
            |metadata: &Map<String, Value>| metadata.len() > MOST_METADATA || !metadata.values().all(Value::is_string);
        if asked.metadata.as_ref().is_some_and(is_long) {
            return Err(refuse("metadata", format!("must be at most {MOST_METADATA} strings")));
        }
        if self.store.get::<FileObject>(&asked.input_file_id).is_none() {
            return Err(refuse("input_file_id", format!("there is no file {:?}", asked.input_file_id)));
        }
        let batch = Batch::new(asked);
        self.store.put(&batch).map_err(|error| Reply::from(&error))?;
        // With its thread gone the server is ending, and finds the batch when it starts again.
        let _ = self.sender.send(batch.id.clone());
        Ok(json!(batch).to_string())
    }

    /// A batch as it is now.
    pub(super) fn get(&self, id: &str) -> Option<Batch> {
        self.current().as_ref().filter(|batch| batch.id == id).cloned().or_else(|| self.store.get(id))
    }

    /// All batches as they are now, the newest first.
    pub(super) fn all(&self) -> Vec<Batch> {
        let batches = self.store.all::<Batch>().into_iter();
        batches.map(|batch| self.get(&batch.id).unwrap_or(batch)).collect()
    }

    /// Has a batch end. The request under way is not answered.
    pub(super) fn cancel(&self, id: &str) -> std::result::Result<String, Reply> {
        let mut current = self.current();
        let is_current = current.as_ref().is_some_and(|batch| batch.id == id);
        let missing = || Reply::error("no-such-object", &format!("there is no batch {id:?}"), None);
        let found = if is_current { current.take() } else { self.store.get(id) };
        let mut batch = found.ok_or_else(missing)?;
        let mut kept = Ok(());
        if !batch.has_ended() {
            batch.enter(Status::Cancelling);
            kept = self.store.put(&batch);
        }
        if is_current {
            *current = Some(batch.clone());
            self.request.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        }
        kept.map(|()| json!(batch).to_string()).map_err(|error| Reply::from(&error))
    }

    /// The batch under way.
    fn current(&self) -> MutexGuard<'_, Option<Batch>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a batch the one under way, unless it has ended.
    fn begin(&self, id: &str) -> bool {
        let mut current = self.current();
        *current = self.store.get(id).filter(|batch: &Batch| !batch.has_ended());
        current.is_some()
    }

    /// Changes the batch under way.
    fn update(&self, change: impl FnOnce(&mut Batch)) {
        if let Some(batch) = &mut *self.current() {
            change(batch);
        }
    }

    /// Whether the batch under way is to go on.
    fn goes_on(&self) -> bool {
        self.current().as_ref().is_some_and(|batch| batch.status == Status::InProgress)
    }
}

impl Batch {
    fn new(NewBatch { input_file_id, endpoint, completion_window, metadata }: NewBatch) -> Self {
        let created_at = api::seconds();
        Self {
            id: new_id::<Self>(),
            object: "batch".into(),
            endpoint,
            errors: None,
            input_file_id,
            completion_window,
            status: Status::Validating,
            output_file_id: None,
            error_file_id: None,
            created_at,
            in_progress_at: None,
            expires_at: created_at + WINDOW.1,
            finalizing_at: None,
            completed_at: None,
            failed_at: None,
            expired_at: None,
            cancelling_at: None,
            cancelled_at: None,
            request_counts: Counts::default(),
            metadata,
            ocelli: None,
        }
    }

    fn has_ended(&self) -> bool {
        matches!(self.status, Status::Completed | Status::Failed | Status::Cancelled)
    }

    fn enter(&mut self, status: Status) {
        self.status = status;
        let time = match status {
            Status::Validating => return,
            Status::InProgress => &mut self.in_progress_at,
            Status::Completed => &mut self.completed_at,
            Status::Failed => &mut self.failed_at,
            Status::Cancelling => &mut self.cancelling_at,
            Status::Cancelled => &mut self.cancelled_at,
        };
        *time = Some(time.unwrap_or_else(api::seconds));
    }
}

/// Answers batches one after another, until the server ends. On a thread of its own.
pub(super) fn work(server: &Server, waiting: &Receiver<String>) {
    let batches = &server.batches;
    for id in waiting {
        if !batches.begin(&id) {
            continue;
        }
        let outcome = carry_out(server);
        // The server that is started next goes on.
        if server.jobs.is_stopped() {
            return;
        }
        let mut current = batches.current();
        let Some(mut batch) = current.take() else { continue };
        match outcome {
            Err(error) => {
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
            crate::complain(&error);
        }
    }
}

/// Where the answers of the batch under way go: right ones to one file, refusals and wrong lines to the other.
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

/// The batch under way, from its file of requests to its files of answers.
fn carry_out(server: &Server) -> Result<()> {
    let batches = &server.batches;
    let store = &batches.store;
    let Some(mut batch) = batches.current().clone() else { return Ok(()) };
    let file_of = |known: Option<String>, name: &str| match known {
        Some(id) => Ok(id),
        None => {
            let file = FileObject::new(&format!("{}_{name}.jsonl", batch.id), "batch_output");
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
    let open = |id| Answers::open(&store.bytes(id));
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
            file.bytes = std::fs::metadata(store.bytes(&id)).map_or(0, |about| about.len());
            store.put(&file)?;
        }
    }
    answered
}

fn answer_all(
    server: &Server,
    outputs: &mut Outputs,
    batch: &Batch,
    (mut requests, total): (Requests<BufReader<File>>, usize),
) -> Result<()> {
    let (began, mut now) = (Instant::now(), 0);
    while let Some(line) = requests.next().map_err(|error| Error::io(&batch.input_file_id, &error))? {
        let Ok(request) = line else { continue };
        if outputs.has(&request) {
            continue;
        }
        if !server.batches.goes_on() {
            return Ok(());
        }
        let Some(answered) = answer(server, batch, &request)? else { continue };
        outputs.add(&answered)?;
        now += 1;
        let (counts, rate) = (outputs.counts(total), f64::from(now) / began.elapsed().as_secs_f64().max(1e-3));
        let left = (total - counts.completed - counts.failed) as f64;
        server.batches.update(|batch| {
            batch.request_counts = counts;
            batch.ocelli = Some(Pace { requests_per_second: rate, seconds_left: left / rate });
        });
    }
    Ok(())
}

/// Answers one request as it would be answered outside a batch, but after all that are; `None` where the batch was cancelled meanwhile.
///
/// # Errors
/// `aborted` when the server ends; what the device failed of.
fn answer(server: &Server, batch: &Batch, request: &BatchRequest) -> Result<Option<Answered>> {
    let (id, outcome) = request.answer(&server.service, |work| {
        if request.url != batch.endpoint {
            return Err(Error::request("url", format!("this batch is for {}", batch.endpoint)));
        }
        let asked = server.formats.asked(work)?;
        let reader = server.jobs.submit(asked, Priority::Batch).ok_or(Error::Aborted)?;
        *server.batches.request.lock().unwrap_or_else(PoisonError::into_inner) = reader.cancel();
        // It may have been cancelled before that.
        if server.batches.goes_on() { pollster::block_on(reader.whole()) } else { Err(Error::Aborted) }
    });
    // What fails then has not been answered.
    if outcome.is_err() && server.jobs.is_stopped() {
        return Err(Error::Aborted);
    }
    if outcome.is_err() && !server.batches.goes_on() {
        return Ok(None);
    }
    Answered::new(&request.custom_id, &id, outcome).map(Some)
}
