//! What a device has reported, and the error scopes whose results are still to come.
//!
//! Devices report errors in three ways: to an error scope, to nobody in particular, and by being lost. Natively all of it is known at
//! once; a browser tells later. Either way it ends here.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::lock;
use crate::error::{Error, Result};

/// What was said, and what is still to be answered.
#[derive(Default)]
pub(super) struct DeviceErrors {
    /// Shared with what wgpu calls, on threads of its own.
    state: Arc<Mutex<State>>,
    asked: Mutex<Vec<Asked>>,
}

/// An error scope that has been closed, with the error for what it may have caught.
type Asked = (Error, Pin<Box<dyn Answer>>);

impl fmt::Debug for DeviceErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.state)
    }
}

#[derive(Debug, Default)]
struct State {
    first: Option<Error>,
    /// Who waits for something a lost device would never give.
    waiting: Vec<Waker>,
}

/// The answer of an error scope; between threads it may go where wgpu's own values may.
pub(super) trait Answer: Future<Output = Option<wgpu::Error>> + wgpu::WasmNotSend {}

impl<F: Future<Output = Option<wgpu::Error>> + wgpu::WasmNotSend> Answer for F {}

impl DeviceErrors {
    /// As the first complaint, unless there was one that explains more.
    pub(super) fn remember(&self, error: Error) {
        lock(&self.state).remember(error);
    }

    /// The first complaint since the last call, if there was any. A lost device stays lost.
    pub(super) fn take(&self) -> Result<()> {
        let mut state = lock(&self.state);
        let taken = if state.is_lost() { state.first.clone() } else { state.first.take() };
        taken.map_or(Ok(()), Err)
    }

    /// As [`Self::take`], but leaves what may only be a consequence.
    pub(super) fn take_grave(&self) -> Result<()> {
        if matches!(lock(&self.state).first, Some(Error::Gpu { .. })) { Ok(()) } else { self.take() }
    }

    /// How the device was lost, if it was.
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

    /// Adds a scope that has been closed; `refusal` is the error if it caught something, but for what the device says of it.
    pub(super) fn ask(&self, refusal: Error, answer: impl Answer + 'static) {
        lock(&self.asked).push((refusal, Box::pin(answer)));
    }

    /// Remembers what has been answered with an error; whether nothing is left to answer.
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
    /// A lost device explains everything that follows, and so does memory that ran out; otherwise the first complaint is the
    /// telling one.
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

/// Has everything the device says remembered.
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

/// The crate's error for what the device says.
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
