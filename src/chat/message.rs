//! A conversation as data: who said what, in which order.

/// Who speaks. Displayed as in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Instructions that hold for the whole conversation.
    System,
    /// The person asking; the only one who shows pictures.
    User,
    /// The model.
    Assistant,
}

/// One piece of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentPart {
    /// Text; whatever it spells, it never becomes a control token.
    Text(String),
    /// A picture: an index into the pictures of the request.
    Image(usize),
}

/// What one speaker says in one turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub content: Vec<ContentPart>,
}

/// Where the pictures of a conversation stand in the request, each with its message and its index.
pub(super) fn pictures(messages: &[Message]) -> impl Iterator<Item = (String, &Message, usize)> {
    messages.iter().enumerate().flat_map(|(i, message)| {
        let parts = message.content.iter().enumerate();
        parts.filter_map(move |(j, part)| match part {
            ContentPart::Image(index) => Some((format!("messages[{i}].content[{j}]"), message, *index)),
            ContentPart::Text(_) => None,
        })
    })
}

impl Message {
    /// A message of text alone.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, content: vec![ContentPart::Text(text.into())] }
    }
}
