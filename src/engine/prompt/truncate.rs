//! Truncation of conversations that exceed the context, if the caller requests it.

use super::{Encoded, Picture, Prompt};
use crate::chat::{ContentPart, Message, Role};
use crate::engine::Engine;
use crate::engine::device::backend::Backend;
use crate::engine::events::Event;
use crate::error::Result;

impl<B: Backend> Engine<B> {
    /// Encodes a prompt. If a conversation exceeds the context, drops its oldest turns, as few as leave room for an answer of `answer`
    /// tokens (at most half the context; a quarter for `None`). Instructions, tool definitions, pictures and the last turn stay. If even
    /// these exceed the context, the start of the answer fails.
    ///
    /// # Errors
    /// Errors of [`Self::encode`].
    pub fn encode_cut(&self, prompt: &Prompt, pictures: &[Picture], answer: Option<usize>) -> Result<Encoded> {
        let (started, context) = ((self.clock)(), self.backend.context());
        let Prompt::Messages(messages) = prompt else { return self.encode(prompt, pictures) };
        // Pictures are never dropped, so they are scaled once.
        let sized = self.size_pictures(pictures, self.pictures)?;
        let whole = self.lay_out(prompt, &sized)?;
        let timed = |encoded: Encoded| Encoded { ms: (self.clock)() - started, ..encoded };
        if whole.entries.len() < context {
            return Ok(timed(whole));
        }
        let room = answer.unwrap_or(context / 4).min(context / 2).max(1);
        let encode = |count: usize| self.lay_out(&Prompt::Messages(without(messages, count)), &sized);
        let (mut fewest, mut most) = (0, turns(messages).saturating_sub(1));
        let mut cut = if most == 0 { whole } else { encode(most)? };
        // Bisection: `fewest` dropped turns are too few; `most` suffice, or are all that can be dropped.
        while most - fewest > 1 {
            let middle = fewest.midpoint(most);
            let shorter = encode(middle)?;
            if shorter.entries.len() + room <= context {
                (most, cut) = (middle, shorter);
            } else {
                fewest = middle;
            }
        }
        if most > 0 {
            cut.events.push(Event::Truncated { turns: most });
        }
        Ok(timed(cut))
    }
}

/// Number of turns, each of which begins with a message of the user.
fn turns(messages: &[Message]) -> usize {
    messages.iter().filter(|message| message.role == Role::User).count()
}

/// Messages without the first `count` turns and anything before them except instructions. Pictures move to the start of the next turn.
fn without(messages: &[Message], count: usize) -> Vec<Message> {
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
