//! Fair shares of the engine, counted in steps: one token of an answer, or one chunk of a prompt. The request with the least work so far is
//! served first; waiting offsets work, so that no request starves. Every [`CONTINUED`]th turn belongs to the request that has begun and has
//! waited longest, so that answers continue while new requests arrive without end.
//!
//! A new request therefore begins after at most one turn of [`QUANTUM`] steps for each request that arrived with it, and a third more. A
//! request that has begun waits for at most [`CONTINUED`] turns for each such request.

/// Steps after which an answer leaves the engine if a request with less work waits.
pub const QUANTUM: u64 = 16;

/// Number of turns of which one belongs to a request that has begun.
pub const CONTINUED: usize = 4;

/// Cap of counted work: requests above it take turns as equals.
const MOST_WORK: u64 = 256;

/// Steps of waiting that offset a step of work.
const AGEING: u64 = 4;

/// Steps after which a waiting request precedes new ones, however much work it has had.
pub const MOST_AGED: u64 = MOST_WORK * AGEING;

/// Engine time that a request has received.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// Steps of its answers.
    work: u64,
    /// The step at which it was last served or began to wait.
    pub(super) served_at: u64,
}

impl Share {
    pub(super) fn new(now: u64) -> Self {
        Self { work: 0, served_at: now }
    }

    /// Counts a step. Work that is repeated because others needed the memory is not charged to the request.
    pub(super) fn count(&mut self, is_resuming: bool, now: u64) {
        self.work += u64::from(!is_resuming);
        self.served_at = now;
    }

    /// The request with the lowest rank is served first.
    pub(super) fn rank(&self, now: u64) -> i64 {
        let waited = now.saturating_sub(self.served_at) / AGEING;
        self.work.min(MOST_WORK) as i64 - waited as i64
    }
}

/// An answer's turn in the batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) request: usize,
    /// The answer's index in its request.
    pub(super) index: usize,
    /// Steps that continued it, and steps that repeated work of earlier turns.
    steps: u64,
    resuming: u64,
}

impl Turn {
    pub(super) fn new(request: usize, index: usize) -> Self {
        Self { request, index, steps: 0, resuming: 0 }
    }

    pub(super) fn count(&mut self, is_resuming: bool) {
        *if is_resuming { &mut self.resuming } else { &mut self.steps } += 1;
    }

    /// Returns whether the turn may end: at most half of a long turn is spent on resuming.
    pub(super) fn is_over(&self) -> bool {
        self.steps >= QUANTUM.max(self.resuming)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_work_comes_first_and_waiting_makes_up_for_work() {
        let mut worked = Share::new(0);
        (1..=1000).for_each(|step| worked.count(false, step));
        assert!(Share::new(1000).rank(1000) < worked.rank(1000));
        // A later request comes after one that has waited long enough.
        let now = 1000 + MOST_AGED + AGEING;
        assert!(Share::new(now).rank(now) > worked.rank(now));
        let mut resuming = Share::new(0);
        resuming.count(true, 7);
        assert_eq!((resuming.rank(7), worked.rank(1000)), (0, MOST_WORK as i64));
    }

    #[test]
    fn a_turn_lasts_as_long_as_it_took_to_resume() {
        let mut turn = Turn::new(1, 0);
        (0..40).for_each(|_| turn.count(true));
        (0..39).for_each(|_| turn.count(false));
        assert!(!turn.is_over());
        turn.count(false);
        assert!(turn.is_over());
    }
}
