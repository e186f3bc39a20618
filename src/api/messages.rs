//! The `messages` of a chat, and the `input` of a response.

use serde_json::Value;

use super::field::{Field, Fields};
use crate::chat::{ContentPart, Message, Role};
use crate::engine::Detail;
use crate::error::Result;

/// A picture that a request names.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PictureUrl {
    /// Its URL, as the request has it.
    pub url: String,
    /// Where it stands in the request.
    pub field: String,
    /// How large it is to be shown.
    pub detail: Detail,
}

/// How parts of messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `text` and `image_url`.
    Chat,
    /// `input_text`, `output_text` and `input_image`.
    Response,
}

/// Messages, and the pictures in them in order of appearance: `ContentPart::Image(i)` means `pictures[i]`.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    pub(super) messages: Vec<Message>,
    pub(super) pictures: Vec<PictureUrl>,
}

/// Fields of a message that say nothing to the model.
const INERT: [&str; 6] = ["name", "annotations", "refusal", "id", "status", "phase"];

impl Conversation {
    pub(super) fn read(messages: &Field<'_>, dialect: Dialect) -> Result<Self> {
        let mut conversation = Self::default();
        for message in messages.array()? {
            conversation.read_message(&message.object()?, dialect)?;
        }
        match conversation.messages.is_empty() {
            true => Err(messages.fault("at least one message is needed")),
            false => Ok(conversation),
        }
    }

    fn read_message(&mut self, fields: &Fields<'_>, dialect: Dialect) -> Result<()> {
        if dialect == Dialect::Response
            && let Some(kind) = fields.get("type").filter(|kind| kind.value != "message")
        {
            return Err(kind.unsupported("only messages are supported"));
        }
        let role = read_role(fields)?;
        if let Some(calls) = fields.get("tool_calls").or_else(|| fields.get("function_call")) {
            return Err(calls.unsupported("tools are not supported yet"));
        }
        let own: &[&str] = if dialect == Dialect::Chat { &["role", "content"] } else { &["role", "content", "type"] };
        fields.only(&[own, &INERT[..]].concat())?;
        let content = self.read_content(&fields.need("content")?, dialect)?;
        self.messages.push(Message { role, content });
        Ok(())
    }

    fn read_content(&mut self, content: &Field<'_>, dialect: Dialect) -> Result<Vec<ContentPart>> {
        match content.value {
            Value::String(text) => Ok(vec![ContentPart::Text(text.clone())]),
            Value::Array(_) => content.array()?.map(|part| self.read_part(&part, dialect)).collect(),
            _ => Err(content.fault("must be a string or an array of parts")),
        }
    }

    fn read_part(&mut self, part: &Field<'_>, dialect: Dialect) -> Result<ContentPart> {
        let fields = part.object()?;
        let kind = fields.need("type")?;
        match (kind.str()?, dialect) {
            ("text", Dialect::Chat) | ("input_text" | "output_text", Dialect::Response) => {
                fields.only(&["type", "text", "annotations", "logprobs"])?;
                fields.need("text")?.string().map(ContentPart::Text)
            }
            ("image_url", Dialect::Chat) => {
                fields.only(&["type", "image_url"])?;
                let picture = read_picture(&fields.need("image_url")?)?;
                Ok(self.show(picture))
            }
            ("input_image", Dialect::Response) => {
                fields.only(&["type", "image_url", "detail"])?;
                let picture = read_url(&fields.need("image_url")?, read_detail(&fields)?)?;
                Ok(self.show(picture))
            }
            (other, _) => {
                Err(kind.unsupported(format!("parts of type {other:?} are not supported, only text and pictures")))
            }
        }
    }

    fn show(&mut self, picture: PictureUrl) -> ContentPart {
        self.pictures.push(picture);
        ContentPart::Image(self.pictures.len() - 1)
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

/// A URL, or an object with one.
fn read_picture(image_url: &Field<'_>) -> Result<PictureUrl> {
    if image_url.value.is_string() {
        return read_url(image_url, Detail::default());
    }
    let fields = image_url.object()?;
    fields.only(&["url", "detail"])?;
    read_url(&fields.need("url")?, read_detail(&fields)?)
}

/// How large a picture is to be shown. `original` is what responses call it where no size is left out.
fn read_detail(fields: &Fields<'_>) -> Result<Detail> {
    let Some(detail) = fields.get("detail") else { return Ok(Detail::default()) };
    match detail.str()? {
        "original" => Ok(Detail::High),
        name => name.parse().map_err(|_| detail.fault("must be auto, low, high or original")),
    }
}

fn read_url(url: &Field<'_>, detail: Detail) -> Result<PictureUrl> {
    match url.str()? {
        "" => Err(url.fault("is empty")),
        text => Ok(PictureUrl { url: text.to_owned(), field: url.path.clone(), detail }),
    }
}
