//! Fault injection: faults that drivers produce rarely and unpredictably, at a chosen step.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use ocelli::gpu::{Faults, Gpu, GpuOptions};

/// Scheduled faults of one device and all those that replace it. Clones share them; initially there are none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Injection(Arc<Orders>);

#[derive(Debug, Default)]
struct Orders {
    submissions: AtomicU64,
    writes: AtomicU64,
    refusals: AtomicU64,
    lose_at_submission: Mutex<BTreeSet<u64>>,
    lose_at_write: Mutex<BTreeSet<u64>>,
    left_out: Mutex<BTreeSet<u64>>,
    corrupted: Mutex<Vec<(String, String, String)>>,
    sources: Mutex<Vec<String>>,
}

impl Injection {
    /// Submissions so far, on all devices together.
    pub(crate) fn submissions(&self) -> u64 {
        self.0.submissions.load(Ordering::Relaxed)
    }

    /// Writes to buffers so far, on all devices together.
    pub(crate) fn writes(&self) -> u64 {
        self.0.writes.load(Ordering::Relaxed)
    }

    /// Destroys the device just before submission number `index`, counted as [`Self::submissions`] counts.
    pub(crate) fn lose_at_submission(&self, index: u64) {
        lock(&self.0.lose_at_submission).insert(index);
    }

    /// Destroys the device and the two that replace it, each in the self-test after it has been opened, which reads its results after several
    /// submissions.
    pub(crate) fn lose_thrice(&self) {
        let now = self.submissions();
        [3, 13, 23].into_iter().for_each(|step| self.lose_at_submission(now + step));
    }

    /// Makes the launches of submission number `index` do nothing, counted as [`Self::submissions`] counts.
    pub(crate) fn leave_out_at_submission(&self, index: u64) {
        lock(&self.0.left_out).insert(index);
    }

    /// Destroys the device just before write number `index`, counted as [`Self::writes`] counts.
    pub(crate) fn lose_at_write(&self, index: u64) {
        lock(&self.0.lose_at_write).insert(index);
    }

    /// Makes the next `times` attempts to open a device fail.
    pub(crate) fn refuse_to_open(&self, times: u64) {
        self.0.refusals.store(times, Ordering::Relaxed);
    }

    /// From now on, kernels whose name starts with `kernel` are compiled with `to` instead of `from`. Kernels that a device has compiled
    /// already do not change.
    pub(crate) fn corrupt(&self, kernel: &str, from: &str, to: &str) {
        lock(&self.0.corrupted).push((kernel.into(), from.into(), to.into()));
    }

    /// Makes the driver take 16-bit floats below `least` for zero where kernels unpack pairs of them from words that begin with `words`.
    pub(crate) fn flush_halves(&self, words: &str, least: &str) {
        self.corrupt("", &format!("unpack2x16float({words}"), &format!("flushed2x16float({words}"));
        let flushed = "let pair = unpack2x16float(word);\n  return select(pair, vec2f(), abs(pair) < vec2f";
        let function = format!("fn flushed2x16float(word: u32) -> vec2f {{\n  {flushed}({least}));\n}}\n\n@compute");
        self.corrupt("", "@compute", &function);
    }

    /// The original sources of all shaders compiled so far, on all devices together.
    pub(crate) fn sources(&self) -> Vec<String> {
        lock(&self.0.sources).clone()
    }

    /// Opens a device with these faults.
    pub(crate) async fn open(&self) -> ocelli::Result<Gpu> {
        self.open_with(GpuOptions::default()).await
    }

    /// Opens a device with these faults and other options.
    pub(crate) async fn open_with(&self, options: GpuOptions) -> ocelli::Result<Gpu> {
        Gpu::open_with(GpuOptions { faults: Some(self.0.clone()), ..options }).await
    }
}

impl Faults for Orders {
    fn lose_at_submission(&self) -> bool {
        lock(&self.lose_at_submission).remove(&self.submissions.fetch_add(1, Ordering::Relaxed))
    }

    fn lose_at_write(&self) -> bool {
        lock(&self.lose_at_write).remove(&self.writes.fetch_add(1, Ordering::Relaxed))
    }

    fn leave_out_launches(&self) -> bool {
        lock(&self.left_out).contains(&self.submissions.load(Ordering::Relaxed))
    }

    fn refuse_to_open(&self) -> bool {
        self.refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    fn source(&self, kernel: &str, source: String) -> String {
        lock(&self.sources).push(source.clone());
        let corrupted = lock(&self.corrupted);
        let matching = corrupted.iter().filter(|(name, ..)| kernel.starts_with(name.as_str()));
        matching.fold(source, |source, (_, from, to)| source.replace(from, to))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
