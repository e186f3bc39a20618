//! What a request shows the model: messages or ids, pictures, and the entries of a conversation that they become.

use std::rc::Rc;

use super::events::Event;
use crate::chat::Message;
use crate::image::{Fingerprint, PreparedImage, Rgb8};

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

impl ContextEntry {
    /// Of a picture which one.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        if let Self::Picture { fingerprint, .. } = self { Some(*fingerprint) } else { None }
    }
}
