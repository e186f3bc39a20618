//! Faults on order: what drivers do rarely and at a time of their own, tests have done at a step of their choice.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Faults to come, for one device and all those that replace it. Clones share them; none are ordered at first.
#[derive(Debug, Clone, Default)]
pub struct Injection(Arc<Orders>);

#[derive(Debug, Default)]
struct Orders {
    submissions: AtomicU64,
    writes: AtomicU64,
    refusals: AtomicU64,
    lose_at_submission: Mutex<BTreeSet<u64>>,
    lose_at_write: Mutex<BTreeSet<u64>>,
    corrupted: Mutex<Vec<(String, String, String)>>,
}

impl Injection {
    /// Submissions so far, on all devices together.
    pub fn submissions(&self) -> u64 {
        self.0.submissions.load(Ordering::Relaxed)
    }

    /// Writes to buffers so far, on all devices together.
    pub fn writes(&self) -> u64 {
        self.0.writes.load(Ordering::Relaxed)
    }

    /// Destroys the device just before submission number `index`, counted as [`Self::submissions`] counts.
    pub fn lose_at_submission(&self, index: u64) {
        lock(&self.0.lose_at_submission).insert(index);
    }

    /// Destroys the device just before write number `index`, counted as [`Self::writes`] counts.
    pub fn lose_at_write(&self, index: u64) {
        lock(&self.0.lose_at_write).insert(index);
    }

    /// Forgets the losses that have not happened.
    pub fn lose_no_more(&self) {
        lock(&self.0.lose_at_submission).clear();
        lock(&self.0.lose_at_write).clear();
    }

    /// Has the next `times` attempts to open a device fail.
    pub fn refuse_to_open(&self, times: u64) {
        self.0.refusals.store(times, Ordering::Relaxed);
    }

    /// From now on, kernels whose name starts with `kernel` are compiled with `to` in place of `from`. Devices that have compiled
    /// them already keep what they have.
    pub fn corrupt(&self, kernel: &str, from: &str, to: &str) {
        lock(&self.0.corrupted).push((kernel.into(), from.into(), to.into()));
    }

    /// Whether the device is to be lost before the submission that comes now.
    pub(super) fn submit(&self) -> bool {
        lock(&self.0.lose_at_submission).remove(&self.0.submissions.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether the device is to be lost before the write that comes now.
    pub(super) fn write(&self) -> bool {
        lock(&self.0.lose_at_write).remove(&self.0.writes.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether this attempt to open a device is to fail.
    pub(super) fn refuses(&self) -> bool {
        self.0.refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    /// The shader as it is to be compiled.
    pub(super) fn source(&self, kernel: &str, source: String) -> String {
        let corrupted = lock(&self.0.corrupted);
        let matching = corrupted.iter().filter(|(name, ..)| kernel.starts_with(name.as_str()));
        matching.fold(source, |source, (_, from, to)| source.replace(from, to))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
