//! Restoring conversations from files.

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
    /// Restores a stored prefix of `wanted`, if it is longer than the conversation's and faster to read than to compute. Errors are
    /// ignored, because the entries can be computed. Returns the milliseconds spent.
    pub(in crate::engine) async fn recall(&mut self, wanted: &[ContextEntry], control: &RequestControl) -> f64 {
        let Some(mut snapshots) = self.snapshots.take() else { return 0.0 };
        let started = (self.clock)();
        // The last entry is always computed, since its logits are needed.
        let begins = &wanted[..wanted.len().saturating_sub(1)];
        let held = self.conversation.kept_of(wanted);
        if let Some(found) = snapshots.best(begins).filter(|found| found.entries > held) {
            let name = found.known.file.name.clone();
            match self.recall_from(&mut snapshots, (&found, held), control).await {
                Ok(true) => snapshots.touch(&name).await,
                // If it cannot be removed, it fails again after the next start.
                Err(Error::InvalidPackage { .. }) => drop(snapshots.remove(&name).await),
                // Missing, or not readable at the moment.
                Err(Error::Io { .. }) => snapshots.forget(&name),
                Ok(false) | Err(_) => {}
            }
            // After an error this returns to the former conversation.
            self.switch_to(wanted);
        }
        self.snapshots = Some(snapshots);
        let ms = (self.clock)() - started;
        control.spend(0, ms);
        ms
    }

    /// Returns true if the conversation was restored.
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
                // Even reading all of it would not pay on this device.
                snapshots.remove(&found.known.file.name).await?;
            }
            return Ok(false);
        }
        // Makes the conversation idle: memory may not suffice for the checkpoints of both.
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

    /// Keeps snapshots of conversations in a store, in at most `budget` bytes, and uses the existing ones.
    ///
    /// # Errors
    /// [`Error::Io`] if the store cannot be read, [`Error::DeviceLost`].
    pub async fn open_snapshots(&mut self, store: Box<dyn super::SnapshotStore>, budget: u64) -> Result<()> {
        let numerics = self.backend.numerics()?;
        let snapshots = Snapshots::open(self.backend.model()?, store, budget, &numerics).await?;
        self.encoder.set_known_edges(snapshots.edges());
        self.snapshots = Some(snapshots);
        Ok(())
    }

    /// Removes all snapshots from the store. Returns their bytes. Conversations in memory stay.
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

/// The first `len` entries and their passes, split where they exceed the rows that the model now computes at once.
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
