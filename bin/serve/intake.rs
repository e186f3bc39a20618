//! The way of a request from its body to the engine's queue: bounded in memory by all requests together, and computed beside the engine.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use ocelli::Result;
use ocelli::api::{Reply, Work};
use ocelli::engine::{Encoded, Encoder, Engine, Picture, RequestControl};
use ocelli::grammar::native::NativeGrammar;

use crate::lanes::{LANES, Lane, Memory, Places, Room, SMALL};
use crate::shared::formats::Formats;
use crate::usage::Bill;

/// Most bytes of a body.
const MOST_BYTES: usize = 64 << 20;
/// Time limit of a body.
const BODY_TIME: Duration = Duration::from_secs(60);
/// Most bytes of all large bodies and prepared pictures together.
const MOST_IN_FLIGHT: usize = 1 << 30;
/// Bounds of the requests that are read and prepared.
#[derive(Clone)]
pub(super) struct Intake {
    encoder: Arc<Encoder>,
    formats: Formats,
    /// By lane.
    places: [Places; LANES],
    room: Room,
}

/// A body, and its part of the memory of all requests.
pub(super) struct Text {
    pub(super) text: String,
    pub(super) memory: Memory,
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
    /// Part of the memory of all requests for its pictures and stored items, until it begins.
    pub(super) memory: Memory,
}

impl Intake {
    pub(super) fn new(engine: &Engine) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let places = std::array::from_fn(|lane| Places::new(Lane::places(lane, cores)));
        let room = Room::new(MOST_IN_FLIGHT);
        Self { encoder: engine.encoder().clone(), formats: Formats::new(engine), places, room }
    }

    /// Places of a kind of work.
    pub(super) fn places(&self, lane: Lane) -> &Places {
        &self.places[lane as usize]
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
                self.room.grow(&mut memory, bytes.capacity().saturating_sub(counted))?;
                counted = bytes.capacity();
            }
        }
        let not_text = |_| refuse("invalid-request", "body: is not UTF-8".into());
        Ok(Text { text: String::from_utf8(bytes).map_err(not_text)?, memory })
    }

    /// Decodes the pictures, encodes prompts and compiles the grammar of a request.
    ///
    /// # Errors
    /// A fault of the request, or `aborted`.
    pub(super) fn prepare(
        &self,
        (id, mut work): (String, Box<Work>),
        pictures: &[Picture],
        (bill, memory): (Option<Bill>, Memory),
        control: RequestControl,
    ) -> Result<Prepared> {
        let prompts = work.encode(&self.encoder, pictures, &control)?;
        control.check()?;
        // They may be as large as the body, whose memory is given back.
        work.pictures.iter_mut().for_each(|picture| picture.url = String::new());
        let grammar = self.formats.grammar(&work)?;
        Ok(Prepared { id, work, prompts, grammar, control, bill, memory })
    }

    /// Memory for the stored items that a request refers to, whose text is copied; `None` if there is no more.
    pub(super) fn stored(&self, work: &Work) -> Option<Memory> {
        let mut memory = None;
        let is_there = work.stored_bytes <= SMALL || self.room.grow(&mut memory, work.stored_bytes).is_ok();
        is_there.then_some(memory)
    }

    /// Reserves memory for the pictures of a request, until it begins. Fails if there is no more.
    pub(super) fn reserve(&self, prepared: &mut Prepared) -> std::result::Result<(), Reply> {
        let bytes = prepared.prompts.iter().map(Encoded::picture_bytes).sum();
        if bytes > SMALL { self.room.grow(&mut prepared.memory, bytes) } else { Ok(()) }
    }
}
