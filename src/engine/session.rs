//! One conversation's cache, and which tokens and pictures it holds.

use crate::config::{KvPrecision, TextConfig};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::image::Fingerprint;
use crate::model::KvCache;

/// What one position of a conversation holds. Equal slots after equal slots have equal keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// A token.
    Token(u32),
    /// A row of a picture's features.
    Picture { fingerprint: Fingerprint, row: u32 },
}

/// A cache and its contents.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) cache: KvCache,
    slots: Vec<Slot>,
}

impl Session {
    pub(super) fn new(gpu: &Gpu, config: &TextConfig, context: usize, precision: KvPrecision) -> Result<Self> {
        Ok(Self { cache: KvCache::new(gpu, config, context, precision)?, slots: Vec::new() })
    }

    pub(super) fn context(&self) -> usize {
        self.cache.context()
    }

    /// Keeps what `prompt` and the cache have in common and forgets the rest; returns how much that is. The last slot of the
    /// prompt is always left to compute, since its logits are wanted.
    pub(super) fn rewind_to(&mut self, prompt: &[Slot]) -> usize {
        let common = self.slots.iter().zip(prompt).take_while(|(held, wanted)| held == wanted).count();
        let kept = common.min(prompt.len().saturating_sub(1));
        self.truncate(kept);
        kept
    }

    /// Forgets all but the first `len` slots.
    pub(super) fn truncate(&mut self, len: usize) {
        self.slots.truncate(len);
        self.cache.truncate(len);
    }

    /// Notes what a forward pass has appended to the cache.
    pub(super) fn extend(&mut self, slots: &[Slot]) {
        self.slots.extend_from_slice(slots);
    }
}
