//! Instructions about the format for the model. A model constrained to a format that it was not told writes unlikely text.

use super::Format;
use crate::chat::{ContentPart, Message, Role};

impl Format {
    /// The format as an instruction.
    pub fn instruction(&self) -> String {
        match self {
            Self::JsonSchema(schema) => {
                format!("Answer with JSON that fits this JSON schema, and with nothing else:\n{}", schema.trim())
            }
            Self::Regex(regex) => {
                format!("Answer with a text that this regular expression matches, and with nothing else:\n{regex}")
            }
            Self::Lark(grammar) | Self::Rules { lark: grammar, .. } => {
                format!("Answer as this grammar says, and with nothing else:\n{}", grammar.trim())
            }
        }
    }

    /// Adds the instruction to the last message of the user.
    pub fn tell(&self, messages: &mut [Message]) {
        let Some(message) = messages.iter_mut().rev().find(|message| message.role == Role::User) else { return };
        let last = message.content.iter_mut().rev().find_map(|part| match part {
            ContentPart::Text(text) => Some(text),
            _ => None,
        });
        match last {
            Some(text) => *text += &format!("\n\n{}", self.instruction()),
            None => message.content.push(ContentPart::Text(self.instruction())),
        }
    }
}
