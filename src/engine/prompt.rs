//! What a request shows the model: messages or ids, and pictures; and the entries of a conversation that they become.

use std::borrow::Cow;
use std::rc::Rc;

use super::Engine;
use super::backend::Backend;
use super::events::Event;
use crate::chat::{ChatTemplate, EncodedChat, Message, fill_system_prompt};
use crate::error::{Error, Result};
use crate::families::{Pictures, definition};
use crate::image::{Fingerprint, PreparedImage, Rgb8, decode, fingerprint};
use crate::weights::manifest::Manifest;

/// Largest picture decoded, in millions of pixels. A browser scales larger ones down while it decodes them.
const MEGAPIXELS: u32 = 100;

/// What the model is to continue.
#[derive(Debug, Clone, PartialEq)]
pub enum Prompt {
    /// A conversation; [`crate::chat::ContentPart::Image`] counts the request's pictures.
    Messages(Vec<Message>),
    /// Token ids; runs of picture tokens take the request's pictures in order.
    Ids(Vec<u32>),
}

/// A picture of a request.
#[derive(Debug, Clone)]
pub enum Picture {
    /// The bytes of a PNG, JPEG or WebP file.
    Encoded(Vec<u8>),
    /// Pixels.
    Rgb(Rgb8),
}

/// A picture at the size the model sees it.
#[derive(Debug)]
pub struct SizedPicture {
    pub(super) fingerprint: Fingerprint,
    pub(super) prepared: PreparedImage,
    /// What the caller should know about it.
    pub(super) note: Option<Event>,
}

/// A prompt ready to compute.
#[derive(Debug)]
pub(super) struct Encoded {
    /// Token ids, picture tokens included.
    pub(super) ids: Vec<u32>,
    /// The same, with pictures told apart.
    pub(super) entries: Vec<ContextEntry>,
    /// Pictures in the order of their tokens.
    pub(super) pictures: Vec<Rc<SizedPicture>>,
}

/// What one entry of a conversation stands for. Equal entries behind equal entries have equal states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextEntry {
    /// A token.
    Token(u32),
    /// A row of a picture's features.
    Picture {
        /// Which picture.
        fingerprint: Fingerprint,
        /// Which of its rows.
        row: u32,
    },
}

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
                let rules = self.picture_rules();
                let tokens = |picture: &SizedPicture| rules.map(|rules| rules.tokens(picture.prepared.grid));
                let tokens: Vec<Vec<u32>> = sized.iter().filter_map(tokens).collect(); // [pictures, tokens]
                let EncodedChat { ids, pictures } = self.encode_chat(messages, &tokens)?;
                (ids, pictures)
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

    /// How the model sees pictures, if it does.
    fn picture_rules(&self) -> Option<&dyn Pictures> {
        definition(&self.backend.manifest().config).pictures()
    }

    /// The conversation in the layout of the package.
    fn encode_chat(&self, messages: &[Message], pictures: &[Vec<u32>]) -> Result<EncodedChat> {
        let Manifest { chat, name, config, .. } = self.backend.manifest();
        let system = chat.default_system_prompt.as_deref();
        let system = system.map(|prompt| fill_system_prompt(prompt, name, (self.today)()));
        let layout = definition(config).chat_layout(&chat.template)?;
        let template = ChatTemplate { layout, bos: chat.bos_token_id, default_system: system.as_deref() };
        template.encode(messages, pictures, &self.tokenizer)
    }

    fn size_picture(&self, index: usize, picture: &Picture) -> Result<SizedPicture> {
        let Some(rules) = self.picture_rules() else {
            return Err(Error::request(format!("pictures[{index}]"), "this model reads no pictures"));
        };
        let rgb = &match picture {
            Picture::Rgb(rgb) => Cow::Borrowed(rgb),
            Picture::Encoded(bytes) => Cow::Owned(decode(bytes, MEGAPIXELS)?),
        };
        let full = rules.largest_edge();
        let edge = self.backend.longest_edge().min(full);
        let prepared = rules.prepare(rgb, edge)?;
        let note = (edge < full && rgb.width.max(rgb.height) as usize > edge).then(|| Event::Note {
            picture: index,
            message: format!("scaled down to {edge} pixels for want of GPU memory; the model itself would take {full}"),
        });
        Ok(SizedPicture { fingerprint: fingerprint(rgb), prepared, note })
    }

    /// Gives every picture token the next row of the pictures' features.
    fn entries(&self, ids: &[u32], pictures: &[SizedPicture]) -> Result<Vec<ContextEntry>> {
        let rules = self.picture_rules();
        let image_token = rules.map(|rules| rules.image_token());
        let mut rows = pictures.iter().flat_map(|picture| {
            let fingerprint = picture.fingerprint;
            let count = rules.map_or(0, |rules| rules.rows(picture.prepared.grid));
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
