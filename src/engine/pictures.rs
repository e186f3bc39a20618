//! Pictures to features, computed once for each different picture.

use std::collections::HashMap;
use std::rc::Rc;

use super::Engine;
use super::events::{Cancel, Event, Stage};
use super::load::Resident;
use super::prompt::SizedPicture;
use super::session::ContextEntry;
use super::tower::TowerRun;
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Gpu, Purpose, Recording};
use crate::image::Fingerprint;
use crate::model::vision::Pixels;
use crate::model::{Features, Input, Model};

/// Pictures whose features are kept for later questions.
pub(super) const KEPT: usize = 4;

/// The features of a prompt's pictures in one buffer, and where each picture's rows begin.
#[derive(Debug, Default)]
pub(super) struct PromptFeatures {
    pub(super) rows: Option<Features>,
    first_rows: HashMap<Fingerprint, u32>,
}

impl PromptFeatures {
    /// What starts the row of a slot.
    pub(super) fn input(&self, slot: &ContextEntry) -> Result<Input> {
        match slot {
            ContextEntry::Token(id) => Ok(Input::Token(*id)),
            ContextEntry::Picture { fingerprint, row } => match self.first_rows.get(fingerprint) {
                Some(first) => Ok(Input::Feature(first + row)),
                None => Err(Error::Internal { detail: "a picture was not encoded".into() }),
            },
        }
    }
}

/// The pictures in a part of a prompt, and their features while they are on the device.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    pub(super) slots: &'a [ContextEntry],
    pub(super) pictures: &'a [Rc<SizedPicture>],
    pub(super) features: Option<PromptFeatures>,
}

impl<'a> Shown<'a> {
    /// Those of `pictures` that `slots` name, not encoded yet.
    pub(super) fn new(slots: &'a [ContextEntry], pictures: &'a [Rc<SizedPicture>]) -> Self {
        Self { slots, pictures, features: None }
    }
}

impl Engine {
    /// Encodes those of `pictures` that occur in `slots`, each once.
    pub(super) async fn encode_pictures(
        &mut self,
        slots: &[ContextEntry],
        pictures: &[Rc<SizedPicture>],
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<PromptFeatures> {
        let mut wanted: Vec<&SizedPicture> = Vec::new();
        for slot in slots {
            let ContextEntry::Picture { fingerprint, .. } = slot else { continue };
            if wanted.iter().any(|picture| picture.fingerprint == *fingerprint) {
                continue;
            }
            wanted
                .extend(pictures.iter().find(|picture| picture.fingerprint == *fingerprint).map(|picture| &**picture));
        }
        let Resident { model, tower, cache } = self.resident.as_mut().ok_or_else(super::not_there)?;
        if wanted.iter().any(|picture| self.features.find(picture).is_none()) {
            // Pages that nobody needs now are memory for the tower.
            cache.trim().await?;
        }
        let mut encoder = Encoder {
            model,
            allowance: self.plan.feature_rows,
            tower: TowerRun::new(&self.gpu, &self.manifest, &*self.shards, &self.plan, tower.as_ref()),
        };
        self.features.encode(&mut encoder, &wanted, cancel, on_event).await
    }
}

/// What encodes pictures.
struct Encoder<'a> {
    model: &'a mut Model,
    tower: TowerRun<'a>,
    /// Rows of features that may be on the GPU at once.
    allowance: usize,
}

/// A picture's rows among those of a buffer.
#[derive(Debug, Clone)]
struct Kept {
    fingerprint: Fingerprint,
    buffer: Buffer,
    first: usize,
    rows: usize,
}

/// Features of recent pictures, oldest first.
#[derive(Debug, Default)]
pub(super) struct FeatureCache {
    kept: Vec<Kept>,
}

fn rows_of(picture: &SizedPicture) -> usize {
    picture.prepared.grid.rows * picture.prepared.grid.cols
}

impl FeatureCache {
    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }

    fn find(&self, picture: &SizedPicture) -> Option<&Kept> {
        self.kept.iter().find(|kept| kept.fingerprint == picture.fingerprint)
    }

    /// The features of all `pictures`, in one buffer.
    async fn encode(
        &mut self,
        encoder: &mut Encoder<'_>,
        pictures: &[&SizedPicture],
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<PromptFeatures> {
        let Some(first) = pictures.first() else { return Ok(PromptFeatures::default()) };
        let held = self.find(first).map(|kept| kept.buffer.clone());
        let all_in = |buffer: &Buffer| {
            pictures.iter().all(|picture| self.find(picture).is_some_and(|kept| kept.buffer.is(buffer)))
        };
        let buffer = match held.filter(all_in) {
            Some(buffer) => buffer,
            None => self.encode_anew(encoder, pictures, cancel, on_event).await?,
        };
        let place = |picture: &&SizedPicture| Some((picture.fingerprint, self.find(picture)?.first as u32));
        let first_rows = pictures.iter().filter_map(place).collect();
        let rows = (buffer.bytes() / row_bytes(encoder.model)) as usize;
        self.kept.drain(..self.kept.len().saturating_sub(KEPT.max(pictures.len())));
        Ok(PromptFeatures { rows: Some(Features { buffer, rows }), first_rows })
    }

    /// A new buffer with the features of `pictures`: those that are kept are copied, the others encoded.
    async fn encode_anew(
        &mut self,
        encoder: &mut Encoder<'_>,
        pictures: &[&SizedPicture],
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Buffer> {
        let gpu = encoder.tower.gpu.clone();
        let row_bytes = row_bytes(encoder.model);
        let total = pictures.iter().map(|picture| rows_of(picture)).sum();
        self.make_room(total, row_bytes, encoder.allowance)?;
        let buffer = gpu.alloc("features", Purpose::Features, total as u64 * row_bytes)?;
        let mut first = 0;
        for (index, picture) in pictures.iter().enumerate() {
            let rows = rows_of(picture);
            let into = Kept { fingerprint: picture.fingerprint, buffer: buffer.clone(), first, rows };
            match self.find(picture) {
                Some(kept) => copy(&gpu, kept, &into, row_bytes)?,
                None => {
                    let mut progress = |layers: usize, depth: usize| {
                        let (done, total) = (index * depth + layers, pictures.len() * depth);
                        on_event(Event::Progress { stage: Stage::Vision, done, total });
                        cancel.check()
                    };
                    let prepared = &picture.prepared;
                    let pixels = Pixels { width: prepared.width, height: prepared.height, rgb: &prepared.rgb };
                    let place = (&buffer, first);
                    encoder.model.encode_picture(&mut encoder.tower, pixels, place, &mut progress).await?;
                }
            }
            self.kept.retain(|kept| kept.fingerprint != picture.fingerprint);
            self.kept.push(into);
            first += rows;
        }
        Ok(buffer)
    }

    /// Forgets old pictures until `rows` more fit the allowance.
    fn make_room(&mut self, rows: usize, row_bytes: u64, allowance: usize) -> Result<()> {
        if rows > allowance {
            let bytes = |rows: usize| rows as u64 * row_bytes;
            return Err(Error::BudgetTooSmall {
                what: "features of the pictures".into(),
                budget: bytes(allowance),
                needed: bytes(rows),
                parts: Vec::new(),
            });
        }
        while !self.kept.is_empty() && self.held_rows(row_bytes) + rows > allowance {
            self.kept.remove(0);
        }
        Ok(())
    }

    /// Rows of all buffers that are kept, the forgotten ones among them included.
    fn held_rows(&self, row_bytes: u64) -> usize {
        let first_of_buffer =
            |(index, kept): &(usize, &Kept)| !self.kept[..*index].iter().any(|earlier| earlier.buffer.is(&kept.buffer));
        let buffers = self.kept.iter().enumerate().filter(first_of_buffer);
        buffers.map(|(_, kept)| (kept.buffer.bytes() / row_bytes) as usize).sum()
    }
}

/// Bytes of one row of features.
fn row_bytes(model: &Model) -> u64 {
    (model.config().text().hidden_size * size_of::<f32>()) as u64
}

fn copy(gpu: &Gpu, from: &Kept, to: &Kept, row_bytes: u64) -> Result<()> {
    let slice = |kept: &Kept| {
        let first = kept.first as u64 * row_bytes;
        kept.buffer.slice(first..first + kept.rows as u64 * row_bytes)
    };
    let mut copies = Recording::new();
    copies.copy(slice(from), slice(to));
    gpu.run("keep features", &copies)
}
