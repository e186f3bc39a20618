//! Pictures to features, computed once for each different picture.

use std::collections::HashMap;

use super::events::{Event, RequestContext, Stage};
use super::prompt::{ContextEntry, SizedPicture};
use super::tower::TowerRun;
use crate::error::{Error, Result};
use crate::families::tower::Pixels;
use crate::gpu::{Allocator, Buffer, Gpu, Purpose, Recording};
use crate::image::Fingerprint;
use crate::memory::KEPT_PICTURES;
use crate::model::{Features, Input, Model};

/// The features of a prompt's pictures in one buffer, and where each picture's rows begin.
#[derive(Debug, Default)]
pub struct PromptImages {
    pub(super) rows: Option<Features>,
    first_rows: HashMap<Fingerprint, u32>,
}

impl PromptImages {
    /// What starts the row of an entry.
    pub(super) fn input(&self, entry: &ContextEntry) -> Result<Input> {
        match entry {
            ContextEntry::Token(id) => Ok(Input::Token(*id)),
            ContextEntry::Picture { fingerprint, row } => match self.first_rows.get(fingerprint) {
                Some(first) => Ok(Input::Feature(first + row)),
                None => Err(Error::Internal { detail: "a picture was not encoded".into() }),
            },
        }
    }
}

/// What encodes pictures.
pub(super) struct Encoder<'a> {
    pub(super) model: &'a mut Model,
    pub(super) tower: TowerRun<'a>,
    /// Rows of features that may be on the GPU at once.
    pub(super) allowance: usize,
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

    /// Whether the features of a picture are there.
    pub(super) fn has(&self, picture: &SizedPicture) -> bool {
        self.find(picture).is_some()
    }

    fn find(&self, picture: &SizedPicture) -> Option<&Kept> {
        self.kept.iter().find(|kept| kept.fingerprint == picture.fingerprint)
    }

    /// The features of all `pictures`, in one buffer.
    pub(super) async fn encode(
        &mut self,
        encoder: &mut Encoder<'_>,
        pictures: &[&SizedPicture],
        context: &mut RequestContext<'_>,
    ) -> Result<PromptImages> {
        let Some(first) = pictures.first() else { return Ok(PromptImages::default()) };
        let held = self.find(first).map(|kept| kept.buffer.clone());
        let all_in = |buffer: &Buffer| {
            pictures.iter().all(|picture| self.find(picture).is_some_and(|kept| kept.buffer.is(buffer)))
        };
        let buffer = match held.filter(all_in) {
            Some(buffer) => buffer,
            None => self.encode_anew(encoder, pictures, context).await?,
        };
        let place = |picture: &&SizedPicture| Some((picture.fingerprint, self.find(picture)?.first as u32));
        let first_rows = pictures.iter().filter_map(place).collect();
        let rows = (buffer.bytes() / row_bytes(encoder.model)) as usize;
        self.kept.drain(..self.kept.len().saturating_sub(KEPT_PICTURES.max(pictures.len())));
        Ok(PromptImages { rows: Some(Features { buffer, rows }), first_rows })
    }

    /// A new buffer with the features of `pictures`: those that are kept are copied, the others encoded.
    async fn encode_anew(
        &mut self,
        encoder: &mut Encoder<'_>,
        pictures: &[&SizedPicture],
        context: &mut RequestContext<'_>,
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
                        (context.on_event)(Event::Progress { stage: Stage::Vision, done, total });
                        context.cancel.check()
                    };
                    let prepared = &picture.prepared;
                    let pixels = Pixels { width: prepared.width, height: prepared.height, rgb: &prepared.rgb };
                    // The decoder's work memory serves the tower meanwhile.
                    encoder.model.release();
                    encoder.tower.encode(&pixels, (&buffer, first), &mut progress).await?;
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
    (model.config().hidden_size * size_of::<f32>()) as u64
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
