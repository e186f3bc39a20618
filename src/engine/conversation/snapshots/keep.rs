//! Writing conversations to files while the engine is idle.

use sha2::{Digest, Sha256};

use super::format::{HASH, Head, SizedAs, damaged, trailer};
use super::index::{Snapshots, gain};
use super::rates::{Gain, Work};
use super::store::StoredFile;
use crate::engine::Engine;
use crate::engine::conversation::Conversation;
use crate::engine::conversation::history::PastPass;
use crate::engine::device::backend::Backend;
use crate::error::{Error, Result};
use crate::image::Fingerprint;
use crate::model::LanguageModel;
use crate::state::Part;

/// A file that must be written.
struct Draft {
    name: String,
    head: Head,
    parts: Vec<Part>,
    /// Gain over the best file in the store.
    gain: Gain,
    bytes: u64,
}

impl<B: Backend> Engine<B> {
    /// Writes conversations that are worth it to the store, if there is one, part by part while `go_on` returns true. Returns true if all
    /// of them are stored. An interrupted file is dropped, and begun again by the next call.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::InvalidPackage`], after which that conversation is not tried again, and errors of the device. Conversations
    /// in memory stay.
    pub async fn keep_snapshots(&mut self, go_on: &mut dyn FnMut() -> bool) -> Result<bool> {
        let Some(mut snapshots) = self.snapshots.take() else { return Ok(true) };
        let kept = self.keep_all(&mut snapshots, go_on).await;
        self.encoder.set_known_edges(snapshots.edges());
        self.snapshots = Some(snapshots);
        kept
    }

    async fn keep_all(&mut self, snapshots: &mut Snapshots, go_on: &mut dyn FnMut() -> bool) -> Result<bool> {
        if self.conversation.state().is_some() {
            self.conversation.forget_evicted();
        }
        self.idle.forget_evicted();
        let clock = self.clock;
        let model = self.backend.model()?;
        for conversation in [&self.conversation].into_iter().chain(self.idle.latest_first()) {
            let Some(draft) = draft(snapshots, model, conversation) else { continue };
            let Draft { ref name, .. } = draft;
            if draft.bytes > snapshots.budget || !snapshots.rates.pays(draft.gain) {
                snapshots.refuse(name);
                continue;
            }
            let written = write(snapshots, model, conversation, &draft, go_on).await;
            match written {
                Ok(true) => {}
                Ok(false) => {
                    snapshots.store.give_up().await?;
                    return Ok(false);
                }
                Err(error) => {
                    if let Error::Io { .. } | Error::InvalidPackage { .. } = error {
                        snapshots.refuse(name);
                    }
                    // A file that cannot be removed now is removed when the next one is begun.
                    let _ = snapshots.store.give_up().await;
                    return Err(error);
                }
            }
            let Draft { name, head, bytes, gain, parts } = draft;
            let file = StoredFile { name: name.clone(), bytes };
            snapshots.add(file.clone(), head).await?;
            if snapshots.rates.known()[Work::Bytes as usize] > 0.0 {
                continue;
            }
            // The read rate decides whether further files pay. This measurement lacks the upload to the device.
            let started = clock();
            for (part, range, hash) in snapshots.check(model, &file).await?.parts {
                if !go_on() {
                    return Ok(false);
                }
                let bytes = snapshots.store.read(&name, range).await?;
                if Fingerprint::from(Sha256::digest(&bytes)) != hash || part.bytes != bytes.len() as u64 {
                    snapshots.remove(&name).await?;
                    return Err(damaged("it was not written as it was meant"));
                }
            }
            let read: u64 = parts.iter().map(|part| part.bytes).sum();
            snapshots.rates.note(Work::Bytes, read as f64, clock() - started);
            if !snapshots.rates.pays(gain) {
                snapshots.remove(&name).await?;
                snapshots.refuse(&name);
            }
        }
        Ok(true)
    }
}

/// The file of a conversation, if it is worth one.
fn draft<M: LanguageModel>(snapshots: &Snapshots, model: &M, conversation: &Conversation<M>) -> Option<Draft> {
    let outline = model.outline(conversation.state()?);
    let entries = conversation.entries().get(..outline.entries).filter(|entries| !entries.is_empty())?;
    let name = snapshots.name(entries);
    if snapshots.covers(entries) || snapshots.is_refused(&name) {
        return None;
    }
    let passes: Vec<PastPass> = conversation.passes(entries.len());
    let pictures = conversation.pictures().iter();
    let sizes = pictures.map(|picture| SizedAs { sizing: picture.sizing(), edge: picture.edge }).collect();
    let (identity, rates, entries) = (snapshots.identity, snapshots.rates, entries.to_vec());
    let parts = model.parts(&outline, snapshots.budget).ok()?;
    let best = snapshots.best(&entries).map_or(0, |found| found.entries);
    let kept = outline.cut(best);
    let of_parts = |is_wanted: &dyn Fn(&Part) -> bool| -> u64 {
        parts.iter().filter(|part| is_wanted(part)).map(|part| part.bytes).sum()
    };
    let gain = Gain { bytes: of_parts(&|part| !part.is_of(&kept)), ..gain(&entries[best..]) };
    let branch = conversation.branch().filter(|branch| *branch <= entries.len()).unwrap_or(0);
    let head = Head { identity, rates, entries, sizes, outline, passes, branch };
    let bytes = of_parts(&|_| true) + head.to_bytes().len() as u64 + ((parts.len() + 1) * HASH) as u64;
    Some(Draft { name, head, parts, gain, bytes })
}

/// Writes a file. Returns false if interrupted.
async fn write<M: LanguageModel>(
    snapshots: &Snapshots,
    model: &mut M,
    conversation: &Conversation<M>,
    Draft { name, head, parts, .. }: &Draft,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<bool> {
    let Some(state) = conversation.state() else { return Ok(false) };
    let (store, head, mut hashes) = (&*snapshots.store, head.to_bytes(), Vec::with_capacity(parts.len()));
    if !go_on() {
        return Ok(false);
    }
    store.begin(name).await?;
    store.append(head.clone()).await?;
    for part in parts {
        if !go_on() {
            return Ok(false);
        }
        let bytes = model.read_part(state, part).await?;
        if bytes.len() as u64 != part.bytes {
            return Err(Error::Internal { detail: format!("{} bytes of a part of {}", bytes.len(), part.bytes) });
        }
        hashes.push(Sha256::digest(&bytes).into());
        store.append(bytes).await?;
    }
    store.append(trailer(&head, &hashes)).await?;
    store.finish().await?;
    Ok(true)
}
