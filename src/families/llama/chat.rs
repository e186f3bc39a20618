//! Llama 3's chat layout.
//!
//! ```text
//! <|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nuser<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n
//! ```
//!
//! The dates that later templates put before every conversation are left out, as in the first published template.

use crate::chat::layout::{ChatLayout, Segment, check_pictures, merge_content};
use crate::chat::message::{Message, Role};
use crate::error::Result;
use crate::families::readers::ChatDefaults;

/// `<|begin_of_text|>`, `<|eot_id|>` and `<|finetune_right_pad_id|>` of Llama 3's vocabularies.
pub(in crate::families) const TOKENS: ChatDefaults = ChatDefaults {
    bos: Some(128_000),
    eos: 128_009,
    other_ends: &[],
    pad: Some(128_004),
    sampling: None,
    thinking: None,
};

/// Every message is a turn, trimmed. A last message of the assistant stays open for the model to continue.
pub(super) static LLAMA_3: ChatLayout =
    ChatLayout { name: "llama3", marks: &["<|start_header_id|>", "<|eot_id|>"], segments, calls: None, thoughts: None };

fn segments<'a>(messages: &'a [Message], system: Option<&'a str>) -> Result<Vec<Segment<'a>>> {
    check_pictures(messages, |_| false)?;
    let mut segments = vec![Segment::Start];
    if let Some(text) = system {
        turn(&mut segments, Role::System, text);
        segments.push(Segment::Control("<|eot_id|>"));
    }
    for (i, message) in messages.iter().enumerate() {
        let content = merge_content(std::slice::from_ref(message), "");
        let text = if let Some(Segment::Text(text)) = content.first() { text } else { "" };
        turn(&mut segments, message.role, text);
        if i + 1 < messages.len() || message.role != Role::Assistant {
            segments.push(Segment::Control("<|eot_id|>"));
        }
    }
    if messages.last().is_some_and(|message| message.role != Role::Assistant) {
        turn(&mut segments, Role::Assistant, "");
    }
    Ok(segments)
}

fn turn(segments: &mut Vec<Segment<'_>>, role: Role, text: &str) {
    header(segments, &role.to_string(), text.trim());
}

/// Begins a turn with `text`.
pub(in crate::families) fn header(segments: &mut Vec<Segment<'_>>, role: &str, text: &str) {
    let header = [
        Segment::Control("<|start_header_id|>"),
        Segment::Text(role.to_owned().into()),
        Segment::Control("<|end_header_id|>"),
    ];
    segments.extend(header);
    segments.push(Segment::Text(format!("\n\n{text}").into()));
}
