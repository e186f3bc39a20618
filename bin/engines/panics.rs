//! Panics of the engine's thread.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Panics within [`WINDOW`] after which the server ends.
pub(super) const MOST: usize = 3;
/// Time after which a panic no longer counts. Answered requests do not reset the count: an engine that panics in every long answer gives
/// short ones between them, and only a new process helps. Panics that lie further apart are faults of single requests, and a server that runs
/// for months survives any number of them.
pub(super) const WINDOW: Duration = Duration::from_secs(600);

/// Times of the last panics.
#[derive(Debug, Default)]
pub(super) struct Panics(VecDeque<Instant>);

impl Panics {
    /// Counts a panic. Returns false if there are too many within the window.
    pub(super) fn may_continue(&mut self, now: Instant) -> bool {
        self.0.retain(|panic| now.duration_since(*panic) < WINDOW);
        self.0.push_back(now);
        self.0.len() < MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three panics in the lifetime of a server once ended it.
    #[test]
    fn panics_end_the_server_only_if_they_follow_each_other_closely() {
        let (start, mut panics) = (Instant::now(), Panics::default());
        // Two in each window.
        for number in 0..100 {
            assert!(panics.may_continue(start + number * WINDOW / 2), "{number}");
        }
        let mut panics = Panics::default();
        let apart = [0, 1, 599].map(Duration::from_secs);
        assert_eq!(apart.map(|time| panics.may_continue(start + time)), [true, true, false]);
    }
}
