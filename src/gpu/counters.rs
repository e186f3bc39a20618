//! Counts what a device is asked to do: what a token costs beyond the kernels themselves.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often a device was asked to do what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Kernel launches.
    pub dispatches: u64,
    /// Submissions to the queue.
    pub submits: u64,
    /// Writes to buffers.
    pub writes: u64,
    /// Buffers made.
    pub buffers: u64,
    /// Bind groups made.
    pub bind_groups: u64,
    /// Pipelines compiled.
    pub pipelines: u64,
    /// Bytes that came back.
    pub bytes_read: u64,
}

impl std::ops::Sub for Counters {
    type Output = Self;

    /// What was done since `earlier`.
    fn sub(self, earlier: Self) -> Self {
        Self {
            dispatches: self.dispatches - earlier.dispatches,
            submits: self.submits - earlier.submits,
            writes: self.writes - earlier.writes,
            buffers: self.buffers - earlier.buffers,
            bind_groups: self.bind_groups - earlier.bind_groups,
            pipelines: self.pipelines - earlier.pipelines,
            bytes_read: self.bytes_read - earlier.bytes_read,
        }
    }
}

/// The running counts of one device.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) dispatches: AtomicU64,
    pub(super) submits: AtomicU64,
    pub(super) writes: AtomicU64,
    pub(super) buffers: AtomicU64,
    pub(super) bind_groups: AtomicU64,
    pub(super) pipelines: AtomicU64,
    pub(super) bytes_read: AtomicU64,
}

/// Adds to a count.
pub(super) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Tally {
    pub(super) fn read(&self) -> Counters {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            dispatches: of(&self.dispatches),
            submits: of(&self.submits),
            writes: of(&self.writes),
            buffers: of(&self.buffers),
            bind_groups: of(&self.bind_groups),
            pipelines: of(&self.pipelines),
            bytes_read: of(&self.bytes_read),
        }
    }
}
