//! One conversation: which tokens and pictures the cache holds, and how they got there.

use std::collections::HashSet;
use std::rc::Rc;

use super::prompt::SizedPicture;
use crate::image::Fingerprint;

/// What one position of a conversation holds. Equal slots after equal slots have equal keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContextEntry {
    /// A token.
    Token(u32),
    /// A row of a picture's features.
    Picture { fingerprint: Fingerprint, row: u32 },
}

/// One forward pass. Rows computed together are rounded alike when they are computed together again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pass {
    /// Its first slot.
    pub(super) first: usize,
    /// Rows computed; of the last ones nothing may be kept.
    pub(super) rows: usize,
    /// Whether it was a step: one row by the kernels for one row.
    pub(super) is_step: bool,
}

/// The contents of the cache, so that it can be filled once more.
#[derive(Debug, Clone, Default)]
pub(super) struct Session {
    slots: Vec<ContextEntry>,
    passes: Vec<Pass>,
    /// The pictures that slots name, at the size the model sees them.
    pictures: Vec<Rc<SizedPicture>>,
}

impl Session {
    /// How it came there: every pass, with the slots kept of it.
    pub(super) fn passes(&self) -> impl Iterator<Item = (Pass, &[ContextEntry])> {
        let ends = self.passes.iter().skip(1).map(|pass| pass.first).chain([self.slots.len()]);
        self.passes.iter().zip(ends).map(|(pass, end)| (*pass, &self.slots[pass.first..end]))
    }

    /// Where the last forward pass began.
    pub(super) fn last_pass(&self) -> Option<usize> {
        self.passes.last().map(|pass| pass.first)
    }

    /// The pictures that slots name.
    pub(super) fn pictures(&self) -> &[Rc<SizedPicture>] {
        &self.pictures
    }

    /// What the cache holds.
    pub(super) fn slots(&self) -> &[ContextEntry] {
        &self.slots
    }

    /// Slots that `prompt` and the cache have in common and that need not be computed. The last slot of the prompt is always left
    /// to compute, since its logits are wanted.
    pub(super) fn common(&self, prompt: &[ContextEntry]) -> usize {
        let common = self.slots.iter().zip(prompt).take_while(|(held, wanted)| held == wanted).count();
        common.min(prompt.len().saturating_sub(1))
    }

    /// Forgets all but the first `len` slots.
    pub(super) fn truncate(&mut self, len: usize) {
        self.slots.truncate(len);
        self.passes.retain(|pass| pass.first < len);
    }

    /// Keeps `pictures` in addition to those that slots name.
    pub(super) fn keep_pictures(&mut self, pictures: &[Rc<SizedPicture>]) {
        let fingerprint = |slot: &ContextEntry| match slot {
            ContextEntry::Picture { fingerprint, .. } => Some(*fingerprint),
            ContextEntry::Token(_) => None,
        };
        let named: HashSet<Fingerprint> = self.slots.iter().filter_map(fingerprint).collect();
        self.pictures.retain(|picture| named.contains(&picture.fingerprint));
        for picture in pictures {
            if self.pictures.iter().all(|held| held.fingerprint != picture.fingerprint) {
                self.pictures.push(picture.clone());
            }
        }
    }

    /// Notes what a forward pass of `rows` rows has appended to the cache.
    pub(super) fn extend(&mut self, slots: &[ContextEntry], rows: usize) {
        self.passes.push(Pass { first: self.slots.len(), rows, is_step: false });
        self.slots.extend_from_slice(slots);
    }

    /// Notes what a step has appended to the cache.
    pub(super) fn extend_by_step(&mut self, slot: ContextEntry) {
        self.passes.push(Pass { first: self.slots.len(), rows: 1, is_step: true });
        self.slots.push(slot);
    }

    /// Whether the last slot was computed by a step, so that its logits are there.
    pub(super) fn ends_in_step(&self) -> bool {
        self.passes.last().is_some_and(|pass| pass.is_step)
    }
}
