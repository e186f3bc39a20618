//! Estimate of a device's compute rate from measured times, which decides how much work a submission may hold.

mod pieces;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_channel::oneshot::Receiver;

/// Longest submission in milliseconds.
const LONGEST_MS: f64 = 200.0;
/// Share of [`LONGEST_MS`] that a piece aims at: the rates of kernels differ by about a factor of two.
const SHARE: f64 = 0.5;
/// FLOP per second assumed before anything is measured: a slow device.
const UNKNOWN: f64 = 1e11;
/// FLOP per second up to which a remembered rate is trusted until this device has been so fast: it may be another device's.
const TRUSTED: f64 = 8.0 * UNKNOWN;
/// Fewest FLOP of a piece, which is more than the smallest launch of a divided kernel.
const SMALLEST: u64 = 1 << 31;
/// Most times that pieces are halved after device losses.
const MOST_HALVINGS: u32 = 3;
/// Largest factor by which one measurement may change the rate.
const STEEPEST: f64 = 4.0;
/// Measurements below this many milliseconds are mostly latency.
const SHORTEST_MS: f64 = 5.0;
/// Least share of the measured time spent waiting from which the work is taken to have ended during the wait.
const WAITED: f64 = 0.1;

/// Submitted work.
#[derive(Debug)]
pub(super) struct UnderWay {
    /// Number in the ledger's count of submissions.
    pub(super) number: u64,
    /// Index in wgpu's count of submissions.
    pub(super) index: wgpu::SubmissionIndex,
    pub(super) flops: u64,
    /// Receives the completion.
    pub(super) done: Receiver<()>,
}

/// The measured rate of a device, readable by all threads.
#[derive(Debug, Clone, Default)]
pub struct MeasuredRate(Arc<AtomicU32>);

impl MeasuredRate {
    /// Units of 1e9 FLOP per second in products and attention of many rows; 0 if unknown.
    pub fn gflops(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The measured rate of a device and its pending pieces.
#[derive(Debug, Default)]
pub(super) struct Pace {
    pub(super) clock: Option<fn() -> f64>,
    /// FLOP per second, once measured.
    rate: Option<f64>,
    /// True once this device has computed work at a rate that may be trusted.
    is_confirmed: bool,
    /// The rate for other threads.
    shared: MeasuredRate,
    /// Devices lost before this one.
    losses: u32,
    under_way: VecDeque<UnderWay>,
    /// Start time of the work counted in `done`.
    since: f64,
    /// FLOP finished since then.
    done: u64,
}

impl Pace {
    /// State for the device that replaces a lost one.
    pub(super) fn after_loss(&self) -> Self {
        let Self { clock, rate, is_confirmed, losses, .. } = *self;
        Self { clock, rate, is_confirmed, shared: self.shared.clone(), losses: losses + 1, ..Self::default() }
    }

    /// State for a device of another kind, whose rate is unknown.
    pub(super) fn of_another_device(&self) -> Self {
        Self { clock: self.clock, shared: self.shared.clone(), ..Self::default() }
    }

    /// Tells other threads that the rate is unknown.
    pub(super) fn forget_shared_rate(&self) {
        self.shared.0.store(0, Ordering::Relaxed);
    }

    /// The rate in FLOP per second, once measured.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate
    }

    pub(super) fn set_rate(&mut self, rate: f64) {
        self.rate = Some(rate);
        self.shared.0.store((rate / 1e9).round() as u32, Ordering::Relaxed);
    }

    /// FLOP per second on which the size of pieces depends.
    fn trusted(&self) -> f64 {
        let rate = self.rate.unwrap_or(UNKNOWN);
        if self.is_confirmed { rate } else { rate.min(TRUSTED) }
    }

    pub(super) fn measured_rate(&self) -> MeasuredRate {
        self.shared.clone()
    }

    /// Most FLOP of a piece: half of the work of [`LONGEST_MS`], and half of that after each loss.
    pub(super) fn most_flops(&self) -> u64 {
        let seconds = LONGEST_MS * SHARE / 1e3 / f64::from(1_u32 << self.losses.min(MOST_HALVINGS));
        ((self.trusted() * seconds) as u64).max(SMALLEST)
    }

    pub(super) fn now(&self) -> f64 {
        self.clock.map_or(0.0, |clock| clock())
    }

    /// Removes the oldest piece if it must finish before `flops` more are submitted: two pieces may be pending.
    pub(super) fn in_the_way(&mut self, flops: u64, most: u64) -> Option<UnderWay> {
        let sum: u64 = self.under_way.iter().map(|piece| piece.flops).sum();
        if sum + flops > 2 * most { self.under_way.pop_front() } else { None }
    }

    pub(super) fn started(&mut self, piece: UnderWay) {
        if self.under_way.is_empty() {
            (self.since, self.done) = (self.now(), 0);
        }
        self.under_way.push_back(piece);
    }

    /// Start time of a wait, if pieces are pending.
    pub(super) fn asked(&self) -> Option<f64> {
        (!self.under_way.is_empty()).then(|| self.now())
    }

    /// Records that the first `submissions` submissions have run; the wait for them began at `asked`.
    pub(super) fn all_finished(&mut self, submissions: u64, asked: f64) {
        let mut flops = 0;
        while self.under_way.front().is_some_and(|piece| piece.number <= submissions) {
            flops += self.under_way.pop_front().map_or(0, |piece| piece.flops);
        }
        if flops > 0 {
            self.finished(flops, asked);
        }
    }

    /// Records that `flops` have run; the wait for them began at `asked`.
    pub(super) fn finished(&mut self, flops: u64, asked: f64) {
        let now = self.now();
        self.done += flops;
        let ms = now - self.since;
        let was_busy = now - asked >= WAITED * ms;
        if ms >= SHORTEST_MS {
            self.learn(self.done, ms, was_busy);
            if was_busy {
                (self.since, self.done) = (now, 0);
            }
        }
    }

    /// Updates the rate: `flops` took `ms` milliseconds, or less if not `is_exact`.
    pub(super) fn learn(&mut self, flops: u64, ms: f64, is_exact: bool) {
        let seen = flops as f64 * 1e3 / ms;
        self.is_confirmed |= seen.is_finite() && seen >= self.trusted();
        let known = self.trusted();
        // Small work takes time for other reasons than its arithmetic.
        let tells = seen > known || is_exact && flops >= self.most_flops() / 4;
        if tells && seen.is_finite() {
            self.set_rate(seen.clamp(known / STEEPEST, known * STEEPEST));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_the_rate_and_are_halved_after_losses() {
        let pace = Pace { rate: Some(1e12), is_confirmed: true, ..Pace::default() };
        assert_eq!(pace.most_flops(), 100_000_000_000, "a tenth of a second");
        let mut after = pace;
        for most in [50_000_000_000, 25_000_000_000, 12_500_000_000, 12_500_000_000] {
            after = after.after_loss();
            assert_eq!(after.most_flops(), most);
        }
        assert_eq!(Pace::default().most_flops(), 10_000_000_000, "of a device that nothing is known of");
        assert_eq!(Pace { rate: Some(1e6), ..Pace::default() }.most_flops(), SMALLEST);
    }

    #[test]
    fn pieces_of_a_remembered_rate_begin_small_and_grow_once_the_device_is_known_to_be_so_fast() {
        let [mut fast, mut slow] = [0; 2].map(|_| Pace { rate: Some(6e12), ..Pace::default() });
        assert_eq!(fast.most_flops(), 80_000_000_000, "it may be the rate of another device");
        fast.learn(80_000_000_000, 13.0, true);
        slow.learn(80_000_000_000, 400.0, true);
        assert!(fast.most_flops() > 500_000_000_000 && slow.most_flops() == 20_000_000_000, "{fast:?} {slow:?}");
    }

    #[test]
    fn a_rate_is_learned_from_work_that_was_waited_for() {
        let mut pace = Pace::default();
        pace.learn(20_000_000_000, 100.0, true);
        assert_eq!(pace.rate, Some(2e11));
        pace.learn(10_000_000_000, 100.0, true);
        assert_eq!(pace.rate, Some(1e11), "it may be slower than it was");
        pace.learn(10_000_000_000, 1.0, true);
        assert_eq!(pace.rate, Some(4e11), "not at once");
        pace.learn(1_000_000_000, 100.0, false);
        assert_eq!(pace.rate, Some(4e11), "it was idle meanwhile");
        pace.learn(1_000_000_000, 100.0, true);
        assert_eq!(pace.rate, Some(4e11), "too little to tell");
        pace.learn(80_000_000_000, 100.0, false);
        assert_eq!(pace.rate, Some(8e11), "it is at least as quick as that");
        pace.learn(80_000_000_000, 0.0, true);
        assert_eq!(pace.rate, Some(8e11), "a clock that stands still");
    }

    #[test]
    fn work_that_ended_before_it_was_waited_for_makes_no_device_slow() {
        let mut pace = Pace { rate: Some(1e12), clock: Some(|| 1000.0), ..Pace::default() };
        pace.finished(100_000_000_000, 995.0);
        assert_eq!(pace.rate, Some(1e12));
        pace.finished(400_000_000_000, 500.0);
        assert_eq!((pace.rate, pace.since, pace.done), (Some(5e11), 1000.0, 0));
    }
}
