//! The layout of a conversation: Mistral's tokenizer version V13, as `mistral-common` writes it.
//!
//! ```text
//! <s>[SYSTEM_PROMPT]..[/SYSTEM_PROMPT][INST]user[/INST]assistant</s>[INST]user[/INST]
//! ```

use std::borrow::Cow;

use crate::chat::layout::{ChatLayout, Segment, check_pictures, merge_content};
use crate::chat::message::{Message, Role};
use crate::error::{Error, Result};
use crate::families::readers::ChatDefaults;

/// `<s>`, `</s>` and `<pad>` of Mistral's vocabularies.
pub(super) const TOKENS: ChatDefaults = ChatDefaults { bos: Some(1), eos: 2, pad: Some(11), sampling: None };

/// Consecutive messages of a user or of the assistant are merged, their texts joined by an empty line; system messages each stay their own.
/// Where a user's turn is one text and then one picture, the picture goes first. A conversation that ends with the assistant leaves that
/// turn open, for the model to continue.
pub(super) static V13: ChatLayout = ChatLayout { name: "mistral-v13", marks: &["[SYSTEM_PROMPT]", "[INST]"], segments };

fn segments<'a>(messages: &'a [Message], system: Option<&'a str>) -> Result<Vec<Segment<'a>>> {
    check_order(messages)?;
    let mut segments = vec![Segment::Start];
    if let Some(text) = system {
        wrap(&mut segments, "[SYSTEM_PROMPT]", vec![Segment::Text(text.into())], "[/SYSTEM_PROMPT]");
    }
    let mut start = 0;
    while let Some(first) = messages.get(start) {
        let turn = match first.role {
            Role::System => 1,
            role => messages[start..].iter().take_while(|message| message.role == role).count(),
        };
        let end = start + turn;
        let content = merge_content(&messages[start..end], "\n\n");
        match first.role {
            Role::System => wrap(&mut segments, "[SYSTEM_PROMPT]", content, "[/SYSTEM_PROMPT]"),
            Role::User => wrap(&mut segments, "[INST]", picture_first(content), "[/INST]"),
            Role::Assistant => {
                if content.is_empty() {
                    let field = format!("messages[{start}].content");
                    return Err(Error::request(field, "an assistant message needs text"));
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

/// The turns `mistral-common` accepts for serving, tools left out.
fn check_order(messages: &[Message]) -> Result<()> {
    check_pictures(messages, |message| message.role == Role::User)?;
    let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
    let refuse = |i: usize, reason: &str| Err(Error::request(format!("messages[{i}].role"), reason));
    if let Some(i) = roles.windows(2).position(|pair| pair == [Role::Assistant, Role::System]) {
        return refuse(i + 1, "a system message cannot follow the assistant's");
    }
    if roles.iter().all(|role| *role == Role::Assistant) {
        return refuse(0, "a conversation cannot be the assistant's alone");
    }
    match roles.last() {
        Some(Role::System) => refuse(roles.len() - 1, "the last message cannot be a system message"),
        _ => Ok(()),
    }
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
