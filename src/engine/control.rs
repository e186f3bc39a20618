//! Control of a request from outside: cancelling, holding, yielding, and the meters that bound it.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use futures_util::task::AtomicWaker;

use super::events::Event;
use super::meter::Meter;
use crate::error::{Error, Result};

/// How a caller steers a request while it runs. Ending it takes one token, one chunk of the prompt or a fifth of a second of the tower.
/// Holding it, because nobody reads what it says, takes one token.
#[derive(Debug, Clone, Default)]
pub struct RequestControl(Arc<Steering>);

#[derive(Debug, Default)]
struct Steering {
    cancelled: AtomicBool,
    held: AtomicBool,
    gives_way: AtomicBool,
    makes_room: AtomicBool,
    /// The request, while it is held.
    waits: AtomicWaker,
    meters: OnceLock<Vec<Arc<Meter>>>,
}

impl RequestControl {
    /// Not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the request to end.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
        self.0.waits.wake();
    }

    /// Whether it was asked to end.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }

    /// [`Error::Aborted`] once it was asked to end.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Aborted) } else { Ok(()) }
    }

    /// Has the request wait before its next token, or go on.
    pub fn hold(&self, is_held: bool) {
        self.0.held.store(is_held, Ordering::Relaxed);
        self.0.waits.wake();
    }

    /// Whether the request waits before its next token.
    pub fn is_held(&self) -> bool {
        self.0.held.load(Ordering::Relaxed)
    }

    /// Whether another request wants the engine, so that this one leaves it when it is held, see [`super::Engine::resume`].
    pub fn yield_to_others(&self, gives_way: bool) {
        self.0.gives_way.store(gives_way, Ordering::Relaxed);
        self.0.waits.wake();
    }

    /// Whether another request could be answered beside this one, so that it leaves the engine where it has that to itself, to come back
    /// with the other. What can only be answered alone goes on.
    pub fn make_room(&self, makes_room: bool) {
        self.0.makes_room.store(makes_room, Ordering::Relaxed);
    }

    /// Has what the request takes counted. Its answers end as they are where one of these has nothing left. What is said a second time
    /// does not count.
    pub fn count_by(&self, meters: Vec<Arc<Meter>>) {
        let _ = self.0.meters.set(meters);
    }

    fn meters(&self) -> impl Iterator<Item = &Arc<Meter>> {
        self.0.meters.get().into_iter().flatten()
    }

    /// Counts tokens and milliseconds.
    #[inline(never)]
    pub(super) fn spend(&self, tokens: usize, ms: f64) {
        self.meters().for_each(|meter| meter.spend(tokens, ms));
    }

    /// Tokens that the request may still take.
    #[inline(never)]
    pub(super) fn left(&self) -> usize {
        self.meters().map(|meter| meter.left()).min().unwrap_or(usize::MAX)
    }

    /// Waits while the request is held. Whether it goes on then; if not, it is to leave the engine to another one, or with one if it
    /// `can_share`.
    pub(super) async fn pass(&self, can_share: bool) -> Result<bool> {
        poll_fn(|context| {
            self.0.waits.register(context.waker());
            if can_share && self.0.makes_room.load(Ordering::Relaxed) && self.check().is_ok() {
                return Poll::Ready(Ok(false));
            }
            match (self.check(), self.is_held(), self.0.gives_way.load(Ordering::Relaxed)) {
                (Err(aborted), ..) => Poll::Ready(Err(aborted)),
                (Ok(()), false, _) => Poll::Ready(Ok(true)),
                (Ok(()), true, true) => Poll::Ready(Ok(false)),
                (Ok(()), true, false) => Poll::Pending,
            }
        })
        .await
    }
}

/// Losses of its device that end a request.
pub(super) const LOSSES: u32 = 3;

/// A request under way: who listens, who may stop it, and what has gone wrong so far.
pub struct RequestContext<'a> {
    /// The caller's flag.
    pub control: &'a RequestControl,
    pub(super) on_event: &'a mut dyn FnMut(Event),
    /// How often the device was lost.
    pub(super) losses: u32,
    /// Whether memory that is only used for speed has been given up.
    pub(super) is_lean: bool,
}

impl<'a> RequestContext<'a> {
    pub(super) fn new(control: &'a RequestControl, on_event: &'a mut dyn FnMut(Event)) -> Self {
        Self { control, on_event, losses: 0, is_lean: false }
    }
}
