//! The models that are loaded: a bounded number at the same time. The least recently used one makes room for another.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A model, loaded or not.
pub(crate) trait Occupant: Send + Sync {
    /// Time of the last request.
    fn used(&self) -> Instant;

    /// Unloads the model once its open requests have ended. It takes new ones for the rest of its turn.
    fn leave(&self);
}

/// Places of loaded models.
pub(crate) struct Residents {
    /// Number of places.
    most: usize,
    models: Vec<Box<dyn Occupant>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Models with a place.
    loaded: Vec<Loaded>,
    /// Models that wait for a place, in order of arrival.
    waiting: VecDeque<usize>,
    is_stopped: bool,
}

struct Loaded {
    model: usize,
    /// True after it was asked to leave.
    is_leaving: bool,
}

/// The place of a loaded model, given back with this value.
pub(crate) struct Resident<'a> {
    residents: &'a Residents,
    model: usize,
}

impl Residents {
    pub(crate) fn new(most: usize, models: Vec<Box<dyn Occupant>>) -> Self {
        Self { most, models, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits for a place, for which the least recently used model is asked to leave. `None` after [`Self::stop`].
    pub(crate) fn enter(&self, model: usize) -> Option<Resident<'_>> {
        let mut state = self.state();
        state.waiting.push_back(model);
        while !state.is_stopped {
            if state.waiting.front() == Some(&model) {
                if state.loaded.len() < self.most {
                    state.waiting.pop_front();
                    state.loaded.push(Loaded { model, is_leaving: false });
                    self.changed.notify_all();
                    return Some(Resident { residents: self, model });
                }
                self.ask(&mut state);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    /// Asks the least recently used model to leave, unless one has been asked already.
    fn ask(&self, state: &mut State) {
        if state.loaded.iter().any(|loaded| loaded.is_leaving) {
            return;
        }
        if let Some(least) = state.loaded.iter_mut().min_by_key(|loaded| self.models[loaded.model].used()) {
            least.is_leaving = true;
            self.models[least.model].leave();
        }
    }

    /// Ends all waits.
    pub(crate) fn stop(&self) {
        self.state().is_stopped = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Resident<'_> {
    fn drop(&mut self) {
        let Self { residents, model } = self;
        residents.state().loaded.retain(|loaded| loaded.model != *model);
        residents.changed.notify_all();
    }
}
