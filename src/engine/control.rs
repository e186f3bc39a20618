//! Control of a running request: cancelling it, pausing it while its reader is too slow (backpressure), and meters that limit it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::events::Event;
use super::meter::Meter;
use crate::error::{Error, Result};

/// Numbers of unread frames of a stream at which its request is paused and resumed.
const MOST_UNREAD: usize = 16;
const FEW_UNREAD: usize = MOST_UNREAD / 2;

/// Control of a running request. Cancelling takes effect within a token, a prompt chunk or 200 ms of the tower, pausing within a step.
#[derive(Debug, Clone, Default)]
pub struct RequestControl(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_cancelled: AtomicBool,
    is_paused: AtomicBool,
    unread: AtomicUsize,
    meters: OnceLock<Vec<Arc<Meter>>>,
}

impl RequestControl {
    /// Creates the control of one request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels the request.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::SeqCst);
    }

    /// Returns true if the request was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::SeqCst)
    }

    /// Fails with [`Error::Aborted`] if the request was cancelled.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Aborted) } else { Ok(()) }
    }

    /// Counts a frame sent to the request's reader. Pauses the request if too many are unread.
    pub fn frame_sent(&self) {
        if self.0.unread.fetch_add(1, Ordering::SeqCst) + 1 >= MOST_UNREAD {
            self.0.is_paused.store(true, Ordering::SeqCst);
            // The reader may have read all frames before the flag was set; nothing else would resume the request then.
            self.resume();
        }
    }

    /// Counts a frame that was read. Returns true if this resumes the request.
    pub fn frame_read(&self) -> bool {
        self.0.unread.fetch_sub(1, Ordering::SeqCst);
        self.resume()
    }

    fn resume(&self) -> bool {
        self.0.unread.load(Ordering::SeqCst) <= FEW_UNREAD && self.0.is_paused.swap(false, Ordering::SeqCst)
    }

    /// Returns true if the request waits for its reader.
    pub fn is_paused(&self) -> bool {
        self.0.is_paused.load(Ordering::SeqCst)
    }

    /// Sets the meters that count this request's use. Its answers end early once a meter is exhausted. Later calls have no effect.
    pub fn count_by(&self, meters: Vec<Arc<Meter>>) {
        let _ = self.0.meters.set(meters);
    }

    fn meters(&self) -> impl Iterator<Item = &Arc<Meter>> {
        self.0.meters.get().into_iter().flatten()
    }

    #[inline(never)]
    pub(in crate::engine) fn spend(&self, tokens: usize, ms: f64) {
        self.meters().for_each(|meter| meter.spend(tokens, ms));
    }

    /// Tokens that all meters still allow.
    #[inline(never)]
    pub(in crate::engine) fn left(&self) -> usize {
        self.meters().map(|meter| meter.left()).min().unwrap_or(usize::MAX)
    }
}

/// Device losses after which a request fails.
pub(super) const LOSSES: u32 = 3;

/// Control, event receiver and failures of a request, passed to each of its steps.
pub struct RequestContext<'a> {
    /// The request's control.
    pub control: &'a RequestControl,
    pub(super) on_event: &'a mut dyn FnMut(Event),
    pub(super) losses: u32,
    /// True after memory used only for speed was freed.
    pub(super) is_lean: bool,
}

impl<'a> RequestContext<'a> {
    pub(super) fn new(control: &'a RequestControl, on_event: &'a mut dyn FnMut(Event)) -> Self {
        Self { control, on_event, losses: 0, is_lean: false }
    }
}
