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
    /// What a call of the assistant's came to; as many messages as there were calls, in their order.
    Tool,
    /// The definitions of the tools that the model may call, each a text; the last message, where there are any.
    Tools,
}

/// One piece of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentPart {
    /// Text; whatever it spells, it never becomes a control token.
    Text(String),
    /// A picture: an index into the pictures of the request.
    Image(usize),
    /// A call of a tool, by the assistant.
    Call(ToolCall),
    /// What the assistant thought before it spoke. A last message of nothing else asks for thoughts, which go on behind it.
    Thoughts(String),
}

/// A call of a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ToolCall {
    /// The tool.
    pub name: String,
    /// JSON.
    pub arguments: String,
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
            ContentPart::Text(_) | ContentPart::Call(_) | ContentPart::Thoughts(_) => None,
        })
    })
}

impl Message {
    /// A message of text alone.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, content: vec![ContentPart::Text(text.into())] }
    }

    /// The texts of its content.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.content
            .iter()
            .filter_map(|part| if let ContentPart::Text(text) = part { Some(text.as_str()) } else { None })
    }

    /// What was thought before it, if that is known.
    pub fn thoughts(&self) -> Option<&str> {
        self.content
            .iter()
            .find_map(|part| if let ContentPart::Thoughts(text) = part { Some(text.as_str()) } else { None })
    }

    /// Whether it is thoughts that go on, and nothing else.
    pub fn is_thinking(&self) -> bool {
        self.role == Role::Assistant && matches!(self.content[..], [ContentPart::Thoughts(_)])
    }

    /// The calls of its content.
    pub fn calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.content.iter().filter_map(|part| if let ContentPart::Call(call) = part { Some(call) } else { None })
    }
}

/// A conversation without the message that defines its tools, and the definitions.
pub fn split_tools(messages: &[Message]) -> (&[Message], Vec<&str>) {
    match messages.split_last() {
        Some((last, others)) if last.role == Role::Tools => (others, last.texts().collect()),
        _ => (messages, Vec::new()),
    }
}
