//! Index of the snapshots in a store, and their eviction.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::format::{HASH, Head, PREFIX, damaged, hashes, head_bytes};
use super::rates::{Gain, Rates, Work};
use super::store::{SnapshotStore, StoredFile};
use crate::engine::prompt::ContextEntry;
use crate::error::Result;
use crate::image::Fingerprint;
use crate::model::LanguageModel;
use crate::package::hash::hex;
use crate::state::Part;

/// Most files that a request searches.
const MOST_FILES: usize = 1024;
/// Most conversations remembered as not worth a file.
const MOST_REFUSED: usize = 4096;

#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) file: StoredFile,
    /// Its head; `None` for a file of another model, device or version, which only takes room.
    pub(super) head: Option<Rc<Head>>,
}

/// Layout of a file whose lengths and head are verified.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) head: Head,
    /// Parts of the state with their byte ranges and hashes.
    pub(super) parts: Vec<(Part, Range<u64>, Fingerprint)>,
}

#[derive(Debug)]
pub(in crate::engine) struct Snapshots {
    pub(super) store: Box<dyn SnapshotStore>,
    /// Limit of the bytes of all files.
    pub(super) budget: u64,
    /// Hash of all that results depend on besides conversations.
    pub(super) identity: Fingerprint,
    /// All files, the most recently used last.
    pub(super) files: Vec<Known>,
    pub(super) rates: Rates,
    /// Names of files that did not pay or could not be written.
    refused: HashSet<String>,
}

/// A file that holds a prefix of a prompt.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) known: Known,
    pub(super) head: Rc<Head>,
    /// Entries that can be restored from it.
    pub(super) entries: usize,
}

impl Snapshots {
    /// Lists the files of a store, for a model whose results depend on `numerics`. Fails like [`SnapshotStore::list`].
    pub(in crate::engine) async fn open<M: LanguageModel>(
        model: &M,
        store: Box<dyn SnapshotStore>,
        budget: u64,
        numerics: &str,
    ) -> Result<Self> {
        let identity = Sha256::digest(numerics).into();
        let mut this =
            Self { store, budget, identity, files: Vec::new(), rates: Rates::default(), refused: HashSet::new() };
        for file in this.store.list().await? {
            // A file that cannot be read takes room, like those of other models, until it is evicted.
            let head = this.check(model, &file).await.ok().map(|checked| Rc::new(checked.head));
            if let Some(head) = &head {
                this.rates = head.rates;
            }
            this.files.push(Known { file, head });
        }
        this.evict("").await?;
        Ok(this)
    }

    /// Reads a file except the parts of the state. Fails with [`crate::Error::InvalidPackage`] if it is incomplete or of another model.
    pub(super) async fn check<M: LanguageModel>(&self, model: &M, file: &StoredFile) -> Result<Checked> {
        let StoredFile { name, bytes } = file;
        let head_bytes = head_bytes(&self.store.read(name, 0..(*bytes).min(PREFIX as u64)).await?, *bytes)?;
        let head_text = self.store.read(name, 0..head_bytes).await?;
        let head = Head::parse(&head_text)?;
        if head.identity != self.identity {
            return Err(damaged("it is of another model, device or version"));
        }
        let (parts, mut at) = (model.parts(&head.outline, *bytes)?, head_bytes);
        let end = at + parts.iter().map(|part| part.bytes).sum::<u64>();
        if end + ((parts.len() + 1) * HASH) as u64 != *bytes {
            return Err(damaged("it is not as long as it says"));
        }
        let hashes = hashes(&head_text, &self.store.read(name, end..*bytes).await?)?;
        let placed = parts.into_iter().zip(hashes).map(|(part, hash)| {
            let range = at..at + part.bytes;
            at = range.end;
            (part, range, hash)
        });
        Ok(Checked { parts: placed.collect(), head })
    }

    /// The file that restores the longest prefix of `wanted`; the most recently used one of several.
    pub(super) fn best(&self, wanted: &[ContextEntry]) -> Option<Found> {
        let found = |known: &Known| {
            let head = known.head.clone()?;
            let common = head.entries.iter().zip(wanted).take_while(|(held, wanted)| held == wanted).count();
            let entries = head.outline.cut(common).entries;
            (entries > 0).then(|| Found { known: known.clone(), head, entries })
        };
        self.files.iter().filter_map(found).max_by_key(|found| found.entries)
    }

    /// Returns true if a file restores all of these entries.
    pub(super) fn covers(&self, entries: &[ContextEntry]) -> bool {
        self.best(entries).is_some_and(|found| found.entries == entries.len())
    }

    /// Longest edges of the pictures in snapshots, by [`SizedAs::sizing`](super::format::SizedAs).
    pub(in crate::engine) fn edges(&self) -> HashMap<Fingerprint, usize> {
        let heads = self.files.iter().filter_map(|known| known.head.as_ref());
        heads.flat_map(|head| &head.sizes).map(|size| (size.sizing, size.edge)).collect()
    }

    /// Adds a measurement of prompt tokens.
    pub(in crate::engine) fn note_tokens(&mut self, tokens: usize, ms: f64) {
        self.rates.note(Work::Tokens, tokens as f64, ms);
    }

    /// Adds a measurement of the pictures among `entries`.
    pub(in crate::engine) fn note_pictures(&mut self, entries: &[ContextEntry], ms: f64) {
        self.rates.note(Work::Pictures, gain(entries).pictures as f64, ms);
    }

    /// File name of a conversation.
    pub(super) fn name(&self, entries: &[ContextEntry]) -> String {
        let mut hash = Sha256::new_with_prefix(self.identity);
        for entry in entries {
            match entry {
                ContextEntry::Token(id) => hash.update(id.to_le_bytes()),
                ContextEntry::First { token, scope } => {
                    hash.update(token.to_le_bytes());
                    hash.update(scope.number().to_le_bytes());
                }
                ContextEntry::Picture { fingerprint, row } => {
                    hash.update(fingerprint);
                    hash.update(row.to_le_bytes());
                }
            }
        }
        hex(&hash.finalize()[..16])
    }

    pub(super) fn is_refused(&self, name: &str) -> bool {
        self.refused.contains(name)
    }

    /// Prevents that a file of this name is written again.
    pub(super) fn refuse(&mut self, name: &str) {
        if self.refused.len() >= MOST_REFUSED {
            self.refused.clear();
        }
        self.refused.insert(name.to_owned());
    }

    /// Adds a file that was written, and removes those whose conversations it covers.
    pub(super) async fn add(&mut self, file: StoredFile, head: Head) -> Result<()> {
        let (name, is_other) = (file.name.clone(), |known: &Known| known.file.name != file.name);
        let is_covered = |known: &Known| {
            known.head.as_ref().is_some_and(|known| {
                let len = known.entries.len();
                head.entries.starts_with(&known.entries) && head.outline.cut(len).entries == len
            })
        };
        let covered = self.files.iter().filter(|known| is_other(known) && is_covered(known));
        let covered: Vec<String> = covered.map(|known| known.file.name.clone()).collect();
        self.files.retain(is_other);
        self.files.push(Known { file, head: Some(Rc::new(head)) });
        for covered in covered {
            self.remove(&covered).await?;
        }
        self.evict(&name).await
    }

    pub(super) async fn remove(&mut self, name: &str) -> Result<()> {
        self.forget(name);
        self.store.remove(name).await
    }

    /// Does not use a file until the next start.
    pub(super) fn forget(&mut self, name: &str) {
        self.files.retain(|known| known.file.name != name);
    }

    /// Marks a file as used now.
    pub(super) async fn touch(&mut self, name: &str) {
        if let Some(place) = self.files.iter().position(|known| known.file.name == name) {
            let known = self.files.remove(place);
            self.files.push(known);
        }
        // After a failure the file is evicted a little earlier.
        let _ = self.store.touch(name).await;
    }

    /// Removes the least recently used files until the others fit the budget. The file named `kept` stays.
    async fn evict(&mut self, kept: &str) -> Result<()> {
        let total = |files: &[Known]| files.iter().map(|known| known.file.bytes).sum::<u64>();
        while total(&self.files) > self.budget || self.files.len() > MOST_FILES {
            let Some(oldest) = self.files.iter().find(|known| known.file.name != kept) else { return Ok(()) };
            let name = oldest.file.name.clone();
            self.remove(&name).await?;
        }
        Ok(())
    }

    /// Removes all files. Returns their bytes.
    pub(in crate::engine) async fn clear(&mut self) -> Result<u64> {
        let mut bytes = 0;
        for file in self.store.list().await? {
            bytes += file.bytes;
            self.remove(&file.name).await?;
        }
        Ok(bytes)
    }
}

impl Found {
    /// Work that is saved after the first `held` entries by reading `bytes`.
    pub(super) fn gain(&self, held: usize, bytes: u64) -> Gain {
        Gain { bytes, ..gain(&self.head.entries[held.min(self.entries)..self.entries]) }
    }
}

/// Work to compute entries.
pub(super) fn gain(entries: &[ContextEntry]) -> Gain {
    let pictures = entries.iter().filter(|entry| entry.fingerprint().is_some()).count();
    Gain { entries: entries.len(), pictures, bytes: 0 }
}
