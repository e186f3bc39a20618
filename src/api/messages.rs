//! The `messages` of a request.

use serde_json::Value;

use super::field::{Field, Fields};
use crate::chat::{ContentPart, Message, Role};
use crate::engine::Detail;
use crate::error::Result;

/// Messages, and the URLs of the pictures in them in order of appearance: `ContentPart::Image(i)` means `picture_urls[i]`.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    pub(super) messages: Vec<Message>,
    pub(super) picture_urls: Vec<String>,
    /// How large each of them is to be shown.
    pub(super) details: Vec<Detail>,
}

impl Conversation {
    pub(super) fn read(messages: &Field<'_>) -> Result<Self> {
        let mut conversation = Self::default();
        for message in messages.array()? {
            let fields = message.object()?;
            let role = read_role(&fields)?;
            if let Some(calls) = fields.get("tool_calls").or_else(|| fields.get("function_call")) {
                return Err(calls.unsupported("tools are not supported yet"));
            }
            fields.only(&["role", "content"])?;
            let content = conversation.read_content(&fields.need("content")?)?;
            conversation.messages.push(Message { role, content });
        }
        match conversation.messages.is_empty() {
            true => Err(messages.fault("at least one message is needed")),
            false => Ok(conversation),
        }
    }

    fn read_content(&mut self, content: &Field<'_>) -> Result<Vec<ContentPart>> {
        match content.value {
            Value::String(text) => Ok(vec![ContentPart::Text(text.clone())]),
            Value::Array(_) => content.array()?.map(|part| self.read_part(&part)).collect(),
            _ => Err(content.fault("must be a string or an array of parts")),
        }
    }

    fn read_part(&mut self, part: &Field<'_>) -> Result<ContentPart> {
        let fields = part.object()?;
        let kind = fields.need("type")?;
        match kind.str()? {
            "text" => {
                fields.only(&["type", "text"])?;
                fields.need("text")?.string().map(ContentPart::Text)
            }
            "image_url" => {
                fields.only(&["type", "image_url"])?;
                let (url, detail) = read_picture_url(&fields.need("image_url")?)?;
                self.picture_urls.push(url);
                self.details.push(detail);
                Ok(ContentPart::Image(self.picture_urls.len() - 1))
            }
            other => {
                Err(kind.unsupported(format!("parts of type {other:?} are not supported, only text and image_url")))
            }
        }
    }
}

fn read_role(fields: &Fields<'_>) -> Result<Role> {
    let role = fields.need("role")?;
    match role.str()? {
        "system" | "developer" => Ok(Role::System),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "tool" | "function" => Err(role.unsupported("tools are not supported yet")),
        other => Err(role.fault(format!("must be system, user or assistant, not {other:?}"))),
    }
}

/// A URL, or an object with one and perhaps a `detail`.
fn read_picture_url(image_url: &Field<'_>) -> Result<(String, Detail)> {
    let (mut url, mut detail) = (image_url.clone(), Detail::default());
    if !url.value.is_string() {
        let fields = image_url.object()?;
        fields.only(&["url", "detail"])?;
        if let Some(field) = fields.get("detail") {
            detail = field.str()?.parse().map_err(|_| field.fault("must be auto, low or high"))?;
        }
        url = fields.need("url")?;
    }
    match url.str()? {
        "" => Err(url.fault("is empty")),
        text => Ok((text.to_owned(), detail)),
    }
}
