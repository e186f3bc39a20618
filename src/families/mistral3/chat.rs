//! Mistral's chat layout: tokenizer version V13, as `mistral-common` writes it.
//!
//! ```text
//! <s>[SYSTEM_PROMPT]..[/SYSTEM_PROMPT][AVAILABLE_TOOLS]JSON[/AVAILABLE_TOOLS][INST]user[/INST]assistant</s>[INST]user[/INST]
//! [TOOL_CALLS]name[ARGS]JSON[TOOL_CALLS]name[ARGS]JSON</s>[TOOL_RESULTS]..[/TOOL_RESULTS][TOOL_RESULTS]..[/TOOL_RESULTS]
//! ```

use std::borrow::Cow;

use crate::chat::calls::{CallLayout, Piece};
use crate::chat::layout::{ChatLayout, Segment, check_pictures, merge_content};
use crate::chat::message::{Message, Role, split_tools};
use crate::error::{Error, Result};
use crate::families::readers::ChatDefaults;

/// `<s>`, `</s>` and `<pad>` of Mistral's vocabularies.
pub(super) const TOKENS: ChatDefaults =
    ChatDefaults { bos: Some(1), eos: 2, other_ends: &[], pad: Some(11), sampling: None, thinking: None };

/// Consecutive messages of the user or of the assistant are merged, their texts joined by an empty line; system messages are not. If a user's
/// turn is a text and then a picture, the picture is moved first. A last message of the assistant stays open for the model to continue. Tools
/// are defined before the first user's turn.
pub(super) static V13: ChatLayout = ChatLayout {
    name: "mistral-v13",
    marks: &["[SYSTEM_PROMPT]", "[INST]"],
    segments,
    calls: Some(CALLS),
    thoughts: None,
};

const CALLS: CallLayout = CallLayout {
    begin: Some("[TOOL_CALLS]"),
    before: &[],
    between: &[Piece::Token("[ARGS]")],
    after: &[],
    join: &[],
    has_elements: false,
};

fn segments<'a>(messages: &'a [Message], system: Option<&'a str>) -> Result<Vec<Segment<'a>>> {
    let (messages, tools) = split_tools(messages);
    check_order(messages)?;
    let tools_at = messages.iter().position(|message| message.role == Role::User);
    let tools_at = tools_at.or_else(|| messages.iter().position(|message| message.role != Role::System));
    let mut segments = vec![Segment::Start];
    if let Some(text) = system {
        wrap(&mut segments, "[SYSTEM_PROMPT]", vec![Segment::Text(text.into())], "[/SYSTEM_PROMPT]");
    }
    let mut start = 0;
    while let Some(first) = messages.get(start) {
        if tools_at == Some(start) && !tools.is_empty() {
            let list = Segment::Text(format!("[{}]", tools.join(", ")).into());
            wrap(&mut segments, "[AVAILABLE_TOOLS]", vec![list], "[/AVAILABLE_TOOLS]");
        }
        let turn = match first.role {
            Role::System | Role::Tool => 1,
            role => messages[start..].iter().take_while(|message| message.role == role).count(),
        };
        let end = start + turn;
        let content = merge_content(&messages[start..end], "\n\n");
        match first.role {
            Role::System => wrap(&mut segments, "[SYSTEM_PROMPT]", content, "[/SYSTEM_PROMPT]"),
            Role::User => wrap(&mut segments, "[INST]", picture_first(content), "[/INST]"),
            Role::Tool | Role::Tools => wrap(&mut segments, "[TOOL_RESULTS]", content, "[/TOOL_RESULTS]"),
            Role::Assistant => {
                let calls = messages[start..end].iter().flat_map(Message::calls);
                let spoken = segments.len();
                segments.extend(content.into_iter().map(trim_spaces));
                for call in calls {
                    let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
                    segments.extend([Segment::Control("[TOOL_CALLS]"), Segment::Text(call.name.as_str().into())]);
                    segments.extend([Segment::Control("[ARGS]"), Segment::Text(arguments.into())]);
                }
                if segments.len() == spoken {
                    let field = format!("messages[{start}].content");
                    return Err(Error::request(field, "an assistant message needs text"));
                }
                if end < messages.len() {
                    segments.push(Segment::Control("</s>"));
                }
            }
        }
        start = end;
    }
    Ok(segments)
}

/// Checks the order of turns, as `mistral-common` does for serving.
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

/// Drops spaces at the end of the assistant's text, and no other white space, as `mistral-common` does.
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
