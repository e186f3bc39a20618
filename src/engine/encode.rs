//! Messages or ids, and pictures, to the entries of a conversation.

use std::borrow::Cow;
use std::rc::Rc;

use super::Engine;
use super::backend::Backend;
use super::events::Event;
use super::prompt::{ContextEntry, Encoded, Picture, Prompt, SizedPicture};
use crate::chat::{ChatTemplate, EncodedChat, Message, fill_system_prompt};
use crate::error::{Error, Result};
use crate::families::{Pictures, definition};
use crate::image::{decode, fingerprint};
use crate::weights::manifest::Manifest;

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
                let rules = self.picture_rules();
                let tokens = |picture: &SizedPicture| rules.map(|rules| rules.tokens(picture.prepared.grid));
                let tokens: Vec<Vec<u32>> = sized.iter().filter_map(tokens).collect(); // [pictures, tokens]
                let EncodedChat { ids, pictures } = self.encode_chat(messages, &tokens)?;
                (ids, pictures)
            }
        };
        let mut places: Vec<_> = sized.into_iter().map(|picture| Some(Rc::new(picture))).collect();
        let take = |index: usize| {
            let missing = || Error::request("messages", format!("picture {index} is missing or used twice"));
            places.get_mut(index).and_then(Option::take).ok_or_else(missing)
        };
        let pictures: Vec<_> = order.into_iter().map(take).collect::<Result<_>>()?;
        let entries = self.entries(&ids, &pictures)?;
        Ok(Encoded { ids, entries, pictures })
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
    fn entries(&self, ids: &[u32], pictures: &[Rc<SizedPicture>]) -> Result<Vec<ContextEntry>> {
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
