//! Recordings submitted in pieces. A driver resets a device whose submission takes seconds, and a page draws no
//! frames meanwhile, so work is divided according to the device's measured rate.

use super::{MeasuredRate, UnderWay};
use crate::error::Result;
use crate::gpu::device::Gpu;
use crate::gpu::lock;
use crate::gpu::recording::Recording;

impl Gpu {
    /// Sets the clock used for measuring the rate, and the rate itself in units of 1e9 FLOP per second, or 0 if
    /// unknown.
    pub fn set_pace(&self, clock: fn() -> f64, gflops: u32) {
        let mut pace = lock(&self.0.pace);
        pace.clock = Some(clock);
        if gflops > 0 {
            pace.set_rate(f64::from(gflops) * 1e9);
        }
    }

    /// The measured rate of products and attention of many rows, in units of 1e9 FLOP per second; 0 if unknown.
    pub fn gflops(&self) -> u32 {
        self.measured_rate().gflops()
    }

    /// The same for other threads; it stays true when the device is measured again or replaced.
    pub fn measured_rate(&self) -> MeasuredRate {
        lock(&self.0.pace).measured_rate()
    }

    /// Most FLOP of a submission of many rows: half of the device's work in 200 milliseconds, and half of that
    /// after each loss.
    pub fn most_flops(&self) -> u64 {
        let most = lock(&self.0.pace).most_flops();
        self.0.options.max_flops.map_or(most, |limit| most.min(limit))
    }

    /// An empty recording for this device, whose launches each fit in one submission.
    pub fn recording(&self) -> Recording {
        Recording::on(self.kernel_config()).divided(Some(self.most_flops()))
    }

    /// Records that `flops` took at most `ms` milliseconds.
    pub(crate) fn learn(&self, flops: u64, ms: f64) {
        let mut pace = lock(&self.0.pace);
        let is_first = pace.rate().is_none();
        pace.learn(flops, ms, is_first);
    }

    /// Submits a recording in pieces of at most [`Self::most_flops`], with at most two pending. Returns before the
    /// last ones have run. `check` runs before each piece and may cancel the rest.
    ///
    /// # Errors
    /// The errors of [`Self::run`], [`crate::Error::DeviceLost`], or the error of `check`.
    pub async fn run_in_pieces(
        &self,
        label: &str,
        mut recording: Recording,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        while let Some(piece) = recording.take_piece(self.most_flops()) {
            check()?;
            let flops = piece.flops();
            if let Some(host) = self.host() {
                let began = lock(&self.0.pace).now();
                self.run(label, &piece)?;
                let ms = lock(&self.0.pace).now() - began;
                lock(&self.0.pace).learn(flops, ms, true);
                host.give_way().await;
                continue;
            }
            self.make_way(flops).await?;
            let index = self.submit_recording(label, &piece)?;
            let (sender, done) = futures_channel::oneshot::channel();
            self.webgpu()?.queue.on_submitted_work_done(move || {
                // The last pieces are not awaited one by one.
                let _ = sender.send(());
            });
            let number = self.0.ledger.submissions();
            lock(&self.0.pace).started(UnderWay { number, index, flops, done });
        }
        Ok(())
    }

    /// Waits until at most two pieces are pending, including one of `flops`.
    async fn make_way(&self, flops: u64) -> Result<()> {
        loop {
            let most = self.most_flops();
            let Some(oldest) = lock(&self.0.pace).in_the_way(flops, most) else { return Ok(()) };
            let asked = lock(&self.0.pace).now();
            let settling = self.0.ledger.settling_after(oldest.number);
            self.wait_for(Some(oldest.index))?;
            // An error means that the device gave up, which the next operation reports.
            let _ = self.unless_lost(oldest.done).await?;
            drop(settling);
            lock(&self.0.pace).finished(oldest.flops, asked);
        }
    }
}
