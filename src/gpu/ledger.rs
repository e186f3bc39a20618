//! Counts the bytes of every GPU buffer, by purpose.

use std::sync::Mutex;

use crate::error::{Error, Result};

/// What a buffer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Weights of the decoder.
    TextWeights,
    /// Weights of the vision tower and the projector.
    VisionWeights,
    /// Keys and values of earlier tokens.
    KvCache,
    /// Intermediate results.
    Activations,
    /// Parameters and results on their way between CPU and GPU.
    Staging,
}

const PURPOSES: [Purpose; 5] =
    [Purpose::TextWeights, Purpose::VisionWeights, Purpose::KvCache, Purpose::Activations, Purpose::Staging];

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

/// The account of one device.
#[derive(Debug, Default)]
pub struct Ledger {
    counts: Mutex<([Count; PURPOSES.len()], Count)>,
    limit: Mutex<Option<u64>>,
}

impl Ledger {
    /// The most bytes all purposes together may take from now on; what would be more is refused as if the device were full.
    pub fn set_limit(&self, bytes: Option<u64>) {
        *self.limit.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = bytes;
    }

    /// Whether the limit leaves room for `bytes` more.
    pub(super) fn check_room(&self, label: &str, bytes: u64) -> Result<()> {
        let limit = *self.limit.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (held, _) = self.total();
        match limit {
            Some(limit) if held + bytes > limit => Err(Error::OutOfMemory {
                detail: format!("{label}: {bytes} bytes more than {held}, of {limit} allowed"),
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn add(&self, purpose: Purpose, bytes: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        counts.0[purpose as usize].add(bytes);
        counts.1.add(bytes);
    }

    pub(super) fn remove(&self, purpose: Purpose, bytes: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        counts.0[purpose as usize].current -= bytes;
        counts.1.current -= bytes;
    }

    /// Bytes by purpose.
    pub fn rows(&self) -> Vec<LedgerRow> {
        let counts = self.counts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let row = |(purpose, count): (Purpose, Count)| LedgerRow { purpose, current: count.current, peak: count.peak };
        PURPOSES.into_iter().zip(counts.0).map(row).collect()
    }

    /// Bytes allocated now and the most there have been, all purposes together.
    pub fn total(&self) -> (u64, u64) {
        let counts = self.counts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        (counts.1.current, counts.1.peak)
    }
}
