//! Pictures to features, computed once for each different picture.

use std::collections::HashMap;

use super::Engine;
use super::events::{Cancel, Event, Stage};
use super::prompt::{Encoded, SizedPicture};
use super::session::Slot;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Purpose, Recording};
use crate::image::Fingerprint;
use crate::model::vision::Pixels;
use crate::model::{Features, Input, Model};

/// Pictures whose features are kept for later questions.
const KEPT: usize = 4;

/// The features of a prompt's pictures in one buffer, and where each picture's rows begin.
#[derive(Debug, Default)]
pub(super) struct PromptFeatures {
    pub(super) rows: Option<Features>,
    first_rows: HashMap<Fingerprint, u32>,
}

impl PromptFeatures {
    /// What starts the row of a slot.
    pub(super) fn input(&self, slot: &Slot) -> Result<Input> {
        match slot {
            Slot::Token(id) => Ok(Input::Token(*id)),
            Slot::Picture { fingerprint, row } => match self.first_rows.get(fingerprint) {
                Some(first) => Ok(Input::Feature(first + row)),
                None => Err(Error::Internal { detail: "a picture was not encoded".into() }),
            },
        }
    }
}

impl Engine {
    /// Encodes the pictures that occur from slot `first` on, each once.
    pub(super) async fn encode_pictures(
        &mut self,
        encoded: &Encoded,
        first: usize,
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<PromptFeatures> {
        let mut first_rows = HashMap::new();
        let mut wanted = Vec::new();
        let mut next_row = 0;
        for slot in &encoded.slots[first..] {
            let Slot::Picture { fingerprint, .. } = slot else { continue };
            let picture = encoded.pictures.iter().find(|picture| picture.fingerprint == *fingerprint);
            if let (Some(picture), false) = (picture, first_rows.contains_key(fingerprint)) {
                first_rows.insert(*fingerprint, next_row);
                next_row += (picture.prepared.grid.rows * picture.prepared.grid.cols) as u32;
                wanted.push(picture);
            }
        }
        let rows = self.features.encode(&self.gpu, &self.model, &wanted, cancel, on_event).await?;
        Ok(PromptFeatures { rows, first_rows })
    }
}

/// Features of recent pictures, oldest first.
#[derive(Debug, Default)]
pub(super) struct FeatureCache {
    kept: Vec<(Fingerprint, Features)>,
}

impl FeatureCache {
    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }

    /// The features of all `pictures`, one behind the other in one buffer; `None` if there are none.
    pub(super) async fn encode(
        &mut self,
        gpu: &Gpu,
        model: &Model,
        pictures: &[&SizedPicture],
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Option<Features>> {
        let mut encoded = Vec::with_capacity(pictures.len());
        for (index, picture) in pictures.iter().enumerate() {
            let mut progress = |layers: usize, depth: usize| {
                let (done, total) = (index * depth + layers, pictures.len() * depth);
                on_event(Event::Progress { stage: Stage::Vision, done, total });
                cancel.check()
            };
            encoded.push(self.features(model, picture, &mut progress).await?);
        }
        join(gpu, encoded)
    }

    async fn features(
        &mut self,
        model: &Model,
        picture: &SizedPicture,
        progress: &mut dyn FnMut(usize, usize) -> Result<()>,
    ) -> Result<Features> {
        if let Some((_, features)) = self.kept.iter().find(|(fingerprint, _)| *fingerprint == picture.fingerprint) {
            return Ok(features.clone());
        }
        let prepared = &picture.prepared;
        let pixels = Pixels { width: prepared.width, height: prepared.height, rgb: &prepared.rgb };
        let features = model.encode_picture(pixels, progress).await?;
        if self.kept.len() == KEPT {
            self.kept.remove(0);
        }
        self.kept.push((picture.fingerprint, features.clone()));
        Ok(features)
    }
}

fn join(gpu: &Gpu, mut encoded: Vec<Features>) -> Result<Option<Features>> {
    if encoded.len() < 2 {
        return Ok(encoded.pop());
    }
    let rows = encoded.iter().map(|features| features.rows).sum();
    let row_bytes = |features: &Features| features.buffer.bytes() / features.rows as u64;
    let bytes = encoded.iter().map(|features| row_bytes(features) * features.rows as u64).sum();
    let buffer = gpu.alloc("features", Purpose::Activations, bytes)?;
    let mut copies = Recording::new();
    let mut offset = 0;
    for features in &encoded {
        let bytes = features.buffer.bytes();
        copies.copy(features.buffer.all(), buffer.slice(offset..offset + bytes));
        offset += bytes;
    }
    gpu.run("join features", &copies)?;
    Ok(Some(Features { buffer, rows }))
}
