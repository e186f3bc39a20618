//! The passes that built a conversation's state, kept so that it can be rebuilt after a device loss.

use std::collections::HashSet;
use std::sync::Arc;

use crate::engine::prompt::{ContextEntry, SizedPicture};
use crate::image::Fingerprint;

/// One forward pass. The same rows computed together again are rounded alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastPass {
    /// Index of its first entry.
    pub first: usize,
    /// Rows computed; entries of the last ones may have been dropped since.
    pub rows: usize,
    /// True for a step: one row, by the kernels for one row.
    pub is_step: bool,
}

#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct History {
    pub(in crate::engine) entries: Vec<ContextEntry>,
    passes: Vec<PastPass>,
    /// Pictures of the entries, scaled for the model.
    pub(in crate::engine) pictures: Vec<Arc<SizedPicture>>,
}

impl History {
    /// Creates a history that was read from a snapshot.
    pub(in crate::engine) fn of(entries: Vec<ContextEntry>, passes: Vec<PastPass>) -> Self {
        Self { entries, passes, pictures: Vec::new() }
    }

    /// All passes with their remaining entries.
    pub(in crate::engine) fn passes(&self) -> impl Iterator<Item = (PastPass, &[ContextEntry])> {
        let ends = self.passes.iter().skip(1).map(|pass| pass.first).chain([self.entries.len()]);
        self.passes.iter().zip(ends).map(|(pass, end)| (*pass, &self.entries[pass.first..end]))
    }

    /// Forgets entries after the first `len`.
    pub(in crate::engine) fn truncate(&mut self, len: usize) {
        self.entries.truncate(len);
        self.passes.retain(|pass| pass.first < len);
    }

    /// Keeps the pictures of the entries, and `pictures`.
    pub(in crate::engine) fn keep_pictures(&mut self, pictures: &[Arc<SizedPicture>]) {
        let named: HashSet<Fingerprint> = self.entries.iter().filter_map(ContextEntry::fingerprint).collect();
        self.pictures.retain(|picture| named.contains(&picture.fingerprint));
        for picture in pictures {
            if self.pictures.iter().all(|held| held.fingerprint != picture.fingerprint) {
                self.pictures.push(picture.clone());
            }
        }
    }

    pub(in crate::engine) fn add_step(&mut self, token: u32) {
        self.passes.push(PastPass { first: self.entries.len(), rows: 1, is_step: true });
        self.entries.push(ContextEntry::Token(token));
    }

    /// Adds a chunk of `rows` rows, of which `entries` are kept.
    pub(in crate::engine) fn add_chunk(&mut self, entries: &[ContextEntry], rows: usize) {
        self.passes.push(PastPass { first: self.entries.len(), rows, is_step: false });
        self.entries.extend_from_slice(entries);
    }

    pub(in crate::engine) fn last_pass(&self) -> Option<&PastPass> {
        self.passes.last()
    }
}
