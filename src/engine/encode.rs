//! Messages or ids, and pictures, to the entries of a conversation.

use std::rc::Rc;

use super::Engine;
use super::backend::Backend;
use super::events::Event;
use super::prompt::{ContextEntry, Encoded, Picture, Prompt, SizedPicture};
use crate::chat::{encode_chat, picture_order};
use crate::error::{Error, Result};
use crate::families::mistral3::VisionConfig;
use crate::image::{decode, fingerprint, prepare};

/// Largest picture decoded, in millions of pixels. A browser scales larger ones down while it decodes them.
const MEGAPIXELS: u32 = 100;

impl<B: Backend> Engine<B> {
    /// Decodes the pictures, encodes the text and lays both out.
    pub(super) fn encode(&self, prompt: &Prompt, pictures: &[Picture]) -> Result<Encoded> {
        let sized: Vec<SizedPicture> =
            pictures.iter().enumerate().map(|(i, picture)| self.size_picture(i, picture)).collect::<Result<_>>()?;
        let (ids, order) = match prompt {
            Prompt::Ids(ids) if ids.is_empty() => {
                return Err(Error::request("input_ids", "at least one token is needed"));
            }
            Prompt::Ids(ids) => (ids.clone(), (0..sized.len()).collect()),
            Prompt::Messages(messages) => {
                let grids: Vec<_> = sized.iter().map(|picture| picture.prepared.grid).collect();
                (encode_chat(messages, &grids, &self.tokenizer)?, picture_order(messages)?)
            }
        };
        let mut places: Vec<Option<SizedPicture>> = sized.into_iter().map(Some).collect();
        let mut ordered: Vec<SizedPicture> = Vec::with_capacity(order.len());
        for index in order {
            match places.get_mut(index).and_then(Option::take) {
                Some(picture) => ordered.push(picture),
                None => return Err(Error::request("messages", format!("picture {index} is missing or used twice"))),
            }
        }
        let entries = self.entries(&ids, &ordered)?;
        Ok(Encoded { ids, entries, pictures: ordered.into_iter().map(Rc::new).collect() })
    }

    fn size_picture(&self, index: usize, picture: &Picture) -> Result<SizedPicture> {
        let Some(vision) = self.backend.config().vision() else {
            return Err(Error::request(format!("pictures[{index}]"), "this model reads no pictures"));
        };
        let decoded;
        let rgb = match picture {
            Picture::Rgb(rgb) => rgb,
            Picture::Encoded(bytes) => {
                decoded = decode(bytes, MEGAPIXELS)?;
                &decoded
            }
        };
        let (full, edge) = (vision.image_size, self.backend.longest_edge().min(vision.image_size));
        let prepared = prepare(rgb, &VisionConfig { image_size: edge, ..vision.clone() })?;
        let note = (edge < full && rgb.width.max(rgb.height) as usize > edge).then(|| Event::Note {
            picture: index,
            message: format!("scaled down to {edge} pixels for want of GPU memory; the model itself would take {full}"),
        });
        Ok(SizedPicture { fingerprint: fingerprint(rgb), prepared, note })
    }

    /// Gives every picture token the next row of the pictures' features.
    fn entries(&self, ids: &[u32], pictures: &[SizedPicture]) -> Result<Vec<ContextEntry>> {
        let image_token = self.backend.config().vision().map(|vision| vision.image_token_id);
        let mut rows = pictures.iter().flat_map(|picture| {
            let fingerprint = picture.fingerprint;
            let count = picture.prepared.grid.rows * picture.prepared.grid.cols;
            (0..count as u32).map(move |row| ContextEntry::Picture { fingerprint, row })
        });
        let mismatch = || Error::request("input_ids", "the picture tokens do not match the pictures' sizes");
        let entry = |&id: &u32| {
            if Some(id) == image_token { rows.next().ok_or_else(mismatch) } else { Ok(ContextEntry::Token(id)) }
        };
        let entries = ids.iter().map(entry).collect::<Result<_>>()?;
        if rows.next().is_some() {
            return Err(mismatch());
        }
        Ok(entries)
    }
}
