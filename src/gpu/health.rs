//! Waiting for a device and collecting its errors.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::device::Gpu;
use crate::error::{Error, Result};

/// Time after which a device that is waited for counts as lost. A submission is meant to take a fifth of a second.
const HANG: Duration = Duration::from_secs(300);

impl Gpu {
    /// Runs `work` in an error scope. An error in the scope becomes `refusal` with the device's message.
    pub(super) fn watched<T>(
        &self,
        device: &wgpu::Device,
        refusal: Error,
        filter: wgpu::ErrorFilter,
        work: impl FnOnce() -> T,
    ) -> T {
        let scope = device.push_error_scope(filter);
        let made = work();
        self.0.errors.ask(refusal, scope.pop());
        // Consequences of a refusal are reported as well, but after it.
        self.look();
        made
    }

    fn look(&self) {
        self.0.errors.look(&mut Context::from_waker(Waker::noop()));
    }

    /// Fails if memory is known to have run out or the device is known to be lost. Other errors wait for
    /// [`Gpu::flush_errors`], because they may be first signs of a loss.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] or [`Error::DeviceLost`].
    pub fn check(&self) -> Result<()> {
        self.poll(wgpu::PollType::Poll)?;
        self.look();
        self.0.errors.take_grave()
    }

    /// Waits until the device has reported the success of all allocations and shaders so far.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`] or [`Error::Gpu`].
    pub async fn flush_errors(&self) -> Result<()> {
        let errors = &self.0.errors;
        self.unless_lost(poll_fn(|context| if errors.look(context) { Poll::Ready(()) } else { Poll::Pending })).await?;
        self.check()?;
        let complaint = errors.take();
        if complaint.is_err() && !self.responds().await {
            // Firefox reports failed operations of a lost device before it reports the loss.
            let reason = complaint.as_ref().map_or_else(Error::to_string, |()| String::new());
            errors.remember(Error::DeviceLost { reason });
            return errors.take();
        }
        complaint
    }

    /// Returns true if the device can still map a buffer, which a lost one cannot.
    async fn responds(&self) -> bool {
        let Ok(webgpu) = self.webgpu() else { return true };
        let buffer = webgpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("probe"),
            size: 4,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mapped = self.map(&buffer, None).await;
        buffer.destroy();
        matches!(mapped, Ok(true))
    }

    /// Maps a buffer for reading after `submission`, or after everything submitted. Returns false if that failed.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub(super) async fn map(&self, buffer: &wgpu::Buffer, submission: Option<wgpu::SubmissionIndex>) -> Result<bool> {
        let (sender, receiver) = futures_channel::oneshot::channel();
        buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            // The receiver is gone only if the caller dropped the read.
            let _ = sender.send(result);
        });
        self.wait_for(submission)?;
        let mapped = self.unless_lost(receiver).await?;
        Ok(matches!(mapped, Ok(Ok(()))))
    }

    /// On native platforms waits until `submission`, or else everything submitted, has run. Does nothing in a
    /// browser, where the event loop runs callbacks.
    ///
    /// # Errors
    /// See [`Self::poll`].
    pub(super) fn wait_for(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        wait_by(submission, |how| self.poll(how))
    }

    /// Waits for `work` or until the device is lost.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub(super) async fn unless_lost<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let mut work = pin!(work);
        let errors = &self.0.errors;
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Ok(done));
            }
            errors.wake_when_lost(context.waker());
            match errors.lost() {
                Some(lost) => Poll::Ready(Err(lost)),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// On native platforms runs due callbacks. Does nothing in a browser, where the event loop runs them.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`].
    pub(super) fn poll(&self, how: wgpu::PollType) -> Result<()> {
        let Ok(webgpu) = self.webgpu() else { return Ok(()) };
        // wgpu 30 panics if the device is lost during the wait (`handle_error_fatal` in `Device::poll`).
        let polled = catch_unwind(AssertUnwindSafe(|| webgpu.device.poll(how)));
        outcome(polled).or_else(|error| {
            if !matches!(error, Error::DeviceLost { .. }) {
                return Err(error);
            }
            self.0.errors.remember(error);
            self.0.errors.take()
        })
    }
}

/// Waits by `poll` until `submission`, or else everything submitted, has run.
fn wait_by<T>(submission: Option<T>, mut poll: impl FnMut(wgpu::wgt::PollType<T>) -> Result<()>) -> Result<()> {
    let wait = |submission_index| wgpu::wgt::PollType::Wait { submission_index, timeout: Some(HANG) };
    match poll(wait(submission)) {
        // A lost device rejects the submission index.
        Err(Error::Gpu { .. }) => poll(wait(None)),
        waited => waited,
    }
}

/// The result of a wait that ended, timed out or, as an outer error, panicked.
fn outcome<T>(polled: std::thread::Result<std::result::Result<T, wgpu::PollError>>) -> Result<()> {
    match polled {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(wgpu::PollError::Timeout)) => {
            let reason = format!("the GPU has not finished its work within {} s", HANG.as_secs());
            Err(Error::DeviceLost { reason })
        }
        Ok(Err(error)) => Err(Error::Gpu { stage: "waiting".into(), detail: error.to_string() }),
        Err(_) => Err(Error::DeviceLost { reason: "the driver gave up while it was waited for".into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_hangs_or_panics_is_lost() {
        let of = |polled| outcome::<()>(polled).map_err(|error| error.code());
        assert_eq!(of(Ok(Ok(()))), Ok(()));
        assert_eq!(of(Ok(Err(wgpu::PollError::Timeout))), Err("device-lost"));
        assert_eq!(of(Err(Box::new("fatal"))), Err("device-lost"));
        assert_eq!(of(Ok(Err(wgpu::PollError::WrongSubmissionIndex(2, 1)))), Err("gpu"));
    }

    #[test]
    fn a_refused_submission_index_is_waited_for_with_all_others_and_only_once() {
        let wait = |first: &dyn Fn() -> Error| {
            let mut waits = Vec::new();
            let waited = wait_by(Some(7), |how| {
                let wgpu::wgt::PollType::Wait { submission_index, timeout } = how else { return Ok(()) };
                assert_eq!(timeout, Some(HANG));
                waits.push(submission_index);
                Err(first())
            });
            (waited.map_err(|error| error.code()), waits)
        };
        let refused = || Error::Gpu { stage: "waiting".into(), detail: String::new() };
        assert_eq!(wait(&refused), (Err("gpu"), vec![Some(7), None]));
        let lost = || Error::DeviceLost { reason: String::new() };
        assert_eq!(wait(&lost), (Err("device-lost"), vec![Some(7)]));
    }
}
