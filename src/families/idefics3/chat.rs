//! The chat layouts of SmolVLM and of Granite-Docling.
//!
//! ```text
//! <|im_start|>User:IMAGEuser<end_of_utterance>\nAssistant: assistant<end_of_utterance>\nUser: user<end_of_utterance>\nAssistant:
//! <|start_of_role|>user<|end_of_role|>IMAGEuser<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>
//! ```

use crate::chat::draft::Draft;
use crate::chat::layout::{ChatLayout, Segment, check_pictures};
use crate::chat::message::{ContentPart, Message, Role};
use crate::error::Result;
use crate::families::readers::ChatDefaults;

/// `<end_of_utterance>` and `<|im_end|>` of SmolVLM's vocabularies. The first token of prompts belongs to the layouts.
pub(super) const TOKENS: ChatDefaults =
    ChatDefaults { bos: None, eos: 49_279, other_ends: &[], pad: Some(2), sampling: None, thinking: None };

/// Roles are text, to which the first text of the message belongs.
pub(super) static SMOLVLM: ChatLayout = ChatLayout {
    name: "smolvlm",
    marks: &["<|im_start|>", "<end_of_utterance>", "Assistant:"],
    segments: |messages, system| {
        let mut draft = Draft::default();
        draft.control("<|im_start|>");
        turns(draft, messages, system, "<end_of_utterance>", role_as_text)
    },
    calls: None,
    thoughts: None,
};

/// Roles are between control tokens.
pub(super) static GRANITE_DOCLING: ChatLayout = ChatLayout {
    name: "granite-docling",
    marks: &["<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"],
    segments: |messages, system| turns(Draft::default(), messages, system, "<|end_of_text|>", role_between_tokens),
    calls: None,
    thoughts: None,
};

fn role_as_text(draft: &mut Draft, message: &Message) {
    let mut name = message.role.to_string();
    name[..1].make_ascii_uppercase();
    draft.text(&format!("{name}:"));
    // An answer itself begins with the space.
    let is_question = message.role != Role::Assistant;
    if matches!(message.content.first(), Some(ContentPart::Text(text)) if is_question || !text.starts_with(' ')) {
        draft.text(" ");
    }
}

fn role_between_tokens(draft: &mut Draft, message: &Message) {
    draft.control("<|start_of_role|>");
    draft.text(&message.role.to_string());
    draft.control("<|end_of_role|>");
}

/// Adds the messages to a prompt: `begin` the role of one, and `end` after it, except for a last message of the assistant.
fn turns<'a>(
    mut draft: Draft,
    messages: &[Message],
    system: Option<&str>,
    end: &'static str,
    begin: fn(&mut Draft, &Message),
) -> Result<Vec<Segment<'a>>> {
    check_pictures(messages, |message| message.role == Role::User)?;
    let system = system.map(|text| Message::text(Role::System, text));
    let answer = Message { role: Role::Assistant, content: Vec::new() };
    let is_open = messages.last().is_some_and(|message| message.role == Role::Assistant);
    let mut all = system.iter().chain(messages).chain((!is_open).then_some(&answer)).peekable();
    while let Some(message) = all.next() {
        begin(&mut draft, message);
        draft.content(message);
        if all.peek().is_some() {
            draft.control(end);
            draft.text("\n");
        }
    }
    Ok(draft.finish())
}
