//! The layout of a conversation: Mistral's tokenizer version V13, as `mistral-common` writes it.
//!
//! ```text
//! <s>[SYSTEM_PROMPT]..[/SYSTEM_PROMPT][INST]user[/INST]assistant</s>[INST]user[/INST]
//! ```
//!
//! Written as code rather than as a Jinja template, so that the text of a message goes through the tokenizer apart from
//! the control tokens around it.

use std::borrow::Cow;

use super::message::{Message, Part, Role};
use super::tokenizer::Tokenizer;
use crate::config::ImageGrid;
use crate::error::{Error, Result};

/// Between texts that are merged into one.
const TEXT_JOIN: &str = "\n\n";

/// A piece of the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment<'a> {
    /// A control token, by name.
    Control(&'static str),
    /// Ordinary text.
    Text(Cow<'a, str>),
    /// A picture: an index into the pictures of the request.
    Image(usize),
}

/// Lays a conversation out as segments.
///
/// Consecutive messages of a user or of the assistant are merged, their texts joined by an empty line; system messages
/// each stay their own. Where a user's turn is one text and then one picture, the picture goes first. A conversation that
/// ends with the assistant leaves that turn open, for the model to continue.
///
/// # Errors
/// [`Error::InvalidRequest`] that names the message.
pub fn segments(messages: &[Message]) -> Result<Vec<Segment<'_>>> {
    check_order(messages)?;
    let mut segments = vec![Segment::Control("<s>")];
    let mut start = 0;
    while let Some(first) = messages.get(start) {
        let turn = match first.role {
            Role::System => 1,
            role => messages[start..].iter().take_while(|message| message.role == role).count(),
        };
        let end = start + turn;
        let content = merge_content(&messages[start..end]);
        match first.role {
            Role::System => wrap(&mut segments, "[SYSTEM_PROMPT]", content, "[/SYSTEM_PROMPT]"),
            Role::User => wrap(&mut segments, "[INST]", picture_first(content), "[/INST]"),
            Role::Assistant => {
                if content.is_empty() {
                    return Err(Error::request(
                        format!("messages[{start}].content"),
                        "an assistant message needs text",
                    ));
                }
                segments.extend(content.into_iter().map(trim_spaces));
                if end < messages.len() {
                    segments.push(Segment::Control("</s>"));
                }
            }
        }
        start = end;
    }
    Ok(segments)
}

/// The token ids of a conversation, with a run of picture tokens for every picture.
///
/// `grids` are the sizes of the request's pictures, which [`Part::Image`] indexes.
///
/// # Errors
/// [`Error::InvalidRequest`] that names the message, [`Error::Tokenizer`] when the vocabulary lacks a control token.
pub fn encode_chat(messages: &[Message], grids: &[ImageGrid], tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let segments = segments(messages)?;
    check_pictures(messages, grids.len())?;
    let mut ids = Vec::new();
    for segment in segments {
        match segment {
            Segment::Control(name) => ids.push(control(tokenizer, name)?),
            Segment::Text(text) => ids.extend(tokenizer.encode_text(&text)?),
            Segment::Image(index) => encode_picture(grids[index], tokenizer, &mut ids)?,
        }
    }
    Ok(ids)
}

/// The pictures in the order in which their tokens stand in the prompt.
///
/// # Errors
/// As [`segments`].
pub fn picture_order(messages: &[Message]) -> Result<Vec<usize>> {
    let picture = |segment| if let Segment::Image(index) = segment { Some(index) } else { None };
    Ok(segments(messages)?.into_iter().filter_map(picture).collect())
}

/// A row of `[IMG]` ends with `[IMG_BREAK]`, the last one with `[IMG_END]`.
fn encode_picture(grid: ImageGrid, tokenizer: &Tokenizer, ids: &mut Vec<u32>) -> Result<()> {
    let [image, row_end, end] = ["[IMG]", "[IMG_BREAK]", "[IMG_END]"].map(|name| control(tokenizer, name));
    let (image, row_end, end) = (image?, row_end?, end?);
    for row in 1..=grid.rows {
        ids.extend(std::iter::repeat_n(image, grid.cols));
        ids.push(if row == grid.rows { end } else { row_end });
    }
    Ok(())
}

fn control(tokenizer: &Tokenizer, name: &str) -> Result<u32> {
    tokenizer.control(name).ok_or_else(|| Error::Tokenizer { reason: format!("the vocabulary has no {name}") })
}

/// The turns `mistral-common` accepts for serving, tools left out.
fn check_order(messages: &[Message]) -> Result<()> {
    let Some(last) = messages.last() else {
        return Err(Error::request("messages", "at least one message is needed"));
    };
    for (i, message) in messages.iter().enumerate() {
        let picture = message.content.iter().position(|part| matches!(part, Part::Image(_)));
        if let Some(j) = picture.filter(|_| message.role != Role::User) {
            let reason = format!("a {} message cannot hold a picture", message.role.name());
            return Err(Error::request(format!("messages[{i}].content[{j}]"), reason));
        }
        if message.role == Role::System && i > 0 && messages[i - 1].role == Role::Assistant {
            return Err(Error::request(
                format!("messages[{i}].role"),
                "a system message cannot follow the assistant's",
            ));
        }
    }
    let end = messages.len() - 1;
    if messages.iter().all(|message| message.role == Role::Assistant) {
        return Err(Error::request("messages[0].role", "a conversation cannot be the assistant's alone"));
    }
    if last.role == Role::System {
        return Err(Error::request(format!("messages[{end}].role"), "the last message cannot be a system message"));
    }
    Ok(())
}

fn check_pictures(messages: &[Message], pictures: usize) -> Result<()> {
    for (i, message) in messages.iter().enumerate() {
        for (j, part) in message.content.iter().enumerate() {
            if let Part::Image(index) = part
                && *index >= pictures
            {
                let reason = format!("names picture {index}, the request has {pictures}");
                return Err(Error::request(format!("messages[{i}].content[{j}]"), reason));
            }
        }
    }
    Ok(())
}

fn merge_content(messages: &[Message]) -> Vec<Segment<'_>> {
    let mut merged: Vec<Segment<'_>> = Vec::new();
    for part in messages.iter().flat_map(|message| &message.content) {
        match (part, merged.last_mut()) {
            (Part::Image(index), _) => merged.push(Segment::Image(*index)),
            (Part::Text(text), _) if text.is_empty() => {}
            (Part::Text(text), Some(Segment::Text(before))) => {
                let before = before.to_mut();
                before.push_str(TEXT_JOIN);
                before.push_str(text);
            }
            (Part::Text(text), _) => merged.push(Segment::Text(Cow::Borrowed(text))),
        }
    }
    merged
}

fn picture_first(mut content: Vec<Segment<'_>>) -> Vec<Segment<'_>> {
    if matches!(content[..], [Segment::Text(_), Segment::Image(_)]) {
        content.swap(0, 1);
    }
    content
}

/// `mistral-common` drops the spaces at the end of what the assistant said, and nothing else.
fn trim_spaces(segment: Segment<'_>) -> Segment<'_> {
    match segment {
        Segment::Text(Cow::Borrowed(text)) => Segment::Text(Cow::Borrowed(text.trim_end_matches(' '))),
        Segment::Text(Cow::Owned(mut text)) => {
            text.truncate(text.trim_end_matches(' ').len());
            Segment::Text(Cow::Owned(text))
        }
        other => other,
    }
}

fn wrap<'a>(segments: &mut Vec<Segment<'a>>, open: &'static str, content: Vec<Segment<'a>>, close: &'static str) {
    segments.push(Segment::Control(open));
    segments.extend(content);
    segments.push(Segment::Control(close));
}
