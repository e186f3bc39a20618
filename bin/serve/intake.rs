//! The way of a request from its body to the engine's queue: bounded in memory by all requests together, and computed beside the engine.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use ocelli::api::{Reply, Work};
use ocelli::engine::{Encoded, Encoder, Engine, Picture, RequestControl};
use ocelli::grammar::native::NativeGrammar;
use ocelli::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::shared::formats::Formats;
use crate::usage::Bill;

/// Most bytes of a body.
const MOST_BYTES: usize = 64 << 20;
/// Time limit of a body.
const BODY_TIME: Duration = Duration::from_secs(60);
/// Most bytes of all large bodies and prepared pictures together.
const MOST_IN_FLIGHT: usize = 1 << 30;
/// Bytes of a body or of pictures that are not counted: connections and queue bound their number.
const SMALL: usize = 256 << 10;
/// Unit in which memory is counted.
const UNIT: usize = 1 << 10;

/// Places of work that takes long: one for each core.
#[derive(Clone)]
pub(super) struct Places(Arc<Semaphore>);

impl Places {
    fn new(number: usize) -> Self {
        Self(Arc::new(Semaphore::new(number)))
    }

    /// Runs `work` in a place, on a thread that may block. A panic is a fault of this work alone.
    pub(super) async fn elsewhere<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = self.0.clone().acquire_owned().await;
        let outcome = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        outcome.await.unwrap_or_else(|_| Err(Error::Internal { detail: "the request's preparation panicked".into() }))
    }

    /// The same on the thread of the caller.
    pub(super) fn here<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _place = pollster::block_on(self.0.acquire());
        work()
    }
}

/// Bounds of the requests that are read and prepared.
#[derive(Clone)]
pub(super) struct Intake {
    encoder: Arc<Encoder>,
    formats: Formats,
    pub(super) places: Places,
    /// Memory in units.
    memory: Arc<Semaphore>,
}

/// A body, and its part of the memory of all requests.
pub(super) struct Text {
    pub(super) text: String,
    memory: Option<OwnedSemaphorePermit>,
}

impl Text {
    /// The text, and its part of the memory.
    pub(super) fn into_parts(self) -> (String, Option<OwnedSemaphorePermit>) {
        (self.text, self.memory)
    }
}

/// A request, ready for the engine.
pub(super) struct Prepared {
    /// Id of the request in the log.
    pub(super) id: String,
    pub(super) work: Box<Work>,
    pub(super) prompts: Vec<Encoded>,
    pub(super) grammar: Option<NativeGrammar>,
    pub(super) control: RequestControl,
    /// Counts what it takes, where that is counted.
    pub(super) bill: Option<Bill>,
    /// Its pictures' part of the memory of all requests, until it begins.
    pub(super) memory: Option<OwnedSemaphorePermit>,
}

/// Cancels a request whose client leaves before it is submitted.
pub(super) struct Leaving(Option<RequestControl>);

impl Leaving {
    pub(super) fn new(control: &RequestControl) -> Self {
        Self(Some(control.clone()))
    }

    /// The request has a reader, which cancels it from now on.
    pub(super) fn submitted(mut self) {
        self.0 = None;
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.iter().for_each(RequestControl::cancel);
    }
}

/// The reply to a request for which there is no room.
pub(super) fn busy() -> Reply {
    Reply::error("too-many-requests", "too many requests wait, try again later", None)
}

impl Intake {
    pub(super) fn new(engine: &Engine) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let (places, memory) = (Places::new(cores), Arc::new(Semaphore::new(MOST_IN_FLIGHT / UNIT)));
        Self { encoder: engine.encoder().clone(), formats: Formats::new(engine), places, memory }
    }

    /// Adds bytes to a part of the memory of all requests. Fails if there is no more.
    fn grow(&self, memory: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> std::result::Result<(), Reply> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let more = self.memory.clone().try_acquire_many_owned(units).map_err(|_| busy())?;
        match memory {
            Some(memory) => memory.merge(more),
            None => *memory = Some(more),
        }
        Ok(())
    }

    /// Reads a body as text.
    pub(super) async fn read(&self, body: Incoming) -> std::result::Result<Text, Reply> {
        let late = || {
            let message = format!("the body did not come within {} s", BODY_TIME.as_secs());
            Reply::error("request-timeout", &message, None)
        };
        tokio::time::timeout(BODY_TIME, self.read_all(body)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn read_all(&self, mut body: Incoming) -> std::result::Result<Text, Reply> {
        let refuse = |code, message: String| Reply::error(code, &message, None);
        let too_large = || refuse("body-too-large", format!("a body has at most {MOST_BYTES} bytes"));
        if body.size_hint().lower() > MOST_BYTES as u64 {
            return Err(too_large());
        }
        let (mut bytes, mut memory, mut counted) = (Vec::new(), None, SMALL);
        while let Some(frame) = body.frame().await {
            let broken = |error| refuse("invalid-request", format!("the body could not be read: {error}"));
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            if bytes.len() + data.len() > MOST_BYTES {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
            if bytes.len() > counted {
                // A vector grows by doubling.
                self.grow(&mut memory, bytes.capacity().saturating_sub(counted))?;
                counted = bytes.capacity();
            }
        }
        let not_text = |_| refuse("invalid-request", "body: is not UTF-8".into());
        Ok(Text { text: String::from_utf8(bytes).map_err(not_text)?, memory })
    }

    /// Decodes the pictures that `pictures` reads, encodes prompts and compiles the grammar of a request.
    ///
    /// # Errors
    /// A fault of the request, or `aborted`.
    pub(super) fn prepare(
        &self,
        (id, work): (String, Box<Work>),
        pictures: &dyn Fn(&Work) -> Result<Vec<Picture>>,
        bill: Option<Bill>,
        control: RequestControl,
    ) -> Result<Prepared> {
        let prompts = work.encode(&self.encoder, &pictures(&work)?, &control)?;
        control.check()?;
        let grammar = self.formats.grammar(&work)?;
        Ok(Prepared { id, work, prompts, grammar, control, bill, memory: None })
    }

    /// Reserves memory for the pictures of a request, until it begins. Fails if there is no more.
    pub(super) fn reserve(&self, prepared: &mut Prepared) -> std::result::Result<(), Reply> {
        let bytes = prepared.prompts.iter().map(Encoded::picture_bytes).sum();
        if bytes > SMALL { self.grow(&mut prepared.memory, bytes) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::http::failure;

    #[test]
    fn a_panic_while_a_request_is_prepared_is_the_failure_of_this_request_alone() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("threads");
        let places = Places::new(1);
        let panicked = runtime.block_on(places.elsewhere(|| -> Result<()> { panic!("on order, at /srv/private") }));
        let reply = failure(&panicked.expect_err("a panic"));
        assert_eq!((reply.status, reply.may_retry), (500, Some(false)));
        assert!(!reply.body.contains("private"), "{}", reply.body);
        // Its place is free again.
        assert_eq!(runtime.block_on(places.elsewhere(|| Ok(3))), Ok(3));
        assert_eq!(places.here(|| Ok(4)), Ok(4));
    }
}
