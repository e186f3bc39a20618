//! Prompts: messages or token ids, pictures, and their entries in a conversation.

pub(super) mod encoder;
mod layout;
pub(super) mod picture_cost;
pub(super) mod picture_size;
mod pictures;
mod truncate;

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::chat::Message;
use crate::engine::control::RequestControl;
use crate::engine::events::Event;
use crate::image::{Fingerprint, PreparedImage, Rgb8, fingerprint};
use picture_size::{Detail, PictureLimits, ShownPicture};

/// The input that the model continues.
#[derive(Debug, Clone, PartialEq)]
pub enum Prompt {
    /// A conversation; [`crate::chat::ContentPart::Image`] holds indices of the request's pictures.
    Messages(Vec<Message>),
    /// Token ids; runs of picture tokens match the request's pictures in order.
    Ids(Vec<u32>),
    /// Text after the BOS token, without a chat layout.
    Text(String),
}

/// A picture of a request.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Its file or pixels.
    pub content: PictureContent,
    /// Its level of detail.
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
    /// Fingerprint of the file or of the pixels, which needs no decoding.
    pub(in crate::engine) fn source(&self) -> Fingerprint {
        match self {
            Self::Encoded(bytes) => Sha256::digest(bytes).into(),
            Self::Rgb(rgb) => fingerprint(rgb),
        }
    }
}

impl Picture {
    /// Creates a picture from a PNG, JPEG or WebP file, with automatic detail.
    pub fn encoded(bytes: Vec<u8>) -> Self {
        Self { content: PictureContent::Encoded(bytes), detail: Detail::default() }
    }

    /// Creates a picture from pixels, with automatic detail.
    pub fn rgb(pixels: Rgb8) -> Self {
        Self { content: PictureContent::Rgb(pixels), detail: Detail::default() }
    }

    /// Sets the level of detail.
    #[must_use]
    pub fn at(self, detail: Detail) -> Self {
        Self { detail, ..self }
    }
}

/// A picture scaled for the model.
#[derive(Debug)]
pub struct SizedPicture {
    /// Fingerprint of the scaled picture.
    pub(in crate::engine) fingerprint: Fingerprint,
    /// Fingerprint of the pixels before scaling.
    pub(in crate::engine) original: Fingerprint,
    pub(in crate::engine) prepared: PreparedImage,
    pub(in crate::engine) shown: ShownPicture,
    /// Limits under which it was scaled.
    pub(in crate::engine) limits: PictureLimits,
    /// Owner of its entries in the KV cache.
    pub(in crate::engine) scope: Scope,
    /// Upper bound of its longest edge, in pixels.
    pub(in crate::engine) edge: usize,
    /// Upper bound of its longest edge, in pixels, if it was reduced for lack of memory.
    pub(in crate::engine) cut_to: Option<usize>,
}

impl SizedPicture {
    pub(in crate::engine) fn sizing(&self) -> Fingerprint {
        sizing(&self.original, self.shown.detail, self.limits)
    }
}

/// Hash of a picture and of all that bounds its size. A picture with the same hash keeps its size.
pub(in crate::engine) fn sizing(original: &Fingerprint, detail: Detail, limits: PictureLimits) -> Fingerprint {
    let bounds = format!("{detail} {:?} {:?}", limits.max_pixels, limits.max_seconds.map(f64::to_bits));
    Sha256::new().chain_update(original).chain_update(bounds).finalize().into()
}

/// Owner of conversations in the KV cache. Prompts of different scopes share no entries, so that neither the count of cached tokens nor the
/// time of an answer reveals prompts of others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scope(u64);

impl Scope {
    /// The scope of all prompts that have no owner.
    pub const SHARED: Self = Self(0);

    /// The scope of an owner.
    pub fn of(owner: &str) -> Self {
        let hash = Sha256::digest(owner);
        // Zero is the shared scope.
        Self(hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)).max(1))
    }

    pub(in crate::engine) fn number(self) -> u64 {
        self.0
    }

    pub(in crate::engine) fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// Context in which the prompts of a request are read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The request's control: a cancelled request is not read any further.
    pub control: &'a RequestControl,
    /// Owner of the prompts' entries in the KV cache.
    pub scope: Scope,
}

/// An encoded prompt.
#[derive(Debug)]
pub struct Encoded {
    /// Token ids, picture tokens included.
    pub(in crate::engine) ids: Vec<u32>,
    /// Entries of the same tokens, in which rows of pictures name their picture.
    pub(in crate::engine) entries: Vec<ContextEntry>,
    /// Prefix lengths at which a chunk ends: fork points, and starts of pictures that must begin a pass.
    pub(in crate::engine) branches: Vec<usize>,
    /// Pictures in the order of their tokens.
    pub(in crate::engine) pictures: Vec<Arc<SizedPicture>>,
    /// Events about the pictures.
    pub(in crate::engine) events: Vec<Event>,
    /// Sizes at which the pictures are shown, in the order of the request.
    pub(in crate::engine) shown: Vec<ShownPicture>,
    /// Milliseconds spent on encoding.
    pub(in crate::engine) ms: f64,
}

/// One entry of a conversation. Equal entries after equal entries have equal states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextEntry {
    /// A token.
    Token(u32),
    /// The first token of a prompt that is not [`Scope::SHARED`].
    First {
        /// The token.
        token: u32,
        /// Owner of the conversation.
        scope: Scope,
    },
    /// A row of a picture's features.
    Picture {
        /// Fingerprint of the picture.
        fingerprint: Fingerprint,
        /// Index of the row.
        row: u32,
    },
}

impl Encoded {
    /// Bytes of its pictures' pixels.
    pub fn picture_bytes(&self) -> usize {
        self.pictures.iter().map(|picture| picture.prepared.rgb.len()).sum()
    }

    /// Token ids of the prompt, including picture tokens.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Entries from `held` to the next fork point, or to the end.
    pub(in crate::engine) fn rest(&self, held: usize) -> &[ContextEntry] {
        let end = self.branches.iter().copied().find(|branch| *branch > held).unwrap_or(self.entries.len());
        &self.entries[held..end]
    }
}

impl ContextEntry {
    /// The token, unless it is a row of a picture.
    pub(in crate::engine) fn token(&self) -> Option<u32> {
        match self {
            Self::Token(token) | Self::First { token, .. } => Some(*token),
            Self::Picture { .. } => None,
        }
    }

    /// Fingerprint of the picture of this row.
    pub(in crate::engine) fn fingerprint(&self) -> Option<Fingerprint> {
        if let Self::Picture { fingerprint, .. } = self { Some(*fingerprint) } else { None }
    }
}
