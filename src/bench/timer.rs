//! Timing of recordings.

use crate::engine::Clock;
use crate::error::Result;
use crate::gpu::{Allocator, Gpu, Prepared, Purpose, Recording};

/// Least measured time in milliseconds.
const ENOUGH_MS: f64 = 30.0;
/// Least number of round trips to the device in a measurement. Firefox polls a device every 100 ms.
const ENOUGH_WAYS: f64 = 6.0;
/// Largest number of repetitions.
const MOST_RUNS: f64 = 4096.0;
/// Round trip from which the two sides of a submission cannot be told apart.
const COARSE_MS: f64 = 50.0;
/// Most repetitions within one submission.
const MOST_REPEATED: f64 = 32.0;

/// Milliseconds of a recording on both sides of its submission.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sides {
    /// Encoding and submitting it, on the processor.
    pub submit_ms: f64,
    /// Running it, on the device.
    pub device_ms: f64,
}

/// Times recordings on a device.
pub(super) struct Timer {
    pub(super) gpu: Gpu,
    clock: Clock,
    /// Time after which nothing is repeated.
    patience_ms: f64,
    enough_ms: f64,
    /// The end of work is noticed too late to time a submission.
    is_coarse: bool,
}

impl Timer {
    /// Measures the round trip to the device. After `patience_ms` nothing is repeated.
    pub(super) async fn new(gpu: Gpu, clock: Clock, patience_ms: f64) -> Result<Self> {
        let [from, to] = [(); 2].map(|()| gpu.alloc("bench", Purpose::Activations, 4));
        let mut copy = Recording::new();
        copy.copy(from?.all(), to?.all());
        let little = [gpu.prepare("bench", &copy)?];
        let mut timer = Self { gpu, clock, patience_ms, enough_ms: ENOUGH_MS, is_coarse: false };
        timer.run(&little, 1).await?;
        let way_ms = f64::min(timer.run(&little, 1).await?, timer.run(&little, 1).await?);
        timer.enough_ms = f64::max(ENOUGH_MS, ENOUGH_WAYS * way_ms);
        timer.is_coarse = way_ms >= COARSE_MS;
        Ok(timer)
    }

    /// Milliseconds of `recording`, which is prepared before and repeated until the measurement is precise.
    pub(super) async fn time(&self, recording: &Recording) -> Result<f64> {
        self.gpu.compile(recording.dispatches().map(|dispatch| &dispatch.kernel), &mut |_, _| ()).await?;
        let (mut rest, mut pieces) = (recording.clone(), Vec::new());
        while let Some(piece) = rest.take_piece(self.gpu.most_flops()) {
            pieces.push(self.gpu.prepare("bench", &piece)?);
        }
        let mut ms = self.run(&pieces, 1).await?;
        let mut spent = ms;
        let mut runs = 1.0;
        // The first run fills caches and includes work that drivers defer.
        while spent < self.patience_ms {
            ms = self.run(&pieces, runs as usize).await?;
            // Some clocks do not advance.
            if ms >= self.enough_ms || runs >= MOST_RUNS || ms <= 0.0 {
                break;
            }
            spent += ms;
            runs = (runs * (1.25 * self.enough_ms / ms.max(0.1)).clamp(2.0, 16.0)).ceil().min(MOST_RUNS);
        }
        Ok(ms / runs)
    }

    /// Milliseconds that the processor and then the device take for `recording`. It is repeated within one submission, so that the device begins
    /// when the processor has ended. In browsers the time of the device includes that of their GPU process. `None` on a processor, and where the
    /// end of work is noticed late.
    pub(super) async fn sides(&self, recording: &Recording) -> Result<Option<Sides>> {
        if self.gpu.runs_at_once() || self.is_coarse {
            return Ok(None);
        }
        self.gpu.compile(recording.dispatches().map(|dispatch| &dispatch.kernel), &mut |_, _| ()).await?;
        let prepared = self.gpu.prepare("bench", recording)?;
        let mut sides = Sides::default();
        // The first run includes work that drivers defer.
        let mut runs = 1;
        for _ in 0..2 {
            self.gpu.wait_idle().await?;
            let started = (self.clock)();
            self.gpu.submit(&vec![&prepared; runs], None)?;
            let submitted = (self.clock)();
            self.gpu.wait_idle().await?;
            let ended = (self.clock)();
            let of_one = |ms: f64| ms / runs as f64;
            sides = Sides { submit_ms: of_one(submitted - started), device_ms: of_one(ended - submitted) };
            runs = (ENOUGH_MS / (ended - started).max(0.1)).clamp(1.0, MOST_REPEATED) as usize;
        }
        Ok(Some(sides))
    }

    /// Milliseconds of `runs` runs. For long work one piece is pending at a time, for short work at most what is timed.
    async fn run(&self, pieces: &[Prepared], runs: usize) -> Result<f64> {
        let started = (self.clock)();
        for _ in 0..runs {
            for piece in pieces {
                self.gpu.submit(&[piece], None)?;
                if pieces.len() > 1 {
                    self.gpu.wait_idle().await?;
                }
            }
        }
        self.gpu.wait_idle().await?;
        Ok((self.clock)() - started)
    }
}
