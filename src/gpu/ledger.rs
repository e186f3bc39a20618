//! Counts the bytes of every GPU buffer, by purpose.
//!
//! A buffer that is freed while the GPU may still work with it keeps its memory until that work is done, and so does the copy of
//! what was written to a buffer. Both count until the next time that everything submitted is known to have run.

use std::sync::{Arc, Mutex};

use super::lock;
use crate::error::{Error, Result};

/// What a buffer is for.
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
    /// All of them, in the order of [`Ledger::rows`].
    pub const ALL: [Self; 6] =
        [Self::TextWeights, Self::VisionWeights, Self::KvCache, Self::Activations, Self::Features, Self::Staging];

    /// The name that reports and errors use.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Bytes of one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct LedgerRow {
    /// What the bytes are for.
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
    /// Freed, but not before so many submissions have run.
    leaving: Vec<(u64, Purpose, u64)>,
    /// The most that may be allocated.
    limit: Option<u64>,
    /// Submissions so far, and how many of them are known to have run.
    submitted: u64,
    settled: u64,
}

impl Account {
    fn remove(&mut self, purpose: Purpose, bytes: u64) {
        self.by_purpose[purpose as usize].current -= bytes;
        self.total.current -= bytes;
    }
}

/// The account of one device.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Account>);

impl Ledger {
    /// The most bytes all purposes together may take from now on; what would be more is refused as if the device were full.
    pub fn set_limit(&self, bytes: Option<u64>) {
        lock(&self.0).limit = bytes;
    }

    /// Whether the limit leaves room for `bytes` more.
    pub(super) fn check_room(&self, what: &str, purpose: Purpose, bytes: u64) -> Result<()> {
        let Account { limit, total, .. } = *lock(&self.0);
        match limit {
            Some(limit) if total.current + bytes > limit => {
                Err(self.out_of_memory(what, purpose, bytes, format!("{limit} bytes are allowed")))
            }
            _ => Ok(()),
        }
    }

    /// The error for a buffer that there is no room for.
    pub(crate) fn out_of_memory(&self, what: &str, purpose: Purpose, bytes: u64, detail: String) -> Error {
        let (what, purpose) = (what.into(), purpose.name().into());
        Error::OutOfMemory { what, purpose, bytes, in_use: self.total().0, detail }
    }

    pub(super) fn add(&self, purpose: Purpose, bytes: u64) {
        let mut account = lock(&self.0);
        account.by_purpose[purpose as usize].add(bytes);
        account.total.add(bytes);
    }

    /// Counts a buffer out: at once if the GPU is known to be idle, else when the work under way is done.
    pub(super) fn release(&self, purpose: Purpose, bytes: u64) {
        let mut account = lock(&self.0);
        if account.submitted > account.settled {
            let under_way = account.submitted;
            account.leaving.push((under_way, purpose, bytes));
        } else {
            account.remove(purpose, bytes);
        }
    }

    /// Counts bytes that the next submission needs and nothing after it.
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

    /// Submissions so far.
    pub(super) fn submissions(&self) -> u64 {
        lock(&self.0).submitted
    }

    /// What is done once the first `submissions` submissions have run.
    pub(super) fn settling_after(self: &Arc<Self>, submissions: u64) -> Settling {
        let mut account = lock(&self.0);
        let leaving = account.leaving.extract_if(.., |(after, ..)| *after <= submissions).collect();
        Settling { ledger: self.clone(), leaving, submitted: submissions }
    }

    /// What is done once everything submitted so far has run.
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

    /// Bytes allocated now and the most there have been, all purposes together.
    pub fn total(&self) -> (u64, u64) {
        let account = lock(&self.0);
        (account.total.current, account.total.peak)
    }

    /// Takes what is allocated now for the most there has been, so that a stretch of work can be measured alone.
    pub fn restart_peaks(&self) {
        let mut account = lock(&self.0);
        let Account { by_purpose, total, .. } = &mut *account;
        by_purpose.iter_mut().chain([total]).for_each(|count| count.peak = count.current);
    }
}

/// Work under way. When it is dropped, what waited for it is counted out.
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
