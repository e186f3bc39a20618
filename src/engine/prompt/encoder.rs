//! The reader of prompts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::picture_cost::PictureSeconds;
use super::picture_size::PictureLimits;
use super::truncate::{turns, without};
use super::{Encoded, Picture, Prompt, Reading, SizedPicture};
use crate::chat::{Message, Tokenizer};
use crate::engine::device::load::LoadOptions;
use crate::engine::events::{Calendar, Clock, Event};
use crate::error::{Error, Result};
use crate::families::{Pictures, definition};
use crate::image::{Decode, Fingerprint, ReadSize};
use crate::package::manifest::Manifest;

/// Largest factor by which the normalisation of a text to NFC shortens it in bytes.
const NFC_FACTOR: usize = 3;
/// Longest text of a conversation whose oldest turns may be left out, as a multiple of the longest that fits the context.
const MOST_CUT: usize = 16;

/// Reads prompts: decodes their pictures, encodes their text and lays both out. It needs no device, so a server reads prompts on other
/// threads while its engine computes tokens.
#[derive(Debug)]
pub struct Encoder {
    pub(super) manifest: Arc<Manifest>,
    pub(super) tokenizer: Arc<Tokenizer>,
    /// Entries that a conversation may have.
    context: usize,
    /// Longest edge of pictures in pixels that the memory plan allows.
    pub(super) longest_edge: usize,
    pub(super) seconds: Arc<dyn PictureSeconds>,
    pub(super) limits: PictureLimits,
    pub(super) decode: Decode,
    pub(super) read_size: Option<ReadSize>,
    pub(super) clock: Clock,
    pub(super) today: Calendar,
    /// The pictures that conversations and prompts hold, by the fingerprints of their files: these are not decoded again.
    held: Mutex<Vec<(Fingerprint, Weak<SizedPicture>)>>,
    /// Longest edges of pictures in snapshots, by [`super::sizing`].
    edges: Mutex<HashMap<Fingerprint, usize>>,
}

/// Limits of a device for prompts.
#[derive(Debug, Clone)]
pub struct PromptLimits {
    /// Entries that a conversation may have.
    pub context: usize,
    /// Longest edge of a picture in pixels; larger ones are scaled down.
    pub longest_edge: usize,
    /// Time of pictures.
    pub seconds: Arc<dyn PictureSeconds>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Encoder {
    pub(in crate::engine) fn new(
        manifest: Arc<Manifest>,
        tokenizer: Arc<Tokenizer>,
        limits: PromptLimits,
        options: &LoadOptions,
    ) -> Self {
        let PromptLimits { context, longest_edge, seconds } = limits;
        let LoadOptions { pictures, decode_picture, read_picture_size, clock, today, .. } = *options;
        let (held, edges) = (Mutex::default(), Mutex::default());
        let (decode, read_size) = (decode_picture, read_picture_size);
        let limits = pictures;
        Self {
            manifest,
            tokenizer,
            context,
            longest_edge,
            seconds,
            limits,
            decode,
            read_size,
            clock,
            today,
            held,
            edges,
        }
    }

    /// Reads a prompt.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`], [`Error::InvalidImage`], [`Error::ImageTooLarge`], [`Error::Tokenizer`], [`Error::Aborted`], or
    /// [`Error::ContextOverflow`] if the text or the pictures cannot fit, whatever their tokens are.
    pub fn encode(&self, prompt: &Prompt, pictures: &[Picture], reading: Reading<'_>) -> Result<Encoded> {
        self.encode_within(prompt, pictures, (self.limits, reading))
    }

    /// Reads a prompt with other limits of its pictures.
    pub(in crate::engine) fn encode_within(
        &self,
        prompt: &Prompt,
        pictures: &[Picture],
        (limits, reading): (PictureLimits, Reading<'_>),
    ) -> Result<Encoded> {
        let started = (self.clock)();
        self.check_text(prompt, 1)?;
        // Token ids are for pictures as large as the model takes them.
        let limits = if let Prompt::Ids(_) = prompt { PictureLimits::NONE } else { limits };
        let sized = self.size_pictures(pictures, limits, reading)?;
        let encoded = self.lay_out(prompt, &sized, reading.scope)?;
        Ok(Encoded { ms: (self.clock)() - started, ..encoded })
    }

    /// Reads a prompt like [`Self::encode`], and leaves out the oldest turns of a conversation that is too long for the context. The
    /// fewest turns are left out after which an answer of `answer` tokens fits: at most half of the context is reserved for it, and a
    /// quarter if `answer` is `None`. Instructions, definitions of tools, pictures and the last turn stay. If even these do not fit, the
    /// error is the one of a prompt that is not cut.
    ///
    /// # Errors
    /// The errors of [`Self::encode`].
    pub fn encode_cut(
        &self,
        prompt: &Prompt,
        pictures: &[Picture],
        (answer, reading): (Option<usize>, Reading<'_>),
    ) -> Result<Encoded> {
        let (started, context) = ((self.clock)(), self.context);
        let Prompt::Messages(messages) = prompt else { return self.encode(prompt, pictures, reading) };
        self.check_text(prompt, MOST_CUT)?;
        // Pictures are never left out: they are sized once.
        let sized = self.size_pictures(pictures, self.limits, reading)?;
        let whole = self.lay_out(prompt, &sized, reading.scope)?;
        let timed = |encoded: Encoded| Encoded { ms: (self.clock)() - started, ..encoded };
        if whole.entries.len() < context {
            return Ok(timed(whole));
        }
        let room = answer.unwrap_or(context / 4).min(context / 2).max(1);
        let encode = |count: usize| {
            reading.control.check()?;
            self.lay_out(&Prompt::Messages(without(messages, count)), &sized, reading.scope)
        };
        let (mut fewest, mut most) = (0, turns(messages).saturating_sub(1));
        let mut cut = if most == 0 { whole } else { encode(most)? };
        // Bisection: without `fewest` turns the rest is too long; without `most` it fits, or nothing more can be left out.
        while most - fewest > 1 {
            let middle = fewest.midpoint(most);
            let shorter = encode(middle)?;
            if shorter.entries.len() + room <= context {
                (most, cut) = (middle, shorter);
            } else {
                fewest = middle;
            }
        }
        if most > 0 {
            cut.events.push(Event::Truncated { turns: most });
        }
        Ok(timed(cut))
    }

    /// Requires that a prompt leaves room for a token of its answer.
    ///
    /// # Errors
    /// [`Error::ContextOverflow`].
    pub fn check_length(&self, encoded: &Encoded) -> Result<()> {
        self.check_tokens(encoded.ids.len())
    }

    pub(super) fn check_tokens(&self, tokens: usize) -> Result<()> {
        let context = self.context;
        if tokens < context { Ok(()) } else { Err(Error::ContextOverflow { tokens: tokens + 1, context }) }
    }

    /// Refuses text that is too long for the context even if all its tokens were the longest of the vocabulary: encoding takes time and
    /// memory in proportion to the text.
    fn check_text(&self, prompt: &Prompt, factor: usize) -> Result<()> {
        let bytes = match prompt {
            Prompt::Ids(_) => return Ok(()),
            Prompt::Text(text) => text.len(),
            Prompt::Messages(messages) => messages.iter().map(Message::text_bytes).sum(),
        };
        let fewest = bytes / (self.tokenizer.longest_token() * NFC_FACTOR);
        if fewest < self.context.saturating_mul(factor) { Ok(()) } else { self.check_tokens(fewest) }
    }

    /// Returns true if the model reads pictures.
    pub fn reads_pictures(&self) -> bool {
        self.picture_rules().is_some()
    }

    /// The rules of the model's pictures, if it reads pictures.
    pub(super) fn picture_rules(&self) -> Option<&dyn Pictures> {
        definition(&self.manifest.config).pictures()
    }

    /// A picture that some conversation or prompt holds.
    pub(super) fn find_held(&self, is_this: impl Fn(&Fingerprint, &SizedPicture) -> bool) -> Option<Arc<SizedPicture>> {
        let held = lock(&self.held);
        let mut held = held.iter().filter_map(|(source, picture)| Some((source, picture.upgrade()?)));
        held.find(|(source, picture)| is_this(source, picture)).map(|(_, picture)| picture)
    }

    pub(super) fn hold(&self, source: Fingerprint, picture: &Arc<SizedPicture>) {
        let mut held = lock(&self.held);
        held.retain(|(_, picture)| picture.strong_count() > 0);
        held.push((source, Arc::downgrade(picture)));
    }

    pub(super) fn known_edge(&self, sizing: &Fingerprint) -> Option<usize> {
        lock(&self.edges).get(sizing).copied()
    }

    /// Sets the longest edges of the pictures in snapshots: pictures keep these sizes, since their entries are stored.
    pub(in crate::engine) fn set_known_edges(&self, edges: HashMap<Fingerprint, usize>) {
        *lock(&self.edges) = edges;
    }
}
