//! Truncation of conversations that exceed the context, if the caller requests it.

use crate::chat::{ContentPart, Message, Role};

/// Number of turns; each begins with a user message.
pub(super) fn turns(messages: &[Message]) -> usize {
    messages.iter().filter(|message| message.role == Role::User).count()
}

/// Returns a conversation without the messages up to the end of its turn `count`, except instructions and tools. Pictures of the removed turns
/// move to the beginning of the next one.
pub(super) fn without(messages: &[Message], count: usize) -> Vec<Message> {
    let (mut kept, mut pictures, mut turn) = (Vec::new(), Vec::new(), 0);
    for message in messages {
        turn += usize::from(message.role == Role::User);
        if matches!(message.role, Role::System | Role::Tools) {
            kept.push(message.clone());
        } else if turn > count {
            let mut message = message.clone();
            message.content.splice(0..0, pictures.drain(..));
            kept.push(message);
        } else {
            let is_picture = |part: &&ContentPart| matches!(part, ContentPart::Image(_));
            pictures.extend(message.content.iter().filter(is_picture).cloned());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_tools_and_pictures_stay() {
        let text = |role, text: &str| Message::text(role, text);
        let shown = |index, said: &str| Message {
            role: Role::User,
            content: vec![ContentPart::Image(index), ContentPart::Text(said.into())],
        };
        let messages = [
            text(Role::System, "Be brief."),
            shown(0, "What?"),
            text(Role::Assistant, "A star."),
            shown(1, "And this?"),
            text(Role::Assistant, "A ring."),
            text(Role::Tool, "7"),
            shown(2, "And now?"),
            text(Role::Tools, "{}"),
        ];
        assert_eq!(turns(&messages), 3);
        let mut last = shown(2, "And now?");
        last.content.splice(0..0, [ContentPart::Image(0), ContentPart::Image(1)]);
        assert_eq!(without(&messages, 2), [messages[0].clone(), last, messages[7].clone()]);
        assert_eq!(without(&messages, 0), messages);
    }
}
