//! Control of a request from outside: cancelling it, pausing it while its reader is full, and the meters that bound it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::events::Event;
use super::meter::Meter;
use crate::error::{Error, Result};

/// Unread frames of a stream at which its request is paused, and at which it continues.
const MOST_UNREAD: usize = 16;
const FEW_UNREAD: usize = MOST_UNREAD / 2;

/// Control of a request while it runs. Cancelling takes effect within a token, a chunk of the prompt or 200 ms of the tower; pausing within a
/// step.
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
    /// Creates the control of a request that runs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels the request.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::SeqCst);
    }

    /// Returns whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::SeqCst)
    }

    /// Fails with [`Error::Aborted`] once it was cancelled.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Aborted) } else { Ok(()) }
    }

    /// Counts a frame that is sent to the request's reader, and pauses the request when too many are unread.
    pub fn frame_sent(&self) {
        if self.0.unread.fetch_add(1, Ordering::SeqCst) + 1 >= MOST_UNREAD {
            self.0.is_paused.store(true, Ordering::SeqCst);
            // The reader may have read all of them between the two.
            self.resume();
        }
    }

    /// Counts a frame that was read. Returns whether the request was paused and continues.
    pub fn frame_read(&self) -> bool {
        self.0.unread.fetch_sub(1, Ordering::SeqCst);
        self.resume()
    }

    fn resume(&self) -> bool {
        self.0.unread.load(Ordering::SeqCst) <= FEW_UNREAD && self.0.is_paused.swap(false, Ordering::SeqCst)
    }

    /// Returns whether the request waits for its reader.
    pub fn is_paused(&self) -> bool {
        self.0.is_paused.load(Ordering::SeqCst)
    }

    /// Sets the meters that count what the request takes. Its answers end as they are where one of these has nothing left. Later calls have
    /// no effect.
    pub fn count_by(&self, meters: Vec<Arc<Meter>>) {
        let _ = self.0.meters.set(meters);
    }

    fn meters(&self) -> impl Iterator<Item = &Arc<Meter>> {
        self.0.meters.get().into_iter().flatten()
    }

    /// Counts tokens and milliseconds.
    #[inline(never)]
    pub(in crate::engine) fn spend(&self, tokens: usize, ms: f64) {
        self.meters().for_each(|meter| meter.spend(tokens, ms));
    }

    /// Tokens that the request may still take.
    #[inline(never)]
    pub(in crate::engine) fn left(&self) -> usize {
        self.meters().map(|meter| meter.left()).min().unwrap_or(usize::MAX)
    }
}

/// Losses of the device that end a request.
pub(super) const LOSSES: u32 = 3;

/// Context of a step: its request's control, the receiver of its events, and what has gone wrong so far.
pub struct RequestContext<'a> {
    /// The request's control.
    pub control: &'a RequestControl,
    pub(super) on_event: &'a mut dyn FnMut(Event),
    /// Losses of the device so far.
    pub(super) losses: u32,
    /// Set once memory that is only used for speed has been freed.
    pub(super) is_lean: bool,
}

impl<'a> RequestContext<'a> {
    pub(super) fn new(control: &'a RequestControl, on_event: &'a mut dyn FnMut(Event)) -> Self {
        Self { control, on_event, losses: 0, is_lean: false }
    }
}
