//! `/v1/batches`: files of requests, answered while no other request waits. A restarted server continues them.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ocelli::Error;
use ocelli::api::Reply;
use ocelli::engine::RequestControl;
use serde_json::json;

use super::http::failure;
use crate::batch::Attempts;
use crate::shared::callers::Caller;
use crate::store::{Batch, FileObject, NewBatch, Status, Store};

mod work;

pub(super) use work::work;

/// Concurrent requests of a batch.
const AT_ONCE: usize = 8;

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
        let asked = NewBatch::read(body)?;
        if self.store.get_for::<FileObject>(caller, &asked.input_file_id).is_none() {
            return Err(refuse("input_file_id", format!("there is no file {:?}", asked.input_file_id)));
        }
        let batch = Batch::new(asked, caller.owner());
        self.store.take_place(&batch.owner)?;
        self.store.put(&batch).map_err(|error| {
            self.store.return_place(&batch.owner);
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

    /// JSON of a page of the batches that a sender may read, in their current state, newest first.
    pub(super) fn page(&self, caller: &Caller, asked: (Option<&str>, usize)) -> Result<String, Reply> {
        let page = self.store.page::<Batch>(caller, asked)?;
        let current = self.current().clone();
        let now = |id: &str| current.as_ref().filter(|batch| batch.id == id).map(|batch| json!(batch).to_string());
        Ok(page.json(&now))
    }

    /// Returns true if the active batch writes a file.
    pub(super) fn writes(&self, file: &str) -> bool {
        let current = self.current();
        let files = current.iter().flat_map(|batch| [&batch.output_file_id, &batch.error_file_id]);
        files.flatten().any(|id| id == file)
    }

    /// Deletes a batch that has ended, and the files of its answers.
    pub(super) fn delete(&self, id: &str, caller: &Caller) -> Result<String, Reply> {
        let batch = self.get(id, caller).ok_or_else(|| missing(id))?;
        if !batch.has_ended() {
            return Err(Reply::from(&Error::request("batch_id", "the batch has not ended: cancel it first")));
        }
        let files = [batch.output_file_id, batch.error_file_id];
        files.iter().flatten().for_each(|file| self.store.remove(file));
        self.store.remove(&batch.id);
        Ok(json!({"id": batch.id, "object": "batch", "deleted": true}).to_string())
    }

    /// Cancels a batch. Its active requests are not answered.
    pub(super) fn cancel(&self, id: &str, caller: &Caller) -> Result<String, Reply> {
        let mut current = self.current();
        let is_current = current.as_ref().is_some_and(|batch| batch.id == id && caller.sees(&batch.owner));
        let found = if is_current { current.take() } else { self.store.get_for(caller, id) };
        let mut batch = found.ok_or_else(|| missing(id))?;
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

    /// Changes the active batch and writes it.
    fn change(&self, change: impl FnOnce(&mut Batch)) -> ocelli::Result<()> {
        let mut current = self.current();
        let Some(batch) = &mut *current else { return Ok(()) };
        change(batch);
        self.store.put(batch)
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

/// The reply to a request for a batch that does not exist.
pub(super) fn missing(id: &str) -> Reply {
    Reply::error("no-such-object", &format!("there is no batch {id:?}"), None)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
