//! From a file to a conversation.

use sha2::{Digest, Sha256};

use super::format::{Head, damaged};
use super::index::{Found, Snapshots, gain};
use super::rates::{Gain, Work};
use crate::engine::Engine;
use crate::engine::control::RequestControl;
use crate::engine::conversation::Conversation;
use crate::engine::conversation::history::{History, PastPass};
use crate::engine::device::backend::Backend;
use crate::engine::prompt::ContextEntry;
use crate::error::{Error, Result};
use crate::image::Fingerprint;
use crate::model::LanguageModel;
use crate::state::Part;

impl<B: Backend> Engine<B> {
    /// Goes on with what a file holds of the beginning of `wanted`, if that is more than the conversation does and is there sooner than it
    /// would be computed. Whatever goes wrong, it is computed. Returns the milliseconds that it took.
    pub(in crate::engine) async fn recall(&mut self, wanted: &[ContextEntry], control: &RequestControl) -> f64 {
        let Some(mut snapshots) = self.snapshots.take() else { return 0.0 };
        let started = (self.clock)();
        // The last entry is left to compute: its logits are wanted.
        let begins = &wanted[..wanted.len().saturating_sub(1)];
        let held = self.conversation.kept_of(wanted);
        if let Some(found) = snapshots.best(begins).filter(|found| found.entries > held) {
            let name = found.known.file.name.clone();
            match self.recall_from(&mut snapshots, (&found, held), control).await {
                Ok(true) => snapshots.touch(&name).await,
                // Damaged, or gone. If it cannot be removed it is refused the next time.
                Err(Error::Io { .. }) => drop(snapshots.remove(&name).await),
                Ok(false) | Err(_) => {}
            }
            // If it failed, the conversation from before continues.
            self.switch_to(wanted);
        }
        self.snapshots = Some(snapshots);
        let ms = (self.clock)() - started;
        control.spend(0, ms);
        ms
    }

    /// Returns whether the conversation was read.
    async fn recall_from(
        &mut self,
        snapshots: &mut Snapshots,
        (found, held): (&Found, usize),
        control: &RequestControl,
    ) -> Result<bool> {
        let started = (self.clock)();
        let model = self.backend.model()?;
        let checked = snapshots.check(model, &found.known.file).await?;
        if checked.head.entries != found.head.entries {
            return Err(damaged("it is another conversation by now"));
        }
        let outline = checked.head.outline.cut(found.entries);
        let needed = |part: &Part| part.is_of(&outline);
        let bytes = checked.parts.iter().filter(|(part, ..)| needed(part)).map(|(part, ..)| part.bytes).sum();
        if !snapshots.rates.pays(found.gain(held, bytes)) {
            let bytes = checked.parts.iter().map(|(part, ..)| part.bytes).sum();
            if !snapshots.rates.pays(Gain { bytes, ..gain(&checked.head.entries) }) {
                // Not even all of it is worth its room on this device.
                snapshots.remove(&found.known.file.name).await?;
            }
            return Ok(false);
        }
        // It rests: there may be no room for the places that one more remembers.
        self.switch_to(&[]);
        let model = self.backend.model()?;
        let mut state = model.restore(&outline).await?;
        for (part, range, hash) in &checked.parts {
            control.check()?;
            if needed(part) {
                let bytes = snapshots.store.read(&found.known.file.name, range.clone()).await?;
                if Fingerprint::from(Sha256::digest(&bytes)) != *hash {
                    return Err(damaged("a part of it has another hash"));
                }
                model.write_part(&mut state, part, &bytes).await?;
            }
        }
        let branch = checked.head.branch;
        let (entries, passes) = history(checked.head, outline.entries, model.chunk_rows());
        self.conversation = Conversation::restored(state, History::of(entries, passes), branch);
        snapshots.rates.note(Work::Bytes, bytes as f64, (self.clock)() - started);
        Ok(true)
    }

    /// Keeps snapshots of conversations in a store, of at most `budget` bytes, and goes on with those that are there.
    ///
    /// # Errors
    /// [`Error::Io`] where the store cannot be read, [`Error::DeviceLost`].
    pub async fn open_snapshots(&mut self, store: Box<dyn super::SnapshotStore>, budget: u64) -> Result<()> {
        let numerics = self.backend.numerics()?;
        self.snapshots = Some(Snapshots::open(self.backend.model()?, store, budget, &numerics).await?);
        Ok(())
    }

    /// Removes all snapshots from the store. Returns the bytes that they took. What the engine holds in memory stays.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn clear_snapshots(&mut self) -> Result<u64> {
        match &mut self.snapshots {
            Some(snapshots) => snapshots.clear().await,
            None => Ok(0),
        }
    }
}

/// The first `len` entries, and the passes that computed them, none larger than the model computes at once now.
fn history(head: Head, len: usize, most: usize) -> (Vec<ContextEntry>, Vec<PastPass>) {
    let (mut entries, mut passes) = (head.entries, Vec::new());
    entries.truncate(len);
    let ends = head.passes.iter().skip(1).map(|pass| pass.first).chain([len]);
    for (pass, end) in head.passes.iter().zip(ends).filter(|(pass, _)| pass.first < len) {
        if pass.rows <= most {
            passes.push(*pass);
            continue;
        }
        let end = end.min(len);
        for first in (pass.first..end).step_by(most.max(1)) {
            passes.push(PastPass { first, rows: most.min(end - first), is_step: false });
        }
    }
    (entries, passes)
}
