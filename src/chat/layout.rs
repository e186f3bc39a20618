//! Chat templates as code. Each family has its own: see `families/*/chat.rs`.

use std::borrow::Cow;
use std::fmt;

use super::calls::CallLayout;
use super::message::{ContentPart, Message, Role, ToolCall, pictures};
use super::thoughts::ThoughtLayout;
use crate::error::{Error, Result};

/// A piece of the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment<'a> {
    /// The first token of every prompt.
    Start,
    /// A control token, by name.
    Control(&'static str),
    /// Ordinary text.
    Text(Cow<'a, str>),
    /// A picture: an index into the pictures of the request.
    Image(usize),
    /// No token; a later prompt may differ from here on. A state that cannot be rewound to any entry makes a checkpoint.
    Branch,
}

/// The chat template of a family.
///
/// Templates are code instead of Jinja, so that the text of a message is tokenized separately from the control tokens around it.
pub struct ChatLayout {
    /// Its name in `model.json`.
    pub name: &'static str,
    /// Strings that all occur in a checkpoint's own Jinja template of this layout.
    pub marks: &'static [&'static str],
    /// Lays out a conversation. `system` is the default system message.
    pub segments: SegmentsFn,
    /// Format of tool calls; `None` for models without calls.
    pub calls: Option<CallLayout>,
    /// Format of reasoning; `None` for models that do not reason.
    pub thoughts: Option<ThoughtLayout>,
}

/// Converts messages and a default system message to segments, or fails with an [`Error::InvalidRequest`] that names the message.
pub type SegmentsFn = for<'a> fn(&'a [Message], Option<&'a str>) -> Result<Vec<Segment<'a>>>;

impl fmt::Debug for ChatLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatLayout").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ChatLayout {
    /// The control tokens of conversations and answers in this layout, including those of calls and reasoning.
    pub fn control_tokens(&self) -> Vec<&'static str> {
        let message = |role| Message::text(role, "a");
        let mut messages =
            vec![message(Role::System), message(Role::User), message(Role::Assistant), message(Role::User)];
        let mut names = self.marks.iter().copied().filter(|mark| mark.starts_with(['<', '['])).collect::<Vec<_>>();
        if let Some(calls) = self.calls {
            let call = ToolCall { name: "a".into(), arguments: String::new() };
            messages.push(Message { role: Role::Assistant, content: vec![ContentPart::Call(call)] });
            messages.extend([message(Role::Tool), Message::text(Role::Tools, "{}")]);
            names.extend(calls.tokens());
        }
        names.extend(self.thoughts.iter().flat_map(|thoughts| [thoughts.begin, thoughts.end]));
        // Layouts of models that see no pictures refuse this one.
        let shown = [Message { role: Role::User, content: vec![ContentPart::Image(0)] }];
        let of = |messages| (self.segments)(messages, None).unwrap_or_default();
        for segment in of(&messages).into_iter().chain(of(&shown)) {
            if let Segment::Control(name) = segment {
                names.push(name);
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Returns the layout whose marks are in a checkpoint's own template, the one with the most marks if there are several. Otherwise, or
    /// without a template, returns the first layout, with `true` if that is a guess. `layouts` must not be empty.
    pub fn recognise(layouts: &[&'static Self], template: Option<&str>) -> (&'static Self, bool) {
        let is_of = |layout: &&&Self| template.is_some_and(|text| layout.marks.iter().all(|mark| text.contains(mark)));
        match layouts.iter().filter(is_of).max_by_key(|layout| layout.marks.len()) {
            Some(layout) => (layout, false),
            None => (layouts[0], template.is_some()),
        }
    }
}

/// Content of consecutive messages of one role, without calls and reasoning. Adjacent texts are joined with `between`; empty ones are dropped.
pub fn merge_content<'a>(messages: &'a [Message], between: &str) -> Vec<Segment<'a>> {
    let mut merged: Vec<Segment<'a>> = Vec::new();
    for part in messages.iter().flat_map(|message| &message.content) {
        match (part, merged.last_mut()) {
            (ContentPart::Image(index), _) => merged.push(Segment::Image(*index)),
            (ContentPart::Call(_) | ContentPart::Thoughts(_), _) => {}
            (ContentPart::Text(text), _) if text.is_empty() => {}
            (ContentPart::Text(text), Some(Segment::Text(before))) => {
                let before = before.to_mut();
                before.push_str(between);
                before.push_str(text);
            }
            (ContentPart::Text(text), _) => merged.push(Segment::Text(Cow::Borrowed(text))),
        }
    }
    merged
}

/// Refuses a conversation without messages, and pictures that `may_show` does not allow.
///
/// # Errors
/// [`Error::InvalidRequest`] that names the message.
pub fn check_pictures(messages: &[Message], may_show: impl Fn(&Message) -> bool) -> Result<()> {
    if messages.is_empty() {
        return Err(Error::request("messages", "at least one message is needed"));
    }
    match pictures(messages).find(|(_, message, _)| !may_show(message)) {
        Some((field, message, _)) => {
            Err(Error::request(field, format!("a {} message cannot hold a picture", message.role)))
        }
        None => Ok(()),
    }
}

/// A text without white space at its ends, as in templates.
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// White space as defined by Python.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}
