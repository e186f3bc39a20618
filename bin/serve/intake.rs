//! Bounds of the requests that are read and prepared, for all models together: places by kind of work, and memory.

use std::num::NonZero;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use ocelli::api::{Reply, Work};
use ocelli::engine::Encoded;

use crate::engines::Prepared;
use crate::lanes::{LANES, Lane, Memory, Places, Room, SMALL};

/// Most bytes of a body.
const MOST_BYTES: usize = 64 << 20;
/// Time limit of a body.
const BODY_TIME: Duration = Duration::from_secs(60);
/// Most bytes of all large bodies and prepared pictures together.
const MOST_IN_FLIGHT: usize = 1 << 30;

/// Bounds of the requests that are read and prepared.
#[derive(Clone)]
pub(super) struct Intake {
    /// By lane.
    places: [Places; LANES],
    room: Room,
}

/// A body, and its part of the memory of all requests.
pub(super) struct Text {
    pub(super) text: String,
    pub(super) memory: Memory,
}

impl Intake {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let places = std::array::from_fn(|lane| Places::new(Lane::places(lane, cores)));
        Self { places, room: Room::new(MOST_IN_FLIGHT) }
    }

    /// Places of a kind of work.
    pub(super) fn places(&self, lane: Lane) -> &Places {
        &self.places[lane as usize]
    }

    /// Reads a body as text.
    pub(super) async fn read(&self, body: Incoming) -> Result<Text, Reply> {
        let late = || {
            let message = format!("the body did not come within {} s", BODY_TIME.as_secs());
            Reply::error("request-timeout", &message, None)
        };
        tokio::time::timeout(BODY_TIME, self.read_all(body)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn read_all(&self, mut body: Incoming) -> Result<Text, Reply> {
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
                self.room.grow(&mut memory, bytes.capacity().saturating_sub(counted))?;
                counted = bytes.capacity();
            }
        }
        let not_text = |_| refuse("invalid-request", "body: is not UTF-8".into());
        Ok(Text { text: String::from_utf8(bytes).map_err(not_text)?, memory })
    }

    /// Memory for the stored items that a request refers to, whose text is copied; `None` if there is no more.
    pub(super) fn stored(&self, work: &Work) -> Option<Memory> {
        let mut memory = None;
        let is_there = work.stored_bytes <= SMALL || self.room.grow(&mut memory, work.stored_bytes).is_ok();
        is_there.then_some(memory)
    }

    /// Reserves memory for the pictures of a request, until it begins. Fails if there is no more.
    pub(super) fn reserve(&self, prepared: &mut Prepared) -> Result<(), Reply> {
        let bytes = prepared.prompts.iter().map(Encoded::picture_bytes).sum();
        if bytes > SMALL { self.room.grow(&mut prepared.memory, bytes) } else { Ok(()) }
    }
}
