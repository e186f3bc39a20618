//! `/v1/batches`: files of requests, answered while no other request waits. A restarted server continues them.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ocelli::Error;
use ocelli::api::Reply;
use ocelli::engine::RequestControl;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::http::failure;
use crate::batch::Attempts;
use crate::shared::api;
use crate::shared::callers::Caller;
use crate::store::{FileObject, Object, Store, new_id};

mod work;

pub(super) use work::work;

/// The only completion window, as text and in seconds. Batches do not expire here.
const WINDOW: (&str, u64) = ("24h", 24 * 60 * 60);
/// Concurrent requests of a batch.
const AT_ONCE: usize = 8;
/// Limit of metadata pairs.
const MOST_METADATA: usize = 16;
const MOST_NAME: usize = 64;
const MOST_VALUE: usize = 512;

/// A batch object of the API.
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
    /// Extension: name of the key that it belongs to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    owner: String,
    /// Extension: the rate of answers.
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

    fn owner(&self) -> &str {
        &self.owner
    }
}

#[derive(Deserialize)]
struct NewBatch {
    input_file_id: String,
    endpoint: String,
    completion_window: String,
    metadata: Option<Map<String, Value>>,
}

/// Waiting batches, and the active one.
pub(super) struct Batches {
    pub(super) store: Arc<Store>,
    sender: Sender<String>,
    /// The active batch. It is written when its status changes.
    current: Mutex<Option<Batch>>,
    /// Controls that cancel its active requests.
    requests: [Mutex<RequestControl>; AT_ONCE],
    /// Notes of its requests that are being prepared.
    attempts: Mutex<Option<Arc<Attempts>>>,
}

impl Batches {
    /// Batches of a store; the receiver is for [`work()`].
    pub(super) fn new(store: Store) -> (Self, Receiver<String>) {
        let (sender, receiver) = channel();
        // The oldest first.
        for batch in store.all::<Batch>().iter().rev().filter(|batch| !batch.has_ended()) {
            let _ = sender.send(batch.id.clone());
        }
        let (current, attempts) = (Mutex::default(), Mutex::default());
        (Self { store: Arc::new(store), sender, current, requests: Default::default(), attempts }, receiver)
    }

    /// Ends the preparation of requests: the server is ending, and none of them is the reason.
    pub(super) fn close(&self) {
        locked(&self.attempts).iter().for_each(|attempts| attempts.close());
    }

    /// Creates a batch.
    pub(super) fn create(&self, body: &str, caller: &Caller) -> Result<String, Reply> {
        let refuse = |field: &str, reason: String| Reply::from(&Error::request(field, reason));
        let asked: NewBatch = serde_json::from_str(body).map_err(|error| refuse("body", error.to_string()))?;
        if !["/v1/chat/completions", "/v1/completions", "/v1/responses"].contains(&asked.endpoint.as_str()) {
            return Err(refuse("endpoint", format!("{:?} takes no batches", asked.endpoint)));
        }
        if asked.completion_window != WINDOW.0 {
            return Err(refuse("completion_window", format!("must be {:?}", WINDOW.0)));
        }
        let is_short = |text: &str, most: usize| text.chars().take(most + 1).count() <= most;
        let is_right = |(name, value): (&String, &Value)| {
            is_short(name, MOST_NAME) && value.as_str().is_some_and(|value| is_short(value, MOST_VALUE))
        };
        let is_wrong = |metadata: &Map<String, Value>| metadata.len() > MOST_METADATA || !metadata.iter().all(is_right);
        if asked.metadata.as_ref().is_some_and(is_wrong) {
            let reason = format!(
                "must be at most {MOST_METADATA} strings of {MOST_VALUE} characters with names of {MOST_NAME} characters"
            );
            return Err(refuse("metadata", reason));
        }
        if self.store.get_for::<FileObject>(caller, &asked.input_file_id).is_none() {
            return Err(refuse("input_file_id", format!("there is no file {:?}", asked.input_file_id)));
        }
        let batch = Batch::new(asked, caller.owner());
        self.store.take_place()?;
        self.store.put(&batch).map_err(|error| {
            self.store.return_place();
            failure(&error)
        })?;
        // If the thread has ended, the server is ending; it continues the batch after its next start.
        let _ = self.sender.send(batch.id.clone());
        Ok(json!(batch).to_string())
    }

    /// The current state of a batch, if a sender may read it.
    pub(super) fn get(&self, id: &str, caller: &Caller) -> Option<Batch> {
        self.now(id).filter(|batch| caller.sees(&batch.owner))
    }

    fn now(&self, id: &str) -> Option<Batch> {
        self.current().as_ref().filter(|batch| batch.id == id).cloned().or_else(|| self.store.get(id))
    }

    /// The current state of all batches, newest first.
    pub(super) fn all(&self) -> Vec<Batch> {
        let batches = self.store.all::<Batch>().into_iter();
        batches.map(|batch| self.now(&batch.id).unwrap_or(batch)).collect()
    }

    /// Cancels a batch. Its active requests are not answered.
    pub(super) fn cancel(&self, id: &str, caller: &Caller) -> Result<String, Reply> {
        let mut current = self.current();
        let is_current = current.as_ref().is_some_and(|batch| batch.id == id && caller.sees(&batch.owner));
        let missing = || Reply::error("no-such-object", &format!("there is no batch {id:?}"), None);
        let found = if is_current { current.take() } else { self.store.get_for(caller, id) };
        let mut batch = found.ok_or_else(missing)?;
        let mut kept = Ok(());
        if !batch.has_ended() {
            batch.enter(Status::Cancelling);
            kept = self.store.put(&batch);
        }
        if is_current {
            *current = Some(batch.clone());
            self.requests.iter().for_each(|request| locked(request).cancel());
        }
        kept.map(|()| json!(batch).to_string()).map_err(|error| failure(&error))
    }

    fn current(&self) -> MutexGuard<'_, Option<Batch>> {
        locked(&self.current)
    }

    /// Makes a batch the active one, unless it has ended.
    fn begin(&self, id: &str) -> bool {
        let mut current = self.current();
        *current = self.store.get(id).filter(|batch: &Batch| !batch.has_ended());
        current.is_some()
    }

    fn update(&self, change: impl FnOnce(&mut Batch)) {
        if let Some(batch) = &mut *self.current() {
            change(batch);
        }
    }

    /// Returns true unless the active batch was cancelled.
    fn goes_on(&self) -> bool {
        self.current().as_ref().is_some_and(|batch| batch.status == Status::InProgress)
    }
}

impl Batch {
    fn new(NewBatch { input_file_id, endpoint, completion_window, metadata }: NewBatch, owner: &str) -> Self {
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
            owner: owner.into(),
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
