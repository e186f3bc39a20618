//! Encoding of prompts as entries of a conversation.

use std::sync::Arc;

use super::encoder::Encoder;
use super::picture_size::ShownPicture;
use super::{ContextEntry, Encoded, Prompt, Scope, SizedPicture};
use crate::chat::{ChatTemplate, EncodedChat, Message, fill_system_prompt};
use crate::engine::events::Event;
use crate::error::{Error, Result};
use crate::families::{Pictures, definition};
use crate::package::manifest::Manifest;

impl Encoder {
    /// Encodes a prompt with pictures that are already scaled.
    pub(super) fn lay_out(&self, prompt: &Prompt, sized: &[Arc<SizedPicture>], scope: Scope) -> Result<Encoded> {
        let shown: Vec<ShownPicture> = sized.iter().map(|picture| picture.shown).collect();
        let events = sized.iter().enumerate().flat_map(|(index, picture)| self.events_of(index, picture)).collect();
        let plain = |ids| EncodedChat { ids, pictures: (0..sized.len()).collect(), branches: Vec::new() };
        let EncodedChat { ids, pictures: order, mut branches } = match prompt {
            Prompt::Ids(ids) if ids.is_empty() => {
                return Err(Error::request("input_ids", "at least one token is needed"));
            }
            Prompt::Ids(ids) => plain(ids.clone()),
            Prompt::Text(text) => {
                let first = self.manifest.chat.bos_token_id;
                let ids: Vec<u32> = first.into_iter().chain(self.tokenizer.encode_text(text)?).collect();
                if ids.is_empty() {
                    return Err(Error::request("prompt", "at least one token is needed"));
                }
                plain(ids)
            }
            Prompt::Messages(messages) => {
                let rules = self.picture_rules();
                let tokens = |picture: &Arc<SizedPicture>| rules.map(|rules| rules.tokens(picture.prepared.grid));
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
        let mut entries = self.entries(&ids, &pictures)?;
        // Entries after a first one that differs are never shared. Pictures have the scope in their fingerprint.
        if let (Some(first @ &mut ContextEntry::Token(token)), false) = (entries.first_mut(), scope == Scope::SHARED) {
            *first = ContextEntry::First { token, scope };
        }
        if self.picture_rules().is_some_and(Pictures::must_begin_pass) {
            let is_picture = |&index: &usize| entries[index].fingerprint().is_some();
            branches.extend((1..entries.len()).filter(is_picture));
            branches.sort_unstable();
        }
        Ok(Encoded { ids, entries, branches, pictures, events, shown, ms: 0.0 })
    }

    /// Encodes messages in the chat layout of the package.
    fn encode_chat(&self, messages: &[Message], pictures: &[Vec<u32>]) -> Result<EncodedChat> {
        let Manifest { chat, name, config, .. } = &*self.manifest;
        let system = chat.default_system_prompt.as_deref();
        let system = system.map(|prompt| fill_system_prompt(prompt, name, (self.today)()));
        let layout = definition(config).chat_layout(&chat.template)?;
        let template = ChatTemplate { layout, bos: chat.bos_token_id, default_system: system.as_deref() };
        template.encode(messages, pictures, &self.tokenizer)
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
    fn entries(&self, ids: &[u32], pictures: &[Arc<SizedPicture>]) -> Result<Vec<ContextEntry>> {
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
