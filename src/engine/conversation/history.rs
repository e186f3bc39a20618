//! The passes that built a conversation's state, kept so that it can be rebuilt after a device loss.

use std::collections::HashSet;
use std::rc::Rc;

use crate::engine::prompt::{ContextEntry, SizedPicture};
use crate::image::Fingerprint;

/// One forward pass. Rows computed together are rounded alike when they are computed together again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastPass {
    /// Its first entry.
    pub first: usize,
    /// Rows computed; entries of the last ones may have been given up since.
    pub rows: usize,
    /// Set for a step: one row by the kernels for one row.
    pub is_step: bool,
}

/// The passes that built a conversation's state.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct History {
    pub(in crate::engine) entries: Vec<ContextEntry>,
    passes: Vec<PastPass>,
    /// The pictures that entries name, at the size the model sees them.
    pub(in crate::engine) pictures: Vec<Rc<SizedPicture>>,
}

impl History {
    /// Creates the history of entries that were computed by these passes, as a snapshot says.
    pub(in crate::engine) fn of(entries: Vec<ContextEntry>, passes: Vec<PastPass>) -> Self {
        Self { entries, passes, pictures: Vec::new() }
    }

    /// Every pass, with the entries kept of it.
    pub(in crate::engine) fn passes(&self) -> impl Iterator<Item = (PastPass, &[ContextEntry])> {
        let ends = self.passes.iter().skip(1).map(|pass| pass.first).chain([self.entries.len()]);
        self.passes.iter().zip(ends).map(|(pass, end)| (*pass, &self.entries[pass.first..end]))
    }

    /// Forgets what is behind `len` entries.
    pub(in crate::engine) fn truncate(&mut self, len: usize) {
        self.entries.truncate(len);
        self.passes.retain(|pass| pass.first < len);
    }

    /// Keeps `pictures` in addition to those that entries name.
    pub(in crate::engine) fn keep_pictures(&mut self, pictures: &[Rc<SizedPicture>]) {
        let named: HashSet<Fingerprint> = self.entries.iter().filter_map(ContextEntry::fingerprint).collect();
        self.pictures.retain(|picture| named.contains(&picture.fingerprint));
        for picture in pictures {
            if self.pictures.iter().all(|held| held.fingerprint != picture.fingerprint) {
                self.pictures.push(picture.clone());
            }
        }
    }

    /// Adds a step.
    pub(in crate::engine) fn add_step(&mut self, token: u32) {
        self.passes.push(PastPass { first: self.entries.len(), rows: 1, is_step: true });
        self.entries.push(ContextEntry::Token(token));
    }

    /// Adds a chunk of `rows` rows, of which `entries` are kept.
    pub(in crate::engine) fn add_chunk(&mut self, entries: &[ContextEntry], rows: usize) {
        self.passes.push(PastPass { first: self.entries.len(), rows, is_step: false });
        self.entries.extend_from_slice(entries);
    }

    /// The last pass.
    pub(in crate::engine) fn last_pass(&self) -> Option<&PastPass> {
        self.passes.last()
    }
}
