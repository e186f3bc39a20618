//! Features of pictures, computed once for each distinct picture.

use std::collections::HashMap;

use super::tower::TowerRun;
use crate::engine::control::RequestContext;
use crate::engine::events::{Event, Stage};
use crate::engine::prompt::{ContextEntry, SizedPicture};
use crate::error::{Error, Result};
use crate::families::{Pictures, definition};
use crate::gpu::{Allocator, Buffer, Purpose, Recording, Slice};
use crate::image::{Fingerprint, PreparedImage};
use crate::layers::vision::{FeatureRows, Pixels};
use crate::memory::KEPT_PICTURES;
use crate::model::{Features, Input, Model};

/// Features of a prompt's pictures in one buffer, with the first row of each picture.
#[derive(Debug, Default)]
pub struct PromptImages {
    pub(in crate::engine) rows: Option<Features>,
    first_rows: HashMap<Fingerprint, u32>,
}

impl PromptImages {
    /// Feature rows of each token.
    fn of_token(&self) -> u32 {
        self.rows.as_ref().map_or(1, |rows| rows.of_token as u32)
    }

    /// Decoder input of an entry.
    pub(in crate::engine) fn input(&self, entry: &ContextEntry) -> Result<Input> {
        match entry {
            ContextEntry::Token(token) | ContextEntry::First { token, .. } => Ok(Input::Token(*token)),
            ContextEntry::Picture { fingerprint, row } => match self.first_rows.get(fingerprint) {
                Some(first) => Ok(Input::Feature(first + row * self.of_token())),
                None => Err(Error::Internal { detail: "a picture was not encoded".into() }),
            },
        }
    }
}

/// Rows of one picture in a buffer.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Kept {
    fingerprint: Fingerprint,
    buffer: Buffer,
    first: usize,
    rows: usize,
}

impl Kept {
    fn slice(&self, row_bytes: u64) -> Slice {
        self.buffer.slice(self.first as u64 * row_bytes..(self.first + self.rows) as u64 * row_bytes)
    }
}

/// Features of recent pictures, oldest first.
#[derive(Debug, Default)]
pub(in crate::engine) struct FeatureCache {
    kept: Vec<Kept>,
}

impl FeatureCache {
    /// The features of a picture, if cached.
    pub(in crate::engine) fn find(&self, picture: &SizedPicture) -> Option<&Kept> {
        self.kept.iter().find(|kept| kept.fingerprint == picture.fingerprint)
    }

    /// Returns the features of all `pictures` in one buffer.
    pub(in crate::engine) async fn encode(
        &mut self,
        (model, tower): (&mut Model, &mut TowerRun<'_>),
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
            None => self.encode_anew((model, tower), pictures, context).await?,
        };
        let place = |picture: &&SizedPicture| Some((picture.fingerprint, self.find(picture)?.first as u32));
        let first_rows: HashMap<_, _> = pictures.iter().filter_map(place).collect();
        let first = |picture: &&SizedPicture| Some((*first_rows.get(&picture.fingerprint)?, picture.prepared.grid));
        let mut grids: Vec<_> = pictures.iter().filter_map(first).collect();
        grids.sort_unstable_by_key(|(first, _)| *first);
        let (rows, of_token) = ((buffer.bytes() / row_bytes(model)) as usize, rows_of_token(tower));
        self.kept.drain(..self.kept.len().saturating_sub(KEPT_PICTURES.max(pictures.len())));
        Ok(PromptImages { rows: Some(Features { buffer, rows, of_token, pictures: grids }), first_rows })
    }

    /// Fills a new buffer with the features of `pictures`: cached ones are copied, the others encoded.
    async fn encode_anew(
        &mut self,
        (model, tower): (&mut Model, &mut TowerRun<'_>),
        pictures: &[&SizedPicture],
        context: &mut RequestContext<'_>,
    ) -> Result<Buffer> {
        let gpu = tower.gpu.clone();
        let row_bytes = row_bytes(model);
        let rules = definition(&tower.manifest.config).pictures();
        let rows_of = |picture: &SizedPicture| rules.map_or(0, |rules| rules.feature_rows(picture.prepared.grid));
        let total = pictures.iter().map(|picture| rows_of(picture)).sum();
        self.make_room(total, row_bytes, tower.plan.feature_rows)?;
        let buffer = gpu.alloc("features", Purpose::Features, total as u64 * row_bytes)?;
        let mut first = 0;
        for (index, picture) in pictures.iter().enumerate() {
            let rows = rows_of(picture);
            let into = Kept { fingerprint: picture.fingerprint, buffer: buffer.clone(), first, rows };
            match self.find(picture) {
                Some(kept) => {
                    let mut copies = Recording::new();
                    copies.copy(kept.slice(row_bytes), into.slice(row_bytes));
                    gpu.run("keep features", &copies)?;
                }
                None => {
                    let control = context.control;
                    let mut progress = |layers: usize, depth: usize| {
                        let (done, total) = (index * depth + layers, pictures.len() * depth);
                        (context.on_event)(Event::Progress { stage: Stage::Vision, done, total });
                    };
                    let prepared = &picture.prepared;
                    let PreparedImage { width, height, grid, rgb } = prepared;
                    let pixels = Pixels { width: *width, height: *height, grid: *grid, rgb };
                    // The tower uses the decoder's work memory meanwhile.
                    model.release();
                    tower.encode(&pixels, FeatureRows { buffer: &buffer, first }, (control, &mut progress)).await?;
                }
            }
            self.kept.retain(|kept| kept.fingerprint != picture.fingerprint);
            self.kept.push(into);
            first += rows;
        }
        Ok(buffer)
    }

    /// Drops the oldest pictures until `rows` more fit the allowance.
    fn make_room(&mut self, rows: usize, row_bytes: u64, allowance: usize) -> Result<()> {
        if rows > allowance {
            let (budget, needed) = (allowance as u64 * row_bytes, rows as u64 * row_bytes);
            return Err(Error::BudgetTooSmall {
                what: "features of the pictures".into(),
                budget,
                needed,
                parts: Vec::new(),
            });
        }
        while !self.kept.is_empty() && self.held_rows(row_bytes) + rows > allowance {
            self.kept.remove(0);
        }
        Ok(())
    }

    /// Rows of all buffers in use, including rows of dropped pictures in them.
    fn held_rows(&self, row_bytes: u64) -> usize {
        let first_of_buffer =
            |(index, kept): &(usize, &Kept)| !self.kept[..*index].iter().any(|earlier| earlier.buffer.is(&kept.buffer));
        let buffers = self.kept.iter().enumerate().filter(first_of_buffer);
        buffers.map(|(_, kept)| (kept.buffer.bytes() / row_bytes) as usize).sum()
    }
}

fn row_bytes(model: &Model) -> u64 {
    (model.config().hidden_size * size_of::<f32>()) as u64
}

/// Feature rows of each picture token.
fn rows_of_token(tower: &TowerRun<'_>) -> usize {
    definition(&tower.manifest.config).pictures().map_or(1, Pictures::rows_of_token)
}
