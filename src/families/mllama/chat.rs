//! Llama 3.2 Vision's layout of a conversation: Llama 3's, with a token where a picture is.
//!
//! ```text
//! <|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n<|image|>user<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n
//! ```

use crate::chat::layout::{ChatLayout, Segment, check_pictures, merge_content};
use crate::chat::message::{Message, Role};
use crate::error::Result;
use crate::families::llama::chat::header;

pub(super) use crate::families::llama::chat::TOKENS;

/// Every message is a turn of its own, as it is. A conversation that ends with the assistant leaves that turn open, for the model to
/// continue.
pub(super) static LLAMA_3_VISION: ChatLayout = ChatLayout {
    name: "llama3_vision",
    marks: &["<|start_header_id|>", "<|eot_id|>", "<|image|>"],
    segments,
    calls: None,
    thoughts: None,
};

fn segments<'a>(messages: &'a [Message], system: Option<&'a str>) -> Result<Vec<Segment<'a>>> {
    check_pictures(messages, |message| message.role == Role::User)?;
    let mut segments = vec![Segment::Start];
    let own = messages.first().is_some_and(|message| message.role == Role::System);
    if let Some(text) = system.filter(|_| !own) {
        turn(&mut segments, Role::System, vec![Segment::Text(text.into())]);
        segments.push(Segment::Control("<|eot_id|>"));
    }
    for (i, message) in messages.iter().enumerate() {
        turn(&mut segments, message.role, merge_content(std::slice::from_ref(message), ""));
        if i + 1 < messages.len() || message.role != Role::Assistant {
            segments.push(Segment::Control("<|eot_id|>"));
        }
    }
    if messages.last().is_some_and(|message| message.role != Role::Assistant) {
        turn(&mut segments, Role::Assistant, Vec::new());
    }
    Ok(segments)
}

/// What the turn says goes through the tokenizer with the lines before it.
fn turn<'a>(segments: &mut Vec<Segment<'a>>, role: Role, mut content: Vec<Segment<'a>>) {
    let mut first = String::new();
    if let Some(Segment::Text(text)) = content.first() {
        first.push_str(text);
        content.remove(0);
    }
    header(segments, role, &first);
    segments.extend(content);
}
