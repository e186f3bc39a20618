//! Encoding of prompts as entries of a conversation.

use std::borrow::Cow;
use std::rc::Rc;

use super::picture_size::{PictureLimits, ShownPicture, Wanted, longest_edge};
use super::sizing;
use super::{ContextEntry, Encoded, Picture, PictureContent, Prompt, SizedPicture};
use crate::chat::{ChatTemplate, EncodedChat, Message, fill_system_prompt};
use crate::engine::Engine;
use crate::engine::device::backend::Backend;
use crate::engine::events::Event;
use crate::error::{Error, Result};
use crate::families::{Pictures, definition};
use crate::image::{Fingerprint, Rgb8, fingerprint, fingerprint_in};
use crate::package::manifest::Manifest;

/// Size limit of decoded pictures, in megapixels. Browsers scale larger ones down while decoding.
const MEGAPIXELS: u32 = 100;

impl<B: Backend> Engine<B> {
    /// Decodes the pictures, and encodes them with the text.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`], [`Error::InvalidImage`], [`Error::ImageTooLarge`] or [`Error::Tokenizer`].
    pub fn encode(&self, prompt: &Prompt, pictures: &[Picture]) -> Result<Encoded> {
        self.encode_within(prompt, pictures, self.pictures)
    }

    /// [`Self::encode`] with other limits for pictures.
    pub(in crate::engine) fn encode_within(
        &self,
        prompt: &Prompt,
        pictures: &[Picture],
        limits: PictureLimits,
    ) -> Result<Encoded> {
        let started = (self.clock)();
        // Token ids assume pictures of the largest size that the model accepts.
        let limits = if let Prompt::Ids(_) = prompt { PictureLimits::NONE } else { limits };
        let sized = self.size_pictures(pictures, limits)?;
        let encoded = self.lay_out(prompt, &sized)?;
        Ok(Encoded { ms: (self.clock)() - started, ..encoded })
    }

    /// Encodes a prompt with pictures that are already scaled.
    pub(in crate::engine) fn lay_out(&self, prompt: &Prompt, sized: &[Rc<SizedPicture>]) -> Result<Encoded> {
        let shown: Vec<ShownPicture> = sized.iter().map(|picture| picture.shown).collect();
        let events = sized.iter().enumerate().flat_map(|(index, picture)| self.events_of(index, picture)).collect();
        let plain = |ids| EncodedChat { ids, pictures: (0..sized.len()).collect(), branches: Vec::new() };
        let EncodedChat { ids, pictures: order, mut branches } = match prompt {
            Prompt::Ids(ids) if ids.is_empty() => {
                return Err(Error::request("input_ids", "at least one token is needed"));
            }
            Prompt::Ids(ids) => plain(ids.clone()),
            Prompt::Text(text) => {
                let first = self.backend.manifest().chat.bos_token_id;
                let ids: Vec<u32> = first.into_iter().chain(self.tokenizer.encode_text(text)?).collect();
                if ids.is_empty() {
                    return Err(Error::request("prompt", "at least one token is needed"));
                }
                plain(ids)
            }
            Prompt::Messages(messages) => {
                let rules = self.picture_rules();
                let tokens = |picture: &Rc<SizedPicture>| rules.map(|rules| rules.tokens(picture.prepared.grid));
                let tokens: Vec<Vec<u32>> = sized.iter().filter_map(tokens).collect(); // [pictures, tokens]
                self.encode_chat(messages, &tokens)?
            }
        };
        let mut places: Vec<_> = sized.iter().cloned().map(Some).collect();
        let take = |index: usize| {
            let missing = || Error::request("messages", format!("picture {index} is missing or used twice"));
            places.get_mut(index).and_then(Option::take).ok_or_else(missing)
        };
        let pictures: Vec<_> = order.into_iter().map(take).collect::<Result<_>>()?;
        let entries = self.entries(&ids, &pictures)?;
        if self.picture_rules().is_some_and(Pictures::must_begin_pass) {
            let is_picture = |&index: &usize| entries[index].fingerprint().is_some();
            branches.extend((1..entries.len()).filter(is_picture));
            branches.sort_unstable();
        }
        Ok(Encoded { ids, entries, branches, pictures, events, shown, ms: 0.0 })
    }

    /// The model's rules for pictures, if it accepts pictures.
    fn picture_rules(&self) -> Option<&dyn Pictures> {
        definition(&self.backend.manifest().config).pictures()
    }

    /// Encodes messages in the chat layout of the package.
    fn encode_chat(&self, messages: &[Message], pictures: &[Vec<u32>]) -> Result<EncodedChat> {
        let Manifest { chat, name, config, .. } = self.backend.manifest();
        let system = chat.default_system_prompt.as_deref();
        let system = system.map(|prompt| fill_system_prompt(prompt, name, (self.today)()));
        let layout = definition(config).chat_layout(&chat.template)?;
        let template = ChatTemplate { layout, bos: chat.bos_token_id, default_system: system.as_deref() };
        template.encode(messages, pictures, &self.tokenizer)
    }

    /// Scales the pictures. A picture that a conversation or prompt still holds is not decoded again and keeps its size, because its
    /// entries are in the KV cache, even if the device's measured rate has changed.
    pub(in crate::engine) fn size_pictures(
        &self,
        pictures: &[Picture],
        limits: PictureLimits,
    ) -> Result<Vec<Rc<SizedPicture>>> {
        let Some(rules) = self.picture_rules() else {
            let refusal = Error::request("pictures[0]", "this model reads no pictures");
            return if pictures.is_empty() { Ok(Vec::new()) } else { Err(refusal) };
        };
        let find = |is_this: &dyn Fn(&Fingerprint, &SizedPicture) -> bool, detail| {
            let held = self.pictures_held.borrow();
            let mut held = held.iter().filter_map(|(source, picture)| Some((source, picture.upgrade()?)));
            let same_size = |picture: &SizedPicture| (picture.shown.detail, picture.limits) == (detail, limits);
            held.find(|(source, picture)| same_size(picture) && is_this(source, picture)).map(|(_, picture)| picture)
        };
        let find_source = |wanted, detail| find(&|source, _| *source == wanted, detail);
        let sources: Vec<Fingerprint> = pictures.iter().map(|picture| picture.content.source()).collect();
        let is_new = |(picture, source): &(&Picture, &Fingerprint)| find_source(**source, picture.detail).is_none();
        let new = pictures.iter().zip(&sources).filter(is_new).count();
        // One after the other, because decoded pictures are large.
        let size = |(Picture { content, detail }, source): (&Picture, Fingerprint)| {
            if let Some(held) = find_source(source, *detail) {
                return Ok(held);
            }
            let rgb = &match content {
                PictureContent::Rgb(rgb) => Cow::Borrowed(rgb),
                PictureContent::Encoded(bytes) => Cow::Owned((self.decode_picture)(bytes, MEGAPIXELS)?),
            };
            rgb.check()?;
            let original = fingerprint(rgb);
            // Another file may have had the same pixels.
            let sized = match find(&|_, held| held.original == original, *detail) {
                Some(held) => held,
                None => {
                    let wanted = Wanted {
                        size: (&**rgb).into(),
                        detail: *detail,
                        longest_edge: self.backend.longest_edge().min(rules.largest_edge()),
                        pictures: new,
                    };
                    Rc::new(self.size_picture(rules, (rgb, original), wanted, limits)?)
                }
            };
            let mut held = self.pictures_held.borrow_mut();
            held.retain(|(_, picture)| picture.strong_count() > 0);
            held.push((source, Rc::downgrade(&sized)));
            Ok(sized)
        };
        pictures.iter().zip(sources).map(size).collect()
    }

    fn size_picture(
        &self,
        rules: &dyn Pictures,
        (rgb, original): (&Rgb8, Fingerprint),
        wanted: Wanted,
        limits: PictureLimits,
    ) -> Result<SizedPicture> {
        let known = self.snapshots.as_ref().and_then(|snapshots| {
            let edge = snapshots.edge_of(&sizing(&original, wanted.detail, limits))?;
            (rules.cell()..=wanted.longest_edge).contains(&edge).then_some(edge)
        });
        let edge = match known {
            Some(edge) => edge,
            None => longest_edge(rules, wanted, limits, |grid| self.backend.seconds_for(grid))?,
        };
        let prepared = rules.prepare(rgb, edge)?;
        let (grid, most) = (prepared.grid, wanted.longest_edge);
        let (width, height, tokens) = (prepared.width, prepared.height, rules.tokens(grid).len());
        let is_cut = edge == most && most < rules.largest_edge() && rgb.width.max(rgb.height) as usize > edge;
        Ok(SizedPicture {
            fingerprint: fingerprint_in(&original, grid),
            original,
            prepared,
            shown: ShownPicture { detail: wanted.detail, width, height, tokens },
            limits,
            edge,
            cut_to: is_cut.then_some(edge),
        })
    }

    fn events_of(&self, picture: usize, sized: &SizedPicture) -> Vec<Event> {
        let full = self.picture_rules().map_or(0, Pictures::largest_edge);
        let note = sized.cut_to.map(|edge| Event::Note {
            picture,
            message: format!("scaled down to {edge} pixels for want of GPU memory; the model itself would take {full}"),
        });
        note.into_iter().chain([Event::Picture { picture, shown: sized.shown }]).collect()
    }

    /// Replaces each picture token by the next feature row of the pictures.
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
