//! Progress notifications of one call.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext};

/// Time between two notifications about the same picture.
const EVERY: Duration = Duration::from_millis(200);

/// Progress of a call, for clients that asked for it with a token.
pub(super) struct Progress {
    peer: Peer<RoleServer>,
    token: Option<ProgressToken>,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    time: Option<Instant>,
    steps: u32,
}

impl Progress {
    pub(super) fn new(context: &RequestContext<RoleServer>) -> Self {
        Self { peer: context.peer.clone(), token: context.meta.get_progress_token(), last: Mutex::default() }
    }

    /// Reports a step of a call whose number of steps is unknown. Steps that follow one another quickly are counted only.
    pub(super) async fn step(&self, message: String) {
        let steps = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.steps += 1;
            if last.time.is_some_and(|time| time.elapsed() < EVERY) {
                return;
            }
            last.time = Some(Instant::now());
            last.steps
        };
        self.send(|progress| progress.with_message(message), f64::from(steps)).await;
    }

    /// Reports that `done` of `total` parts are done.
    pub(super) async fn part(&self, done: usize, total: usize, message: String) {
        self.send(|progress| progress.with_total(total as f64).with_message(message), done as f64).await;
    }

    async fn send(&self, complete: impl FnOnce(ProgressNotificationParam) -> ProgressNotificationParam, progress: f64) {
        let Some(token) = &self.token else { return };
        // A client that is gone is noticed when the result is sent.
        let _ = self.peer.notify_progress(complete(ProgressNotificationParam::new(token.clone(), progress))).await;
    }
}
