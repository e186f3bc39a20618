//! A request under way: who listens, who may stop it, and what has gone wrong so far.

use super::events::{Cancel, Event};

/// Losses of its device that end a request.
pub(super) const LOSSES: u32 = 3;
/// A request under way.
pub struct RequestContext<'a> {
    pub(super) cancel: &'a Cancel,
    pub(super) on_event: &'a mut dyn FnMut(Event),
    /// How often the device was lost.
    pub(super) losses: u32,
    /// Whether memory that is only used for speed has been given up.
    pub(super) is_lean: bool,
}

impl<'a> RequestContext<'a> {
    pub(super) fn new(cancel: &'a Cancel, on_event: &'a mut dyn FnMut(Event)) -> Self {
        Self { cancel, on_event, losses: 0, is_lean: false }
    }

    /// The caller's flag.
    pub fn cancel(&self) -> &Cancel {
        self.cancel
    }
}
