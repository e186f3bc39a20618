//! A batch of the API, and the request that creates one.

use ocelli::Error;
use ocelli::api::Reply;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BATCH, LIFETIMES, Object, new_id};
use crate::shared::api;

/// The only completion window, as text and in seconds. Batches do not expire here.
const WINDOW: (&str, u64) = ("24h", 24 * 60 * 60);
/// Limit of metadata pairs.
const MOST_METADATA: usize = 16;
const MOST_NAME: usize = 64;
const MOST_VALUE: usize = 512;

/// A batch object of the API.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Batch {
    pub(crate) id: String,
    pub(crate) object: String,
    pub(crate) endpoint: String,
    pub(crate) errors: Option<Value>,
    pub(crate) input_file_id: String,
    pub(crate) completion_window: String,
    pub(crate) status: Status,
    pub(crate) output_file_id: Option<String>,
    pub(crate) error_file_id: Option<String>,
    pub(crate) created_at: u64,
    pub(crate) in_progress_at: Option<u64>,
    pub(crate) expires_at: u64,
    pub(crate) finalizing_at: Option<u64>,
    pub(crate) completed_at: Option<u64>,
    pub(crate) failed_at: Option<u64>,
    pub(crate) expired_at: Option<u64>,
    pub(crate) cancelling_at: Option<u64>,
    pub(crate) cancelled_at: Option<u64>,
    pub(crate) request_counts: Counts,
    pub(crate) metadata: Option<Map<String, Value>>,
    /// Extension: name of the key that it belongs to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) owner: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) output_expires_after: Option<Lifetime>,
    /// Extension: the time at which it is removed with the files of its answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) removed_at: Option<u64>,
    /// Extension: the rate of answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ocelli: Option<Pace>,
}

/// The time after which a batch and the files of its answers are removed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lifetime {
    pub(crate) anchor: Anchor,
    pub(crate) seconds: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Anchor {
    /// The end of the batch: its files are created in full then.
    CreatedAt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Validating,
    InProgress,
    Completed,
    Failed,
    Cancelling,
    Cancelled,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) total: usize,
    pub(crate) completed: usize,
    pub(crate) failed: usize,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Pace {
    pub(crate) requests_per_second: f64,
    pub(crate) seconds_left: f64,
}

impl Object for Batch {
    const PREFIX: &'static str = BATCH;

    fn id(&self) -> &str {
        &self.id
    }
}

/// A request for a batch.
#[derive(Deserialize)]
pub(crate) struct NewBatch {
    pub(crate) input_file_id: String,
    pub(crate) endpoint: String,
    pub(crate) completion_window: String,
    pub(crate) metadata: Option<Map<String, Value>>,
    pub(crate) output_expires_after: Option<Lifetime>,
}

impl NewBatch {
    /// Reads a request.
    ///
    /// # Errors
    /// A fault of the request.
    pub(crate) fn read(body: &str) -> Result<Self, Reply> {
        let refuse = |field: &str, reason: String| Reply::from(&Error::request(field, reason));
        let asked: Self = serde_json::from_str(body).map_err(|error| refuse("body", error.to_string()))?;
        if !["/v1/chat/completions", "/v1/completions", "/v1/responses"].contains(&asked.endpoint.as_str()) {
            return Err(refuse("endpoint", format!("{:?} takes no batches", asked.endpoint)));
        }
        if asked.completion_window != WINDOW.0 {
            return Err(refuse("completion_window", format!("must be {:?}", WINDOW.0)));
        }
        check_metadata(asked.metadata.as_ref()).map_err(|reason| refuse("metadata", reason))?;
        if asked.output_expires_after.is_some_and(|after| !LIFETIMES.contains(&after.seconds)) {
            let (least, most) = LIFETIMES.into_inner();
            let reason = format!("must be a number from {least} to {most}");
            return Err(refuse("output_expires_after.seconds", reason));
        }
        Ok(asked)
    }
}

impl Batch {
    /// A batch that waits.
    pub(crate) fn new(asked: NewBatch, owner: &str) -> Self {
        let NewBatch { input_file_id, endpoint, completion_window, metadata, output_expires_after } = asked;
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
            output_expires_after,
            removed_at: None,
            ocelli: None,
        }
    }

    /// Returns true if its status is final.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.status, Status::Completed | Status::Failed | Status::Cancelled)
    }

    /// Changes the status and notes the time.
    pub(crate) fn enter(&mut self, status: Status) {
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

/// Checks the metadata of a batch.
fn check_metadata(metadata: Option<&Map<String, Value>>) -> Result<(), String> {
    let is_short = |text: &str, most: usize| text.chars().take(most + 1).count() <= most;
    let is_right = |(name, value): (&String, &Value)| {
        is_short(name, MOST_NAME) && value.as_str().is_some_and(|value| is_short(value, MOST_VALUE))
    };
    if metadata.is_none_or(|metadata| metadata.len() <= MOST_METADATA && metadata.iter().all(is_right)) {
        return Ok(());
    }
    Err(format!(
        "must be at most {MOST_METADATA} strings of {MOST_VALUE} characters with names of {MOST_NAME} characters"
    ))
}
