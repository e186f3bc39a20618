//! Bytes of all GPU buffers, by purpose.
//!
//! A buffer freed while the GPU may still use it keeps its memory until that work is done, as does the queue's copy
//! of written data. Both count until everything submitted is known to have run.

use std::sync::{Arc, Mutex};

use super::lock;
use crate::error::{Error, Result};

/// Purpose of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Purpose {
    /// Weights of the decoder.
    TextWeights,
    /// Weights of the vision tower and the projector.
    VisionWeights,
    /// Keys and values of earlier tokens.
    KvCache,
    /// Intermediate results.
    Activations,
    /// Features of pictures.
    Features,
    /// Parameters, weights and results on their way between CPU and GPU.
    Staging,
}

impl Purpose {
    /// All purposes in the order of [`Ledger::rows`].
    pub const ALL: [Self; 6] =
        [Self::TextWeights, Self::VisionWeights, Self::KvCache, Self::Activations, Self::Features, Self::Staging];

    /// The name used in reports and errors.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Bytes of one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct LedgerRow {
    /// Purpose of the bytes.
    pub purpose: Purpose,
    /// Bytes allocated now.
    pub current: u64,
    /// The most that `current` has been.
    pub peak: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    current: u64,
    peak: u64,
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.current += bytes;
        self.peak = self.peak.max(self.current);
    }
}

#[derive(Debug, Default)]
struct Account {
    by_purpose: [Count; Purpose::ALL.len()],
    total: Count,
    /// Freed buffers, each with the number of submissions that must run before its memory is free.
    leaving: Vec<(u64, Purpose, u64)>,
    /// Limit for all purposes together.
    limit: Option<u64>,
    /// Submissions so far, and those known to have run.
    submitted: u64,
    settled: u64,
}

impl Account {
    fn remove(&mut self, purpose: Purpose, bytes: u64) {
        self.by_purpose[purpose as usize].current -= bytes;
        self.total.current -= bytes;
    }
}

/// The byte counts of one device.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Account>);

impl Ledger {
    /// Limits the bytes of all purposes together. Allocations beyond it fail as on a full device.
    pub fn set_limit(&self, bytes: Option<u64>) {
        lock(&self.0).limit = bytes;
    }

    /// Fails if the limit leaves no room for `bytes` more.
    pub(super) fn check_room(&self, what: &str, purpose: Purpose, bytes: u64) -> Result<()> {
        let Account { limit, total, .. } = *lock(&self.0);
        match limit {
            Some(limit) if total.current + bytes > limit => {
                Err(self.out_of_memory(what, purpose, bytes, format!("{limit} bytes are allowed")))
            }
            _ => Ok(()),
        }
    }

    /// The error for a buffer without room.
    pub(crate) fn out_of_memory(&self, what: &str, purpose: Purpose, bytes: u64, detail: String) -> Error {
        let (what, purpose) = (what.into(), purpose.name().into());
        Error::OutOfMemory { what, purpose, bytes, in_use: self.total().0, detail }
    }

    pub(super) fn add(&self, purpose: Purpose, bytes: u64) {
        let mut account = lock(&self.0);
        account.by_purpose[purpose as usize].add(bytes);
        account.total.add(bytes);
    }

    /// Releases a buffer: at once if the GPU is known to be idle, else when pending work is done.
    pub(super) fn release(&self, purpose: Purpose, bytes: u64) {
        let mut account = lock(&self.0);
        if account.submitted > account.settled {
            let under_way = account.submitted;
            account.leaving.push((under_way, purpose, bytes));
        } else {
            account.remove(purpose, bytes);
        }
    }

    /// Counts bytes used only until the next submission has run.
    pub(super) fn pass(&self, purpose: Purpose, bytes: u64) {
        self.add(purpose, bytes);
        let mut account = lock(&self.0);
        let next = account.submitted + 1;
        account.leaving.push((next, purpose, bytes));
    }

    /// Notes a submission.
    pub(super) fn submitted(&self) {
        lock(&self.0).submitted += 1;
    }

    pub(super) fn submissions(&self) -> u64 {
        lock(&self.0).submitted
    }

    /// Returns a guard to drop when the first `submissions` submissions have run.
    pub(super) fn settling_after(self: &Arc<Self>, submissions: u64) -> Settling {
        let mut account = lock(&self.0);
        let leaving = account.leaving.extract_if(.., |(after, ..)| *after <= submissions).collect();
        Settling { ledger: self.clone(), leaving, submitted: submissions }
    }

    /// Returns a guard to drop when everything submitted so far has run.
    pub(super) fn settling(self: &Arc<Self>) -> Settling {
        let mut account = lock(&self.0);
        let leaving = std::mem::take(&mut account.leaving);
        Settling { ledger: self.clone(), leaving, submitted: account.submitted }
    }

    /// Bytes by purpose.
    pub fn rows(&self) -> Vec<LedgerRow> {
        let account = lock(&self.0);
        let row = |(purpose, count): (Purpose, Count)| LedgerRow { purpose, current: count.current, peak: count.peak };
        Purpose::ALL.into_iter().zip(account.by_purpose).map(row).collect()
    }

    /// Bytes of all purposes: current and peak.
    pub fn total(&self) -> (u64, u64) {
        let account = lock(&self.0);
        (account.total.current, account.total.peak)
    }

    /// Resets the peaks to the current bytes, to measure one phase alone.
    pub fn restart_peaks(&self) {
        let mut account = lock(&self.0);
        let Account { by_purpose, total, .. } = &mut *account;
        by_purpose.iter_mut().chain([total]).for_each(|count| count.peak = count.current);
    }
}

/// Pending submissions. Dropping it releases the buffers that waited for them.
#[derive(Debug)]
pub(super) struct Settling {
    ledger: Arc<Ledger>,
    leaving: Vec<(u64, Purpose, u64)>,
    submitted: u64,
}

impl Drop for Settling {
    fn drop(&mut self) {
        let mut account = lock(&self.ledger.0);
        for (_, purpose, bytes) in std::mem::take(&mut self.leaving) {
            account.remove(purpose, bytes);
        }
        account.settled = account.settled.max(self.submitted);
    }
}
