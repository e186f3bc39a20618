//! Waiting for a device, and asking it what went wrong.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::device::Gpu;
use super::device_errors::ScopeSubject;
use crate::error::{Error, Result};

impl Gpu {
    /// Does `work` in an error scope. What the scope catches becomes an error that tells what was being done.
    pub(super) fn watched<T>(&self, question: ScopeSubject, filter: wgpu::ErrorFilter, work: impl FnOnce() -> T) -> T {
        let scope = self.device().push_error_scope(filter);
        let made = work();
        self.pending_scopes().add(question, scope.pop());
        // What follows from a refusal is complained about as well, but after it.
        self.look();
        made
    }

    fn look(&self) {
        self.pending_scopes().look(self.device_errors(), &mut Context::from_waker(Waker::noop()));
    }

    /// Whether memory has run out or the device is lost, as far as is known by now. What else there is to complain about waits for
    /// [`Gpu::flush_errors`]: it may only be that the device is about to be lost.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] or [`Error::DeviceLost`].
    pub fn check(&self) -> Result<()> {
        self.poll(wgpu::PollType::Poll)?;
        self.look();
        self.device_errors().take_grave()
    }

    /// Waits until the device has said of everything so far whether it can be done: allocations, shaders.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`] or [`Error::Gpu`].
    pub async fn flush_errors(&self) -> Result<()> {
        let device_errors = self.device_errors();
        self.unless_lost(poll_fn(|context| {
            if self.pending_scopes().look(device_errors, context) { Poll::Ready(()) } else { Poll::Pending }
        }))
        .await?;
        self.check()?;
        let complaint = device_errors.take();
        if complaint.is_err() && !self.responds().await {
            // Firefox complains of what a lost device cannot do before it says that the device is lost.
            let reason = complaint.as_ref().map_or_else(Error::to_string, |()| String::new());
            device_errors.remember(Error::DeviceLost { reason });
            return device_errors.take();
        }
        complaint
    }

    /// As [`Gpu::flush_errors`]; `on_shaders` is told how many shaders are still being compiled, whenever there are fewer.
    ///
    /// # Errors
    /// As [`Gpu::flush_errors`].
    pub(super) async fn flush_shader_errors(&self, on_shaders: &mut dyn FnMut(usize)) -> Result<()> {
        let mut left = usize::MAX;
        self.unless_lost(poll_fn(|context| {
            let is_last = self.pending_scopes().look(self.device_errors(), context);
            let now = self.pending_scopes().shaders();
            if now < left {
                left = now;
                on_shaders(left);
            }
            if is_last { Poll::Ready(()) } else { Poll::Pending }
        }))
        .await?;
        self.flush_errors().await
    }

    /// Shaders that are still being compiled.
    pub(super) fn shaders_left(&self) -> usize {
        self.pending_scopes().shaders()
    }

    /// Whether the device still maps a buffer: a lost one maps none, whatever else it has to say.
    async fn responds(&self) -> bool {
        let buffer = self.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("probe"),
            size: 4,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mapped = self.map(&buffer, None).await;
        buffer.destroy();
        matches!(mapped, Ok(true))
    }

    /// Maps a buffer for reading when `submission`, or else all that was submitted before, has run. Whether it could be mapped.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub(super) async fn map(&self, buffer: &wgpu::Buffer, submission: Option<wgpu::SubmissionIndex>) -> Result<bool> {
        let (sender, receiver) = futures_channel::oneshot::channel();
        buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            // The receiver is gone only if the caller dropped the whole read.
            let _ = sender.send(result);
        });
        // Natively this waits; in a browser it does nothing and the event loop resolves the map below.
        let wait = wgpu::PollType::Wait { submission_index: submission, timeout: None };
        if self.poll(wait).is_err() {
            // A lost device knows no submissions.
            self.poll(wgpu::PollType::wait_indefinitely())?;
        }
        let mapped = self.unless_lost(receiver).await?;
        Ok(matches!(mapped, Ok(Ok(()))))
    }

    /// Waits for `work`, but not for what a lost device will never do.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub(super) async fn unless_lost<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let mut work = pin!(work);
        let device_errors = self.device_errors();
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Ok(done));
            }
            device_errors.wake_when_lost(context.waker());
            match device_errors.lost() {
                Some(lost) => Poll::Ready(Err(lost)),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Natively runs the callbacks that are due; in a browser the event loop does.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`].
    pub(super) fn poll(&self, how: wgpu::PollType) -> Result<()> {
        // wgpu 30 panics where the driver loses the device while it is waited for (`handle_error_fatal` in `Device::poll`).
        match catch_unwind(AssertUnwindSafe(|| self.device().poll(how))) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Error::Gpu { stage: "waiting".into(), detail: error.to_string() }),
            Err(_) => {
                self.device_errors()
                    .remember(Error::DeviceLost { reason: "the driver gave up while it was waited for".into() });
                self.device_errors().take()
            }
        }
    }
}
