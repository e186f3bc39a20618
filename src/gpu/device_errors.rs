//! Errors that a device has reported, and error scopes whose results are pending.
//!
//! A device reports an error to an error scope, as an uncaptured error, or by being lost. A native device reports
//! at once; a browser reports later. All errors are collected here.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::lock;
use crate::error::{Error, Result};

/// Errors reported so far, and pending error scopes.
#[derive(Default)]
pub(super) struct DeviceErrors {
    /// Shared with wgpu's callbacks, which run on other threads.
    state: Arc<Mutex<State>>,
    asked: Mutex<Vec<Asked>>,
}

/// A closed error scope, with the error to report if it caught something.
type Asked = (Error, Pin<Box<dyn Answer>>);

impl fmt::Debug for DeviceErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.state)
    }
}

#[derive(Debug, Default)]
struct State {
    first: Option<Error>,
    /// Tasks that wait for results which a lost device never delivers.
    waiting: Vec<Waker>,
}

/// The result of an error scope, as `Send` as wgpu's own types.
pub(super) trait Answer: Future<Output = Option<wgpu::Error>> + wgpu::WasmNotSend {}

impl<F: Future<Output = Option<wgpu::Error>> + wgpu::WasmNotSend> Answer for F {}

impl DeviceErrors {
    /// Records an error, unless a recorded one explains more.
    pub(super) fn remember(&self, error: Error) {
        lock(&self.state).remember(error);
    }

    /// Takes the first error since the last call, if there was one. A lost device stays lost.
    pub(super) fn take(&self) -> Result<()> {
        let mut state = lock(&self.state);
        let taken = if state.is_lost() { state.first.clone() } else { state.first.take() };
        taken.map_or(Ok(()), Err)
    }

    /// Like [`Self::take`], but leaves errors that may only be consequences of a loss.
    pub(super) fn take_grave(&self) -> Result<()> {
        if matches!(lock(&self.state).first, Some(Error::Gpu { .. })) { Ok(()) } else { self.take() }
    }

    /// The error of a lost device.
    pub(super) fn lost(&self) -> Option<Error> {
        let state = lock(&self.state);
        state.first.clone().filter(|_| state.is_lost())
    }

    pub(super) fn wake_when_lost(&self, waker: &Waker) {
        let mut state = lock(&self.state);
        if !state.waiting.iter().any(|known| known.will_wake(waker)) {
            state.waiting.push(waker.clone());
        }
    }

    /// Adds a closed scope. If it caught an error, `refusal` is reported with the device's message.
    pub(super) fn ask(&self, refusal: Error, answer: impl Answer + 'static) {
        lock(&self.asked).push((refusal, Box::pin(answer)));
    }

    /// Collects the results of scopes. Returns true if none is pending.
    pub(super) fn look(&self, context: &mut Context<'_>) -> bool {
        let mut asked = lock(&self.asked);
        asked.retain_mut(|(refusal, answer)| match answer.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(None) => false,
            Poll::Ready(Some(error)) => {
                self.remember(answered(refusal.clone(), error));
                false
            }
        });
        asked.is_empty()
    }
}

impl State {
    /// A lost device and exhausted memory explain all later errors; otherwise the first error is the relevant one.
    fn remember(&mut self, error: Error) {
        let lost = matches!(error, Error::DeviceLost { .. });
        let graver = matches!(error, Error::OutOfMemory { .. }) && matches!(self.first, Some(Error::Gpu { .. }));
        if self.first.is_none() || graver || (lost && !self.is_lost()) {
            self.first = Some(error);
        }
        if lost {
            self.waiting.drain(..).for_each(Waker::wake);
        }
    }

    fn is_lost(&self) -> bool {
        matches!(self.first, Some(Error::DeviceLost { .. }))
    }
}

/// Records everything that the device reports from now on.
pub(super) fn listen(device: &wgpu::Device) -> DeviceErrors {
    let errors = DeviceErrors::default();
    let heard = errors.state.clone();
    device.on_uncaptured_error(Arc::new(move |error| {
        lock(&heard).remember(answered(Error::Gpu { stage: "the device".into(), detail: String::new() }, error));
    }));
    let heard = errors.state.clone();
    device.set_device_lost_callback(move |reason, message| {
        let reason = format!("{reason:?} {message}").trim_end().to_lowercase();
        lock(&heard).remember(Error::DeviceLost { reason });
    });
    errors
}

/// Converts a wgpu error.
fn answered(refusal: Error, said: wgpu::Error) -> Error {
    let (detail, out_of_memory) = match said {
        wgpu::Error::OutOfMemory { source } => (source.to_string(), true),
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => (description, false),
    };
    match refusal {
        Error::OutOfMemory { what, purpose, bytes, in_use, .. } => {
            Error::OutOfMemory { what, purpose, bytes, in_use, detail }
        }
        _ if out_of_memory => {
            Error::OutOfMemory { what: String::new(), purpose: String::new(), bytes: 0, in_use: 0, detail }
        }
        Error::Gpu { stage, .. } => Error::Gpu { stage, detail },
        other => other,
    }
}
