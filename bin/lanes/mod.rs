//! Bounds of work that is done beside the engine: places by kind of work, and memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ocelli::api::{Reply, Work};
use ocelli::engine::RequestControl;
use ocelli::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::fetch;
use crate::shared::{documents, pdf};

/// Bytes of a body or of pictures that are not counted: connections and queue bound their number.
pub(crate) const SMALL: usize = 256 << 10;
/// Unit in which memory is counted.
const UNIT: usize = 1 << 10;

/// Requests whose documents are rendered in turns.
const MOST_DOCUMENTS: usize = 4;
/// Requests whose pictures are downloaded at the same time.
const MOST_ADDRESSES: usize = 8;

/// Kinds of work whose places are apart, so that work which takes long holds up only its own kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Text of a small body.
    Text,
    /// Text of a large body, and of batches.
    Large,
    Pictures,
    Formats,
    /// Pictures at addresses.
    Addresses,
    /// All of a request with documents: its pages are rendered in turns with those of the others. Pages that are named by a path are read
    /// here too.
    Documents,
    /// Preparation of a request that has a place for documents, after its pages are rendered. They take memory that is not counted.
    Pages,
}

/// Number of lanes.
pub(crate) const LANES: usize = 7;

impl Lane {
    /// The lane of a body that has not been read.
    pub(crate) fn of_body(text: &str) -> Self {
        if documents::may_be_in(text) { Self::Documents } else { Self::of_size(text) }
    }

    /// The lane of a body of which only one field is read.
    pub(crate) fn of_size(text: &str) -> Self {
        if text.len() <= SMALL { Self::Text } else { Self::Large }
    }

    /// The lane in which a request is prepared whose body came by this lane.
    pub(crate) fn of(work: &Work, body: Self) -> Self {
        let pictures: Vec<&str> = work.pictures.iter().map(|picture| picture.url.as_str()).collect();
        Self::of_parts(&pictures, work.format.is_some(), body)
    }

    /// The lane of a request with pictures of these names or addresses, and with a format or without.
    pub(crate) fn of_parts(pictures: &[&str], has_format: bool, body: Self) -> Self {
        match (has_format, pictures.is_empty()) {
            _ if body == Self::Documents || pictures.iter().any(|name| pdf::is_page(name)) => Self::Documents,
            _ if pictures.iter().any(|name| fetch::is_address(name)) => Self::Addresses,
            (true, _) => Self::Formats,
            (false, false) => Self::Pictures,
            (false, true) => body,
        }
    }

    /// Number of places. Kinds that take long leave a core to the engine and to short texts, where there are several.
    pub(crate) fn places(lane: usize, cores: usize) -> usize {
        let most = cores.saturating_sub(1).max(1);
        match lane {
            _ if lane == Self::Text as usize => cores,
            // The memory of pages is bounded by these places and the limits of a request.
            _ if lane == Self::Pages as usize => 1,
            _ if lane == Self::Documents as usize => MOST_DOCUMENTS,
            // They wait for other hosts most of the time.
            _ if lane == Self::Addresses as usize => MOST_ADDRESSES,
            _ => most,
        }
    }
}

/// Places of one kind of work.
#[derive(Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Places {
    pub(crate) fn new(number: usize) -> Self {
        Self(Arc::new(Semaphore::new(number)))
    }

    /// Runs `work` in a place, on a thread that may block. A panic is a fault of this work alone.
    pub(crate) async fn elsewhere<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = self.0.clone().acquire_owned().await;
        let outcome = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        outcome.await.unwrap_or_else(|_| Err(panicked()))
    }

    /// The same on the thread of the caller.
    pub(crate) fn here<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _place = pollster::block_on(self.0.acquire());
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(panicked()))
    }
}

fn panicked() -> Error {
    Error::Internal { detail: "the request's preparation panicked".into() }
}

/// Memory of all requests, counted in units.
#[derive(Clone)]
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / UNIT)))
    }

    /// Adds bytes to a part of the memory of all requests. Fails if there is no more.
    pub(crate) fn grow(&self, memory: &mut Memory, bytes: usize) -> std::result::Result<(), Reply> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let more = self.0.clone().try_acquire_many_owned(units).map_err(|_| busy())?;
        match memory {
            Some(memory) => memory.merge(more),
            None => *memory = Some(more),
        }
        Ok(())
    }
}

/// A part of the memory of all requests, given back with this value. Small bodies take none.
pub(crate) type Memory = Option<OwnedSemaphorePermit>;

/// Cancels a request whose client leaves before it is submitted.
pub(crate) struct Leaving(Option<RequestControl>);

impl Leaving {
    pub(crate) fn new(control: &RequestControl) -> Self {
        Self(Some(control.clone()))
    }

    /// The request has a reader, which cancels it from now on.
    pub(crate) fn submitted(mut self) {
        self.0 = None;
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.iter().for_each(RequestControl::cancel);
    }
}

/// The reply to a request for which there is no room.
pub(crate) fn busy() -> Reply {
    Reply::error("too-many-requests", "too many requests wait, try again later", None)
}

#[cfg(test)]
mod tests;
