//! The chat layout of Gemma 4.
//!
//! ```text
//! <bos><|turn>system\nsystem<turn|>\n<|turn>user\nIMAGEuser<turn|>\n<|turn>model\nassistant<turn|>\n<|turn>user\nuser<turn|>\n<|turn>model\n
//! ```
//!
//! Reasoning is asked for by `<|think|>` in the system's turn, and comes first in the answer: `<|channel>thought\nthoughts\n<channel|>answer`.
//! If it is not asked for, prompts of the larger models end with an empty one, which E2B and E4B do not know:
//! `<|turn>model\n<|channel>thought\n<channel|>`.

use crate::chat::draft::Draft;
use crate::chat::layout::{ChatLayout, Segment, check_pictures, is_space, merge_content, trimmed};
use crate::chat::message::{Message, Role};
use crate::chat::thoughts::ThoughtLayout;
use crate::error::{Error, Result};
use crate::families::readers::ChatDefaults;

/// `<bos>`, `<turn|>` and `<pad>` of the vocabulary.
pub(super) const TOKENS: ChatDefaults = ChatDefaults {
    bos: Some(2),
    eos: 106,
    other_ends: &["<eos>", "<|tool_response>"],
    pad: Some(0),
    sampling: None,
    thinking: None,
};

const THOUGHTS: ThoughtLayout = ThoughtLayout {
    begin: "<|channel>",
    end: "<channel|>",
    between: "",
    cut: "\n\nThere is no time for more thoughts: I answer from what I have.\n",
};

/// The layout of E2B and E4B. Every message is a turn, trimmed. A last message of the assistant stays open for the model to continue.
pub(super) static GEMMA_4: ChatLayout = ChatLayout {
    name: "gemma4",
    marks: &["<|turn>", "<turn|>"],
    segments: |messages, system| segments(messages, system, |_| {}),
    calls: None,
    thoughts: Some(THOUGHTS),
};

/// The layout of 12B and 31B, where an answer without reasoning begins with an empty thought.
pub(super) static GEMMA_4_LARGE: ChatLayout = ChatLayout {
    name: "gemma4-large",
    // The empty thought as a string in Jinja, where the line end is a backslash and an n.
    marks: &["<|turn>", "<turn|>", r"thought\n<channel|>"],
    segments: |messages, system| segments(messages, system, empty_thought),
    calls: None,
    thoughts: Some(THOUGHTS),
};

fn empty_thought(draft: &mut Draft) {
    draft.control(THOUGHTS.begin);
    draft.text("thought\n");
    draft.control(THOUGHTS.end);
}

/// Lays out a conversation; `silence` begins an answer without reasoning.
fn segments<'a>(messages: &'a [Message], system: Option<&'a str>, silence: fn(&mut Draft)) -> Result<Vec<Segment<'a>>> {
    check_pictures(messages, |message| message.role == Role::User)?;
    if let Some(i) = messages.iter().skip(1).position(|message| message.role == Role::System) {
        let field = format!("messages[{}].role", i + 1);
        return Err(Error::request(field, "only the first message can be a system message"));
    }
    let thinks = messages.last().is_some_and(Message::is_thinking);
    let own = messages.first().filter(|message| message.role == Role::System);
    let instructions = own.map(|message| message.texts().collect::<String>()).or_else(|| system.map(str::to_owned));
    let mut draft = Draft::default();
    draft.start();
    if instructions.is_some() || thinks {
        begin(&mut draft, "system");
        if thinks {
            draft.control("<|think|>");
            draft.text("\n");
        }
        draft.text(trimmed(&instructions.unwrap_or_default()));
        end(&mut draft);
    }
    let last = messages.len() - 1;
    for (index, message) in messages.iter().enumerate().skip(usize::from(own.is_some())) {
        begin(&mut draft, role(message.role));
        // The template leaves it out of earlier answers, but the model began this one after it.
        if index == last && message.role == Role::Assistant && !thinks {
            silence(&mut draft);
        }
        content(&mut draft, message);
        if let Some(thoughts) = message.thoughts().filter(|_| thinks && index == last) {
            draft.control("<|channel>");
            draft.text(&format!("thought\n{thoughts}"));
        }
        if index < last || message.role != Role::Assistant {
            end(&mut draft);
        }
    }
    if messages[last].role != Role::Assistant {
        begin(&mut draft, role(Role::Assistant));
        silence(&mut draft);
    }
    Ok(draft.finish())
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::Assistant => "model",
        Role::User | Role::Tool | Role::Tools => "user",
    }
}

fn begin(draft: &mut Draft, role: &str) {
    draft.control("<|turn>");
    draft.text(&format!("{role}\n"));
}

fn end(draft: &mut Draft) {
    draft.control("<turn|>");
    draft.text("\n");
}

/// Adds texts and pictures, each text trimmed.
fn content(draft: &mut Draft, message: &Message) {
    let parts = merge_content(std::slice::from_ref(message), "");
    for part in parts {
        match part {
            Segment::Text(text) => draft.text(text.trim_matches(is_space)),
            Segment::Image(index) => draft.picture(index),
            Segment::Start | Segment::Control(_) | Segment::Branch => {}
        }
    }
}
