//! `ChatML`, the layout of conversations of Qwen's models.
//!
//! ```text
//! <|im_start|>system\n..<|im_end|>\n<|im_start|>user\nuser<|im_end|>\n<|im_start|>assistant\n
//! ```
//!
//! Tools are defined in the system's turn; a call is JSON between `<tool_call>` and `</tool_call>`, results are a turn of the user.

use std::borrow::Cow;

use crate::chat::calls::{CallLayout, Piece};
use crate::chat::layout::{ChatLayout, Segment, check_pictures, merge_content};
use crate::chat::message::{Message, Role, split_tools};
use crate::error::Result;
use crate::families::readers::ChatDefaults;

/// `<|im_end|>` and `<|endoftext|>` of the vocabulary; prompts have no first token.
pub(super) const TOKENS: ChatDefaults =
    ChatDefaults { bos: None, eos: 151_645, other_ends: &[], pad: Some(151_643), sampling: None, thinking: None };

/// Every message is a turn, unchanged. A last message of the assistant stays open for the model to continue.
pub(super) static CHATML: ChatLayout =
    ChatLayout { name: "chatml", marks: &["<|im_start|>", "<|im_end|>"], segments, calls: Some(CALLS), thoughts: None };

const CALLS: CallLayout = CallLayout {
    begin: Some("<tool_call>"),
    before: &[Piece::Text("\n{\"name\": \"")],
    between: &[Piece::Text("\", \"arguments\": ")],
    after: &[Piece::Text("}\n"), Piece::Token("</tool_call>")],
    join: &[Piece::Text("\n")],
    has_elements: false,
};

fn segments<'a>(messages: &'a [Message], system: Option<&'a str>) -> Result<Vec<Segment<'a>>> {
    check_pictures(messages, |message| matches!(message.role, Role::User | Role::Tool))?;
    let (messages, tools) = split_tools(messages);
    let content = |message: &'a Message| merge_content(std::slice::from_ref(message), "");
    let mut segments = Vec::new();
    let own = messages.first().filter(|message| message.role == Role::System);
    let given = || system.map(|text| vec![Segment::Text(text.into())]);
    let mut instructions = own.map(content).or_else(given);
    if !tools.is_empty() {
        instructions = Some(definitions(instructions.unwrap_or_default(), &tools));
    }
    if let Some(instructions) = instructions {
        turn(&mut segments, "system", instructions);
        end(&mut segments);
    }
    for (i, message) in messages.iter().enumerate().skip(usize::from(own.is_some())) {
        let next = messages.get(i + 1).map(|message| message.role);
        match message.role {
            Role::Tool => {
                if i == 0 || messages[i - 1].role != Role::Tool {
                    turn(&mut segments, "user", Vec::new());
                } else {
                    segments.push(Segment::Text("\n".into()));
                }
                response(&mut segments, content(message));
            }
            Role::Assistant => {
                turn(&mut segments, "assistant", content(message));
                tool_calls(&mut segments, message);
            }
            role => turn(&mut segments, &role.to_string(), content(message)),
        }
        let stays_open = match message.role {
            Role::Tool => next == Some(Role::Tool),
            role => role == Role::Assistant && next.is_none(),
        };
        if !stays_open {
            end(&mut segments);
        }
    }
    if messages.last().is_some_and(|message| message.role != Role::Assistant) {
        turn(&mut segments, "assistant", Vec::new());
    }
    Ok(segments)
}

/// The system's turn with tools. As in the published template, the marks of calls are control tokens here too.
fn definitions<'a>(instructions: Vec<Segment<'a>>, tools: &[&str]) -> Vec<Segment<'a>> {
    let before = match instructions.first() {
        Some(Segment::Text(text)) => format!("{text}\n\n"),
        _ => String::new(),
    };
    let list: String = tools.iter().map(|tool| format!("\n{tool}")).collect();
    let head = format!(
        "{before}# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures \
         within <tools></tools> XML tags:\n<tools>{list}\n</tools>\n\nFor each function call, return a json object with function name and \
         arguments within "
    );
    vec![
        Segment::Text(head.into()),
        Segment::Control("<tool_call>"),
        Segment::Control("</tool_call>"),
        Segment::Text(" XML tags:\n".into()),
        Segment::Control("<tool_call>"),
        Segment::Text("\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n".into()),
        Segment::Control("</tool_call>"),
    ]
}

/// Adds the calls of a message after its text, each on lines of its own.
fn tool_calls(segments: &mut Vec<Segment<'_>>, message: &Message) {
    let mut has_more = message.texts().any(|text| !text.is_empty());
    for call in message.calls() {
        if std::mem::replace(&mut has_more, true) {
            match segments.last_mut() {
                // The model itself ends the line before it calls.
                Some(Segment::Text(text)) if !text.ends_with('\n') => text.to_mut().push('\n'),
                Some(Segment::Text(_)) => {}
                _ => segments.push(Segment::Text("\n".into())),
            }
        }
        let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
        let json = format!("\n{{\"name\": \"{}\", \"arguments\": {arguments}}}\n", call.name);
        segments.extend([
            Segment::Control("<tool_call>"),
            Segment::Text(json.into()),
            Segment::Control("</tool_call>"),
        ]);
    }
}

/// Begins a turn. Its first text is tokenised together with the line before it.
pub(in crate::families) fn turn<'a>(segments: &mut Vec<Segment<'a>>, role: &str, mut content: Vec<Segment<'a>>) {
    let mut header = Cow::from(format!("{role}\n"));
    if let Some(Segment::Text(text)) = content.first() {
        header.to_mut().push_str(text);
        content.remove(0);
    }
    segments.extend([Segment::Control("<|im_start|>"), Segment::Text(header)]);
    segments.extend(content);
}

/// Adds the result of a call between its marks. The line breaks around it are tokenised together with its text.
pub(in crate::families) fn response<'a>(segments: &mut Vec<Segment<'a>>, mut content: Vec<Segment<'a>>) {
    match content.first_mut() {
        Some(Segment::Text(text)) => text.to_mut().insert(0, '\n'),
        _ => content.insert(0, Segment::Text("\n".into())),
    }
    match content.last_mut() {
        Some(Segment::Text(text)) => text.to_mut().push('\n'),
        _ => content.push(Segment::Text("\n".into())),
    }
    segments.push(Segment::Control("<tool_response>"));
    segments.extend(content);
    segments.push(Segment::Control("</tool_response>"));
}

/// Ends a turn.
pub(in crate::families) fn end(segments: &mut Vec<Segment<'_>>) {
    segments.extend([Segment::Control("<|im_end|>"), Segment::Text("\n".into())]);
}
