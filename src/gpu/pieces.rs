//! Recordings in pieces. Drivers reset a device over submissions that take seconds, and a page draws no frames meanwhile: so work
//! is cut by the rate at which the device is seen to compute.

use super::device::Gpu;
use super::lock;
use super::pace::UnderWay;
use super::recording::Recording;
use crate::error::Result;

impl Gpu {
    /// Sets the platform's clock, by which the device's rate is found from now on, and the rate as far as it is known: units of
    /// 1e9 FLOP a second, or 0.
    pub fn set_pace(&self, clock: fn() -> f64, gflops: u32) {
        let mut pace = lock(&self.0.pace);
        pace.clock = Some(clock);
        if gflops > 0 {
            pace.rate = Some(f64::from(gflops) * 1e9);
        }
    }

    /// The rate at which it is known to compute products and attention of many rows, in units of 1e9 FLOP a second; 0 if it is not.
    pub fn gflops(&self) -> u32 {
        (lock(&self.0.pace).rate.unwrap_or(0.0) / 1e9).round() as u32
    }

    /// FLOP that a submission of many rows has at most: half of what the device does in 200 milliseconds, and half of that after each
    /// loss.
    pub fn most_flops(&self) -> u64 {
        let most = lock(&self.0.pace).most_flops();
        self.0.options.max_flops.map_or(most, |limit| most.min(limit))
    }

    /// An empty recording for this device, of launches that are no longer than a submission.
    pub fn recording(&self) -> Recording {
        Recording::on(self.kernel_config()).divided(Some(self.most_flops()))
    }

    /// Takes down that the device takes at most so many milliseconds for `flops`.
    pub(crate) fn learn(&self, flops: u64, ms: f64) {
        let mut pace = lock(&self.0.pace);
        let is_first = pace.rate.is_none();
        pace.learn(flops, ms, is_first);
    }

    /// Submits a recording in pieces of at most [`Self::most_flops`], of which two are under way at most. Returns before the device has run
    /// the last of them. `check` may end it before any piece.
    ///
    /// # Errors
    /// As [`Self::run`], [`crate::Error::DeviceLost`], or what `check` says.
    pub async fn run_in_pieces(
        &self,
        label: &str,
        mut recording: Recording,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        while let Some(piece) = recording.take_piece(self.most_flops()) {
            check()?;
            let flops = piece.flops();
            self.make_way(flops).await?;
            let index = self.submit_recording(label, &piece)?;
            let (sender, done) = futures_channel::oneshot::channel();
            self.when_done(move || {
                // Nobody waits for the last pieces one by one.
                let _ = sender.send(());
            });
            let number = self.0.ledger.submissions();
            lock(&self.0.pace).started(UnderWay { number, index, flops, done });
        }
        Ok(())
    }

    /// Waits until there are at most two pieces under way with one of `flops`.
    async fn make_way(&self, flops: u64) -> Result<()> {
        loop {
            let most = self.most_flops();
            let Some(oldest) = lock(&self.0.pace).in_the_way(flops, most) else { return Ok(()) };
            let asked = lock(&self.0.pace).now();
            let settling = self.0.ledger.settling_after(oldest.number);
            self.wait_for(Some(oldest.index))?;
            // An error is a device that gave up, which what comes next will tell.
            let _ = self.unless_lost(oldest.done).await?;
            drop(settling);
            lock(&self.0.pace).finished(oldest.flops, asked);
        }
    }
}
