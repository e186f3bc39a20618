//! Conversion of a conversation to token ids, by the layout of the model's family.

use super::layout::{ChatLayout, Segment};
use super::message::{self, Message, Role};
use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};

/// The chat template of a package.
#[derive(Debug, Clone, Copy)]
pub struct ChatTemplate<'a> {
    /// The layout.
    pub layout: &'static ChatLayout,
    /// First token of every prompt; `None` if the layout has none.
    pub bos: Option<u32>,
    /// Default system message.
    pub default_system: Option<&'a str>,
}

/// A conversation as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedChat {
    /// Token ids, including those of pictures.
    pub ids: Vec<u32>,
    /// The pictures in the order of their tokens in the prompt.
    pub pictures: Vec<usize>,
    /// Number of tokens before each [`Segment::Branch`].
    pub branches: Vec<usize>,
}

impl ChatTemplate<'_> {
    /// The segments of a conversation.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] that names the message.
    pub fn segments<'a>(&'a self, messages: &'a [Message]) -> Result<Vec<Segment<'a>>> {
        self.check_tools(messages)?;
        let has_system = messages.iter().any(|message| message.role == Role::System);
        (self.layout.segments)(messages, self.default_system.filter(|text| !has_system && !text.is_empty()))
    }

    /// Refuses tools if the model has no calls.
    fn check_tools(&self, messages: &[Message]) -> Result<()> {
        let speaks =
            |message: &Message| matches!(message.role, Role::Tool | Role::Tools) || message.calls().next().is_some();
        match messages.iter().position(speaks) {
            Some(i) if self.layout.calls.is_none() => {
                let field = if messages[i].role == Role::Tools { "tools".into() } else { format!("messages[{i}]") };
                Err(Error::UnsupportedOption { field, reason: "this model has not learnt to call tools".into() })
            }
            _ => Ok(()),
        }
    }

    /// The tokens of a conversation. `pictures` has the tokens of each picture of the request, indexed by [`super::ContentPart::Image`].
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] that names the message; [`Error::Tokenizer`] if the vocabulary lacks a control token.
    pub fn encode(&self, messages: &[Message], pictures: &[Vec<u32>], tokenizer: &Tokenizer) -> Result<EncodedChat> {
        let segments = self.segments(messages)?;
        let count = pictures.len();
        if let Some((field, _, index)) = message::pictures(messages).find(|&(_, _, index)| index >= count) {
            return Err(Error::request(field, format!("names picture {index}, the request has {count}")));
        }
        let mut encoded = EncodedChat { ids: Vec::new(), pictures: Vec::new(), branches: Vec::new() };
        for segment in segments {
            match segment {
                Segment::Start => encoded.ids.extend(self.bos),
                Segment::Control(name) => {
                    let missing = || Error::Tokenizer { reason: format!("the vocabulary has no {name}") };
                    encoded.ids.push(tokenizer.control(name).ok_or_else(missing)?);
                }
                Segment::Text(text) => encoded.ids.extend(tokenizer.encode_text(&text)?),
                Segment::Image(index) => {
                    encoded.ids.extend(&pictures[index]);
                    encoded.pictures.push(index);
                }
                Segment::Branch => encoded.branches.push(encoded.ids.len()),
            }
        }
        Ok(encoded)
    }
}
