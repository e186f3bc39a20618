//! What a device has complained about, and what it has still to answer.
//!
//! Devices complain in three ways: to whoever watches a piece of work (error scopes), to nobody in particular, and by being lost.
//! Natively all of it is known at once; a browser tells later. Either way it ends here, and the next [`Gpu::check`] or
//! [`Gpu::flush_errors`] returns it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use super::device::Gpu;
use super::ledger::Purpose;
use crate::error::{Error, Result};

/// What was said to nobody in particular.
#[derive(Debug, Default)]
pub(super) struct DeviceErrors(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    first: Option<Error>,
    /// Who waits for something a lost device would never give.
    waiting: Vec<Waker>,
}

impl DeviceErrors {
    /// A lost device explains everything that follows, and so does memory that ran out; otherwise the first complaint is the
    /// telling one.
    fn remember(&self, error: Error) {
        let mut state = lock(&self.0);
        let lost = matches!(error, Error::DeviceLost { .. });
        let graver = matches!(error, Error::OutOfMemory { .. }) && matches!(state.first, Some(Error::Gpu { .. }));
        if state.first.is_none() || graver || (lost && !state.is_lost()) {
            state.first = Some(error);
        }
        if lost {
            state.waiting.drain(..).for_each(Waker::wake);
        }
    }

    /// The first complaint since the last call, if there was any. A lost device stays lost.
    fn take(&self) -> Result<()> {
        let mut state = lock(&self.0);
        match &state.first {
            Some(lost @ Error::DeviceLost { .. }) => Err(lost.clone()),
            _ => state.first.take().map_or(Ok(()), Err),
        }
    }

    /// As [`Self::take`], but leaves what may only be a consequence.
    fn take_grave(&self) -> Result<()> {
        if matches!(lock(&self.0).first, Some(Error::Gpu { .. })) { Ok(()) } else { self.take() }
    }

    /// How the device was lost, if it was.
    fn lost(&self) -> Option<Error> {
        let state = lock(&self.0);
        if state.is_lost() { state.first.clone() } else { None }
    }

    fn wake_when_lost(&self, waker: &Waker) {
        let mut state = lock(&self.0);
        if !state.waiting.iter().any(|known| known.will_wake(waker)) {
            state.waiting.push(waker.clone());
        }
    }
}

impl State {
    fn is_lost(&self) -> bool {
        matches!(self.first, Some(Error::DeviceLost { .. }))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Has everything the device says remembered.
pub(super) fn listen(device: &wgpu::Device) -> Arc<DeviceErrors> {
    let device_errors: Arc<DeviceErrors> = Arc::default();
    let heard = device_errors.clone();
    device.on_uncaptured_error(Arc::new(move |error| {
        heard.remember(match error {
            wgpu::Error::OutOfMemory { source } => ScopeSubject::Unasked.answered(source.to_string(), true),
            error => ScopeSubject::Unasked.answered(description(error), false),
        });
    }));
    let heard = device_errors.clone();
    device.set_device_lost_callback(move |reason, message| {
        let reason = format!("{reason:?} {message}").trim_end().to_lowercase();
        heard.remember(Error::DeviceLost { reason });
    });
    device_errors
}

/// What a watched piece of work was.
#[derive(Debug, Clone)]
pub(super) enum ScopeSubject {
    /// Whether there is memory for a buffer.
    Memory { what: String, purpose: Purpose, bytes: u64, in_use: u64 },
    /// Whether the driver takes a shader.
    Kernel { name: String },
    /// Nobody watched.
    Unasked,
}

impl ScopeSubject {
    /// The crate's error for what the device says.
    fn answered(&self, detail: String, out_of_memory: bool) -> Error {
        match self {
            Self::Memory { what, purpose, bytes, in_use } => {
                let (what, purpose) = (what.clone(), purpose.name().into());
                Error::OutOfMemory { what, purpose, bytes: *bytes, in_use: *in_use, detail }
            }
            _ if out_of_memory => {
                Error::OutOfMemory { what: String::new(), purpose: String::new(), bytes: 0, in_use: 0, detail }
            }
            Self::Kernel { name } => Error::Gpu { stage: format!("compiling {name}"), detail },
            Self::Unasked => Error::Gpu { stage: "the device".into(), detail },
        }
    }
}

fn description(error: wgpu::Error) -> String {
    match error {
        wgpu::Error::OutOfMemory { source } => source.to_string(),
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => description,
    }
}

/// The answer of an error scope; between threads it may go where wgpu's own values may.
trait Answer: Future<Output = Option<wgpu::Error>> + wgpu::WasmNotSend {}

impl<F: Future<Output = Option<wgpu::Error>> + wgpu::WasmNotSend> Answer for F {}

/// The error scopes that have been closed and not answered.
#[derive(Default)]
pub(super) struct PendingScopes(Mutex<Vec<Asked>>);

type Asked = (ScopeSubject, Pin<Box<dyn Answer>>);

impl fmt::Debug for PendingScopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(lock(&self.0).iter().map(|(question, _)| question)).finish()
    }
}

impl PendingScopes {
    /// Remembers what has been answered with an error; whether nothing is left to answer.
    fn look(&self, device_errors: &DeviceErrors, context: &mut Context<'_>) -> bool {
        let mut asked = lock(&self.0);
        asked.retain_mut(|(question, answer)| match answer.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(None) => false,
            Poll::Ready(Some(error)) => {
                let out_of_memory = matches!(error, wgpu::Error::OutOfMemory { .. });
                device_errors.remember(question.answered(description(error), out_of_memory));
                false
            }
        });
        asked.is_empty()
    }
}

impl PendingScopes {
    /// Shaders of which it is not known yet whether the driver takes them. Each is asked of twice.
    fn shaders(&self) -> usize {
        lock(&self.0).iter().filter(|(question, _)| matches!(question, ScopeSubject::Kernel { .. })).count().div_ceil(2)
    }
}

impl Gpu {
    /// Does `work` in an error scope. What the scope catches becomes an error that tells what was being done.
    pub(super) fn watched<T>(&self, question: ScopeSubject, filter: wgpu::ErrorFilter, work: impl FnOnce() -> T) -> T {
        let scope = self.device().push_error_scope(filter);
        let made = work();
        lock(&self.pending_scopes().0).push((question, Box::pin(scope.pop())));
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
