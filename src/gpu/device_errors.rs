//! What a device has reported, and the error scopes whose results are still to come.
//!
//! Devices report errors in three ways: to an error scope, to nobody in particular, and by being lost. Natively all of it is known at
//! once; a browser tells later. Either way it ends here.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

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
    pub(super) fn remember(&self, error: Error) {
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
    pub(super) fn take(&self) -> Result<()> {
        let mut state = lock(&self.0);
        match &state.first {
            Some(lost @ Error::DeviceLost { .. }) => Err(lost.clone()),
            _ => state.first.take().map_or(Ok(()), Err),
        }
    }

    /// As [`Self::take`], but leaves what may only be a consequence.
    pub(super) fn take_grave(&self) -> Result<()> {
        if matches!(lock(&self.0).first, Some(Error::Gpu { .. })) { Ok(()) } else { self.take() }
    }

    /// How the device was lost, if it was.
    pub(super) fn lost(&self) -> Option<Error> {
        let state = lock(&self.0);
        if state.is_lost() { state.first.clone() } else { None }
    }

    pub(super) fn wake_when_lost(&self, waker: &Waker) {
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
    /// Adds a scope that has been closed.
    pub(super) fn add(
        &self,
        subject: ScopeSubject,
        result: impl Future<Output = Option<wgpu::Error>> + wgpu::WasmNotSend + 'static,
    ) {
        lock(&self.0).push((subject, Box::pin(result)));
    }

    /// Remembers what has been answered with an error; whether nothing is left to answer.
    pub(super) fn look(&self, device_errors: &DeviceErrors, context: &mut Context<'_>) -> bool {
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
    pub(super) fn shaders(&self) -> usize {
        lock(&self.0).iter().filter(|(question, _)| matches!(question, ScopeSubject::Kernel { .. })).count().div_ceil(2)
    }
}
