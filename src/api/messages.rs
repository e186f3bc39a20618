//! The `messages` of a request.

use serde_json::Value;

use super::field::{Field, Fields};
use crate::chat::{ContentPart, Message, Role};
use crate::error::Result;

/// Messages, and the URLs of the pictures in them in order of appearance: `ContentPart::Image(i)` means `picture_urls[i]`.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    pub(super) messages: Vec<Message>,
    pub(super) picture_urls: Vec<String>,
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
                self.picture_urls.push(read_picture_url(&fields.need("image_url")?)?);
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

/// A URL, or an object with one. `detail` is validated and has no effect: pictures are always encoded at full size.
fn read_picture_url(image_url: &Field<'_>) -> Result<String> {
    let mut url = image_url.clone();
    if !url.value.is_string() {
        let fields = image_url.object()?;
        fields.only(&["url", "detail"])?;
        if let Some(detail) = fields.get("detail")
            && !["auto", "low", "high"].contains(&detail.str()?)
        {
            return Err(detail.fault("must be auto, low or high"));
        }
        url = fields.need("url")?;
    }
    match url.str()? {
        "" => Err(url.fault("is empty")),
        text => Ok(text.to_owned()),
    }
}
