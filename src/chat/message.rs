//! A conversation as data.

/// Role of a message. Its `Display` form is the name in requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Instructions for the whole conversation.
    System,
    /// The person asking. All families with pictures accept them here.
    User,
    /// The model.
    Assistant,
    /// Result of a tool call; there is one message for each call, in their order. Some families accept pictures here.
    Tool,
    /// Definitions of the tools, one text for each; the last message, if there are tools.
    Tools,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentPart {
    /// Text, which never becomes a control token.
    Text(String),
    /// A picture: an index into the pictures of the request.
    Image(usize),
    /// A call of a tool, by the assistant.
    Call(ToolCall),
    /// Reasoning of the assistant. If the last message has nothing else, the model continues the reasoning.
    Thoughts(String),
}

/// A call of a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ToolCall {
    /// Name of the tool.
    pub name: String,
    /// Arguments as JSON.
    pub arguments: String,
}

/// A message of one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Role.
    pub role: Role,
    /// Content, in order.
    pub content: Vec<ContentPart>,
}

/// The pictures of a conversation: location in the request, message, and index.
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
    /// Bytes of its text, thoughts and calls.
    pub fn text_bytes(&self) -> usize {
        let bytes = |part: &ContentPart| match part {
            ContentPart::Text(text) | ContentPart::Thoughts(text) => text.len(),
            ContentPart::Call(ToolCall { name, arguments, .. }) => name.len() + arguments.len(),
            ContentPart::Image(_) => 0,
        };
        self.content.iter().map(bytes).sum()
    }

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

    /// The reasoning of the message, if known.
    pub fn thoughts(&self) -> Option<&str> {
        self.content
            .iter()
            .find_map(|part| if let ContentPart::Thoughts(text) = part { Some(text.as_str()) } else { None })
    }

    /// Returns true if the message is reasoning to be continued.
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
