//! `ChatML`, the layout of conversations of Qwen's models.
//!
//! ```text
//! <|im_start|>system\n..<|im_end|>\n<|im_start|>user\nuser<|im_end|>\n<|im_start|>assistant\n
//! ```

use std::borrow::Cow;

use crate::chat::layout::{ChatLayout, Segment, check_pictures, merge_content};
use crate::chat::message::{Message, Role};
use crate::error::Result;
use crate::families::readers::ChatDefaults;

/// `<|im_end|>` and `<|endoftext|>` of the vocabulary; prompts begin with no token of their own.
pub(super) const TOKENS: ChatDefaults = ChatDefaults { bos: None, eos: 151_645, pad: Some(151_643), sampling: None };

/// Every message is a turn of its own, as it is. A conversation that ends with the assistant leaves that turn open, for the model to
/// continue.
pub(super) static CHATML: ChatLayout = ChatLayout { name: "chatml", marks: &["<|im_start|>", "<|im_end|>"], segments };

fn segments<'a>(messages: &'a [Message], system: Option<&'a str>) -> Result<Vec<Segment<'a>>> {
    lay_out(messages, system, |_, content| content)
}

/// Lays out the turns, what they contain as `shown` shows it.
pub(in crate::families) fn lay_out<'a>(
    messages: &'a [Message],
    system: Option<&'a str>,
    shown: impl Fn(Role, Vec<Segment<'a>>) -> Vec<Segment<'a>>,
) -> Result<Vec<Segment<'a>>> {
    check_pictures(messages, |message| message.role == Role::User)?;
    let mut segments = Vec::new();
    if let Some(text) = system {
        turn(&mut segments, Role::System, shown(Role::System, vec![Segment::Text(text.into())]));
        end(&mut segments);
    }
    for (i, message) in messages.iter().enumerate() {
        let content = merge_content(std::slice::from_ref(message), "");
        turn(&mut segments, message.role, shown(message.role, content));
        if i + 1 < messages.len() || message.role != Role::Assistant {
            end(&mut segments);
        }
    }
    if messages.last().is_some_and(|message| message.role != Role::Assistant) {
        turn(&mut segments, Role::Assistant, Vec::new());
    }
    Ok(segments)
}

/// What the turn says goes through the tokenizer with the line before it.
fn turn<'a>(segments: &mut Vec<Segment<'a>>, role: Role, mut content: Vec<Segment<'a>>) {
    let mut header = Cow::from(format!("{role}\n"));
    if let Some(Segment::Text(text)) = content.first() {
        header.to_mut().push_str(text);
        content.remove(0);
    }
    segments.extend([Segment::Control("<|im_start|>"), Segment::Text(header)]);
    segments.extend(content);
}

fn end(segments: &mut Vec<Segment<'_>>) {
    segments.extend([Segment::Control("<|im_end|>"), Segment::Text("\n".into())]);
}
