//! Prompts: messages or token ids, pictures, and the entries of a conversation that they become.

pub(super) mod encode;
pub(super) mod picture_cost;
pub(super) mod picture_size;
pub(super) mod truncate;

use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::chat::Message;
use crate::engine::events::Event;
use crate::image::{Fingerprint, PreparedImage, Rgb8, fingerprint};
use picture_size::{Detail, PictureLimits, ShownPicture};

/// The input that the model continues.
#[derive(Debug, Clone, PartialEq)]
pub enum Prompt {
    /// A conversation; [`crate::chat::ContentPart::Image`] counts the request's pictures.
    Messages(Vec<Message>),
    /// Token ids; runs of picture tokens take the request's pictures in order.
    Ids(Vec<u32>),
    /// Text after the token that begins every prompt, in no layout.
    Text(String),
}

/// A picture of a request.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Its file or pixels.
    pub content: PictureContent,
    /// The size at which it is shown.
    pub detail: Detail,
}

/// A picture's file or pixels.
#[derive(Debug, Clone)]
pub enum PictureContent {
    /// The bytes of a PNG, JPEG or WebP file.
    Encoded(Vec<u8>),
    /// Pixels.
    Rgb(Rgb8),
}

impl PictureContent {
    /// A fingerprint that takes no decoding: of the file, or of the pixels.
    pub(in crate::engine) fn source(&self) -> Fingerprint {
        match self {
            Self::Encoded(bytes) => Sha256::digest(bytes).into(),
            Self::Rgb(rgb) => fingerprint(rgb),
        }
    }
}

impl Picture {
    /// A PNG, JPEG or WebP file, of automatic size.
    pub fn encoded(bytes: Vec<u8>) -> Self {
        Self { content: PictureContent::Encoded(bytes), detail: Detail::default() }
    }

    /// Pixels, of automatic size.
    pub fn rgb(pixels: Rgb8) -> Self {
        Self { content: PictureContent::Rgb(pixels), detail: Detail::default() }
    }

    /// Shown as large as that.
    #[must_use]
    pub fn at(self, detail: Detail) -> Self {
        Self { detail, ..self }
    }
}

/// A picture at the size the model sees it.
#[derive(Debug)]
pub struct SizedPicture {
    /// Fingerprint of the picture at this size.
    pub(in crate::engine) fingerprint: Fingerprint,
    /// Fingerprint of the picture's pixels at its own size.
    pub(in crate::engine) original: Fingerprint,
    pub(in crate::engine) prepared: PreparedImage,
    pub(in crate::engine) shown: ShownPicture,
    /// Limits under which it was sized.
    pub(in crate::engine) limits: PictureLimits,
    /// Longest edge in pixels that it might have.
    pub(in crate::engine) edge: usize,
    /// Longest edge in pixels that it was brought down to, if there is no memory for more.
    pub(in crate::engine) cut_to: Option<usize>,
}

impl SizedPicture {
    /// As [`sizing`].
    pub(in crate::engine) fn sizing(&self) -> Fingerprint {
        sizing(&self.original, self.shown.detail, self.limits)
    }
}

/// Tells apart pictures, and what bounds their size: where this is the same, a picture keeps the size that it had.
pub(in crate::engine) fn sizing(original: &Fingerprint, detail: Detail, limits: PictureLimits) -> Fingerprint {
    let bounds = format!("{detail} {:?} {:?}", limits.max_pixels, limits.max_seconds.map(f64::to_bits));
    Sha256::new().chain_update(original).chain_update(bounds).finalize().into()
}

/// A prompt ready to compute.
#[derive(Debug)]
pub struct Encoded {
    /// Token ids, picture tokens included.
    pub(in crate::engine) ids: Vec<u32>,
    /// The same, with pictures told apart.
    pub(in crate::engine) entries: Vec<ContextEntry>,
    /// Entries before the places that a later prompt may go on otherwise from, and before pictures that passes begin with.
    pub(in crate::engine) branches: Vec<usize>,
    /// Pictures in the order of their tokens.
    pub(in crate::engine) pictures: Vec<Rc<SizedPicture>>,
    /// Events about them for the caller.
    pub(in crate::engine) events: Vec<Event>,
    /// Their sizes as the model sees them, in the order of the request.
    pub(in crate::engine) shown: Vec<ShownPicture>,
    /// Milliseconds that encoding took.
    pub(in crate::engine) ms: f64,
}

/// Content of one entry of a conversation. Equal entries after equal entries have equal states.
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

impl Encoded {
    /// Token ids of the prompt, those of pictures included.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Entries from `held` on to the next branch, or to the end.
    pub(in crate::engine) fn rest(&self, held: usize) -> &[ContextEntry] {
        let end = self.branches.iter().copied().find(|branch| *branch > held).unwrap_or(self.entries.len());
        &self.entries[held..end]
    }
}

impl ContextEntry {
    /// Fingerprint of the picture that it is a row of.
    pub(in crate::engine) fn fingerprint(&self) -> Option<Fingerprint> {
        if let Self::Picture { fingerprint, .. } = self { Some(*fingerprint) } else { None }
    }
}
