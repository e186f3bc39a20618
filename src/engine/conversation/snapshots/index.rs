//! The snapshots that there are, and which of them go.

use std::collections::HashSet;
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

/// Most files that are looked through for every request.
const MOST_FILES: usize = 1024;
/// Most conversations that are remembered not to be worth a file.
const MOST_REFUSED: usize = 4096;

/// A file.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) file: StoredFile,
    /// What it is of; `None` for one of another model, device or version, which only takes room.
    pub(super) head: Option<Rc<Head>>,
}

/// A file's layout, all of whose lengths and whose head have been checked.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) head: Head,
    /// The parts of its state, where each is, and its hash.
    pub(super) parts: Vec<(Part, Range<u64>, Fingerprint)>,
}

/// The snapshots of a store.
#[derive(Debug)]
pub(in crate::engine) struct Snapshots {
    pub(super) store: Box<dyn SnapshotStore>,
    /// Bytes that all files together may take.
    pub(super) budget: u64,
    /// Hash of all that numbers depend on besides conversations.
    pub(super) identity: Fingerprint,
    /// The one used last comes last.
    pub(super) files: Vec<Known>,
    pub(super) rates: Rates,
    /// Names of files that were not worth it, or could not be written.
    refused: HashSet<String>,
}

/// A file that holds the beginning of a prompt.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) known: Known,
    pub(super) head: Rc<Head>,
    /// Entries to be had from it.
    pub(super) entries: usize,
}

impl Snapshots {
    /// What is in a store, for a model whose numbers depend on `numerics`. Fails as [`SnapshotStore::list`].
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
            // A file that cannot be read takes room, like those of other models, and goes when its turn comes.
            let head = this.check(model, &file).await.ok().map(|checked| Rc::new(checked.head));
            if let Some(head) = &head {
                this.rates = head.rates;
            }
            this.files.push(Known { file, head });
        }
        this.evict("").await?;
        Ok(this)
    }

    /// Reads a file but for the parts of the state. Fails with [`crate::Error::Io`] for one that is not whole, or not of this model.
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

    /// The file that most of what `wanted` begins with can be had from; of several, the one used last.
    pub(super) fn best(&self, wanted: &[ContextEntry]) -> Option<Found> {
        let found = |known: &Known| {
            let head = known.head.clone()?;
            let common = head.entries.iter().zip(wanted).take_while(|(held, wanted)| held == wanted).count();
            let entries = head.outline.cut(common).entries;
            (entries > 0).then(|| Found { known: known.clone(), head, entries })
        };
        self.files.iter().filter_map(found).max_by_key(|found| found.entries)
    }

    /// Whether all of a conversation can be had from a file.
    pub(super) fn covers(&self, entries: &[ContextEntry]) -> bool {
        self.best(entries).is_some_and(|found| found.entries == entries.len())
    }

    /// The longest edge at which a picture was shown, by [`SizedAs::sizing`](super::format::SizedAs).
    pub(in crate::engine) fn edge_of(&self, sizing: &Fingerprint) -> Option<usize> {
        let heads = self.files.iter().rev().filter_map(|known| known.head.as_ref());
        heads.flat_map(|head| &head.sizes).find(|size| size.sizing == *sizing).map(|size| size.edge)
    }

    /// Notes what tokens of a prompt have taken.
    pub(in crate::engine) fn note_tokens(&mut self, tokens: usize, ms: f64) {
        self.rates.note(Work::Tokens, tokens as f64, ms);
    }

    /// Notes what the pictures among entries have taken, which may have been there.
    pub(in crate::engine) fn note_pictures(&mut self, entries: &[ContextEntry], ms: f64) {
        self.rates.note(Work::Pictures, gain(entries).pictures as f64, ms);
    }

    /// The name of the file of a conversation.
    pub(super) fn name(&self, entries: &[ContextEntry]) -> String {
        let mut hash = Sha256::new_with_prefix(self.identity);
        for entry in entries {
            match entry {
                ContextEntry::Token(id) => hash.update(id.to_le_bytes()),
                ContextEntry::Picture { fingerprint, row } => {
                    hash.update(fingerprint);
                    hash.update(row.to_le_bytes());
                }
            }
        }
        hex(&hash.finalize()[..16])
    }

    /// Whether a file of this name was not worth it before.
    pub(super) fn is_refused(&self, name: &str) -> bool {
        self.refused.contains(name)
    }

    /// Has a file of this name not be written again.
    pub(super) fn refuse(&mut self, name: &str) {
        if self.refused.len() >= MOST_REFUSED {
            self.refused.clear();
        }
        self.refused.insert(name.to_owned());
    }

    /// Counts a file that has been written, in the place of those whose conversations it covers.
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

    /// Removes a file.
    pub(super) async fn remove(&mut self, name: &str) -> Result<()> {
        self.files.retain(|known| known.file.name != name);
        self.store.remove(name).await
    }

    /// Notes that a file has been used.
    pub(super) async fn touch(&mut self, name: &str) {
        if let Some(place) = self.files.iter().position(|known| known.file.name == name) {
            let known = self.files.remove(place);
            self.files.push(known);
        }
        // It goes a little earlier then.
        let _ = self.store.touch(name).await;
    }

    /// Removes files, those first that were used longest ago, until the others are within the budget. The one of this name stays.
    async fn evict(&mut self, kept: &str) -> Result<()> {
        let total = |files: &[Known]| files.iter().map(|known| known.file.bytes).sum::<u64>();
        while total(&self.files) > self.budget || self.files.len() > MOST_FILES {
            let Some(oldest) = self.files.iter().find(|known| known.file.name != kept) else { return Ok(()) };
            let name = oldest.file.name.clone();
            self.remove(&name).await?;
        }
        Ok(())
    }

    /// Removes all files. Returns the bytes that they took.
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
    /// What need not be computed behind `held` entries, where `bytes` are read for it.
    pub(super) fn gain(&self, held: usize, bytes: u64) -> Gain {
        Gain { bytes, ..gain(&self.head.entries[held.min(self.entries)..self.entries]) }
    }
}

/// Work to compute entries.
pub(super) fn gain(entries: &[ContextEntry]) -> Gain {
    let pictures = entries.iter().filter(|entry| entry.fingerprint().is_some()).count();
    Gain { entries: entries.len(), pictures, bytes: 0 }
}
