//! Requests that ran out of memory beside others, to be answered alone.

use std::collections::VecDeque;

use ocelli::{Error, Result};

use super::BatchRequest;

#[derive(Debug, Default)]
pub(crate) struct Retries(VecDeque<BatchRequest>);

impl Retries {
    /// Keeps a request that ran out of memory, unless it was alone. Returns true if it is kept: then it has no outcome yet.
    pub(crate) fn keep(&mut self, request: &BatchRequest, is_alone: bool, outcome: &Result<String>) -> bool {
        let is_kept = !is_alone && matches!(outcome, Err(Error::OutOfMemory { .. }));
        self.0.extend(is_kept.then(|| request.clone()));
        is_kept
    }

    /// The next request to answer, once no other one is being answered.
    pub(crate) fn next(&mut self) -> Option<BatchRequest> {
        self.0.pop_front()
    }

    /// Returns true if no request waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Answered;

    #[test]
    fn a_request_that_runs_out_of_memory_is_retried_alone_once_and_then_fails_alone() {
        let (mut retries, empty) = (Retries::default(), String::new);
        let request = BatchRequest { custom_id: "a".into(), url: "/v1/completions".into(), body: "{}".into() };
        let full = || Error::OutOfMemory { what: empty(), purpose: empty(), bytes: 1, in_use: 1, detail: empty() };
        let lost = || Error::DeviceLost { reason: empty() };
        for other in [Ok(empty()), Err(lost()), Err(Error::Aborted)] {
            assert!(!retries.keep(&request, false, &other));
        }
        assert!(retries.keep(&request, false, &Err(full())));
        assert_eq!(retries.next().as_ref(), Some(&request));
        assert!(!retries.keep(&request, true, &Err(full())) && retries.is_empty());
        let failed = Answered::new("a", "1", Err(full())).expect("an answer");
        assert!(!failed.is_right() && failed.response.is_some_and(|response| response.status_code == 503));
        assert_eq!(Answered::new("a", "1", Err(lost())).err(), Some(lost()), "other requests would fail too");
    }
}
