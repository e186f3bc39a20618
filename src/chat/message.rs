//! A conversation as data: who said what, in which order.

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions that hold for the whole conversation.
    System,
    /// The person asking; the only one who shows pictures.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The role's name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
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

impl Message {
    /// A message of text alone.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, content: vec![ContentPart::Text(text.into())] }
    }
}
