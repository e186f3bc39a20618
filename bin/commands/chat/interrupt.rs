//! Ctrl-C: the first one ends an answer, one between answers the command.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ocelli::engine::RequestControl;
use ocelli::{Error, Result};

/// Exit code of a process that ends by this signal.
const EXIT: i32 = 130;

/// The answer that a signal ends.
#[derive(Clone, Default)]
pub(super) struct Interrupts(Arc<Mutex<Option<RequestControl>>>);

impl Interrupts {
    /// Begins to receive signals, on a thread of its own.
    ///
    /// # Errors
    /// `io`.
    pub(super) fn watch() -> Result<Self> {
        let failed = |error: std::io::Error| Error::io("signals", &error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let interrupts = Self::default();
        let watched = interrupts.clone();
        std::thread::spawn(move || {
            runtime.block_on(async {
                while tokio::signal::ctrl_c().await.is_ok() {
                    match watched.active().as_ref().filter(|control| !control.is_cancelled()) {
                        Some(control) => control.cancel(),
                        None => std::process::exit(EXIT),
                    }
                }
            });
        });
        Ok(interrupts)
    }

    fn active(&self) -> MutexGuard<'_, Option<RequestControl>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an answer.
    pub(super) fn begin(&self) -> RequestControl {
        let control = RequestControl::new();
        *self.active() = Some(control.clone());
        control
    }

    /// Ends the answer.
    pub(super) fn end(&self) {
        *self.active() = None;
    }
}
