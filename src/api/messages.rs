//! The `messages` of a chat, and the `input` of a response.

use serde_json::Value;

use super::caller::check_caller;
use super::field::{Field, Fields};

use crate::chat::{ContentPart, Message, Role, ToolCall};
use crate::engine::Detail;
use crate::error::Result;

/// A picture in a request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PictureUrl {
    /// URL of the picture, or its data; [`Self::file_id`] for an uploaded file.
    pub url: String,
    /// Path of the URL in the request.
    pub field: String,
    /// Requested resolution.
    pub detail: Detail,
}

/// Scheme of the URL of an uploaded file.
const FILE_ID: &str = "file-id:";

impl PictureUrl {
    /// Id of the uploaded file that the picture is.
    pub fn file_id(&self) -> Option<&str> {
        self.url.strip_prefix(FILE_ID)
    }
}

/// Names for the parts of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `text` and `image_url`.
    Chat,
    /// `input_text`, `output_text` and `input_image`.
    Response,
    /// Blocks of Anthropic's API; see [`super::turns`].
    Message,
}

/// Messages and their pictures: `ContentPart::Image(i)` is `pictures[i]`.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    pub(super) messages: Vec<Message>,
    pub(super) pictures: Vec<PictureUrl>,
}

/// Fields of a message that the model does not see.
const INERT: [&str; 7] = ["name", "annotations", "refusal", "id", "status", "phase", "provider_specific_fields"];
/// Field of a part up to which a provider shall cache; here the longest common prefix is always cached.
const CACHE_MARK: &str = "prompt_cache_breakpoint";

impl Conversation {
    /// Reads the messages of a chat.
    pub(super) fn read(messages: &Field<'_>) -> Result<Self> {
        let mut reader = Reader::default();
        messages.array()?.try_for_each(|message| reader.read_message(&message))?;
        reader.finish(messages)
    }

    /// Reads the items of a response; `input` is the field with the last of them.
    pub(super) fn read_items<'a>(items: impl IntoIterator<Item = Field<'a>>, input: &Field<'_>) -> Result<Self> {
        let mut reader = Reader::default();
        items.into_iter().try_for_each(|item| reader.read_item(&item))?;
        reader.finish(input)
    }

    /// Begins an answer with reasoning, unless it has begun already.
    pub(super) fn think(&mut self) {
        if self.messages.last().is_some_and(|message| message.role != Role::Assistant) {
            self.messages.push(Message { role: Role::Assistant, content: vec![ContentPart::Thoughts(String::new())] });
        }
    }

    /// Adds tool definitions.
    pub(super) fn define(&mut self, definitions: Vec<String>) {
        if !definitions.is_empty() {
            let content = definitions.into_iter().map(ContentPart::Text).collect();
            self.messages.push(Message { role: Role::Tools, content });
        }
    }
}

/// Builds a conversation from messages, items or turns.
#[derive(Default)]
pub(super) struct Reader<'a> {
    conversation: Conversation,
    /// The last calls, with the results read so far.
    called: Vec<Called<'a>>,
    /// Reasoning that precedes the assistant's next item.
    thoughts: Option<String>,
}

/// A call that needs a result.
struct Called<'a> {
    id: &'a str,
    /// The call in the request, for errors.
    place: Field<'a>,
    result: Option<Vec<ContentPart>>,
}

impl<'a> Reader<'a> {
    /// The conversation, which must not end with calls without results.
    pub(super) fn finish(mut self, field: &Field<'_>) -> Result<Conversation> {
        self.begin_with_thoughts();
        self.expect_no_results()?;
        match self.conversation.messages.is_empty() {
            true => Err(field.fault("at least one message is needed")),
            false => Ok(self.conversation),
        }
    }

    /// The pictures of the content that was read.
    pub(super) fn into_pictures(self) -> Vec<PictureUrl> {
        self.conversation.pictures
    }

    /// Adds a message.
    pub(super) fn push(&mut self, role: Role, content: Vec<ContentPart>) {
        self.conversation.messages.push(Message { role, content });
    }

    fn read_message(&mut self, message: &Field<'a>) -> Result<()> {
        let fields = message.object()?;
        let role = read_role(&fields)?;
        if role == Role::Tool {
            fields.only(&[&["role", "content", "tool_call_id"], &INERT[..]].concat())?;
            return self.read_result((&fields.need("tool_call_id")?, &fields.need("content")?), Dialect::Chat);
        }
        self.expect_no_results()?;
        let calls = fields.get("tool_calls").filter(|_| role == Role::Assistant);
        let thoughts = ["reasoning_content", "reasoning"].iter().find_map(|name| fields.get(name));
        let thoughts = thoughts.filter(|_| role == Role::Assistant);
        let own: &[&str] = match role {
            Role::Assistant => &["role", "content", "tool_calls", "reasoning_content", "reasoning"],
            _ => &["role", "content"],
        };
        fields.only(&[own, &INERT[..]].concat())?;
        let mut content = match (fields.get("content"), calls.is_some() || thoughts.is_some()) {
            (None, true) => Vec::new(),
            _ => self.read_content(&fields.need("content")?, Dialect::Chat)?,
        };
        if let Some(thoughts) = thoughts {
            content.insert(0, ContentPart::Thoughts(thoughts.string()?));
        }
        self.push(role, content);
        for call in calls.iter().map(Field::array).collect::<Result<Vec<_>>>()?.into_iter().flatten() {
            let fields = call.object()?;
            fields.only(&["id", "type", "function", "index"])?;
            check_function(&fields)?;
            let function = fields.need("function")?.object()?;
            function.only(&["name", "arguments", "parsed_arguments"])?;
            self.read_call((&fields.need("id")?, &call), &function)?;
        }
        Ok(())
    }

    fn read_item(&mut self, item: &Field<'a>) -> Result<()> {
        let fields = item.object()?;
        match fields.get("type").map(|kind| kind.str().map(|name| (name, kind))).transpose()? {
            Some(("function_call", _)) => {
                fields.only(&["type", "id", "status", "call_id", "name", "arguments", "caller"])?;
                check_caller(&fields)?;
                if self.called.iter().any(|called| called.result.is_some()) {
                    self.expect_no_results()?;
                }
                // Calls that wait for results belong to one message, which has begun: reasoning between them is dropped.
                self.thoughts.take_if(|_| !self.called.is_empty());
                if !self.begin_with_thoughts()
                    && self.conversation.messages.last().is_none_or(|message| message.role != Role::Assistant)
                {
                    self.push(Role::Assistant, Vec::new());
                }
                self.read_call((&fields.need("call_id")?, item), &fields)
            }
            Some(("function_call_output", _)) => {
                fields.only(&["type", "id", "status", "call_id", "output", "caller"])?;
                check_caller(&fields)?;
                self.read_result((&fields.need("call_id")?, &fields.need("output")?), Dialect::Response)
            }
            Some(("reasoning", _)) => self.read_thoughts(&fields),
            None | Some(("message", _)) => {
                self.expect_no_results()?;
                fields.only(&[&["role", "content", "type"], &INERT[..]].concat())?;
                let role = read_role(&fields)?;
                let mut content = self.read_content(&fields.need("content")?, Dialect::Response)?;
                let thoughts = self.thoughts.take().filter(|_| role == Role::Assistant);
                content.splice(0..0, thoughts.map(ContentPart::Thoughts));
                self.push(role, content);
                Ok(())
            }
            Some((_, kind)) => {
                let reason = "only messages, reasoning, function_call and function_call_output are supported";
                Err(kind.unsupported(reason))
            }
        }
    }

    /// Reads the reasoning before the next item. Summaries and encrypted content, which other models have, are ignored.
    fn read_thoughts(&mut self, item: &Fields<'a>) -> Result<()> {
        item.only(&["type", "id", "status", "summary", "content", "encrypted_content"])?;
        let content = item.get("content");
        for part in content.iter().map(Field::array).collect::<Result<Vec<_>>>()?.into_iter().flatten() {
            let fields = part.object()?;
            let kind = fields.need("type")?;
            if kind.str()? != "reasoning_text" {
                return Err(kind.unsupported("only reasoning_text is supported"));
            }
            fields.only(&["type", "text"])?;
            self.thoughts.get_or_insert_default().push_str(fields.need("text")?.str()?);
        }
        Ok(())
    }

    /// Begins an assistant message with pending reasoning; returns false if there is none.
    fn begin_with_thoughts(&mut self) -> bool {
        let thoughts = self.thoughts.take();
        thoughts.map(|text| self.push(Role::Assistant, vec![ContentPart::Thoughts(text)])).is_some()
    }

    fn read_call(&mut self, place: (&Field<'a>, &Field<'a>), function: &Fields<'a>) -> Result<()> {
        self.add_call(place, &function.need("name")?, function.need("arguments")?.string()?)
    }

    /// Adds a call to the last message.
    pub(super) fn add_call(
        &mut self,
        (id, place): (&Field<'a>, &Field<'a>),
        name: &Field<'a>,
        arguments: String,
    ) -> Result<()> {
        check_name(name)?;
        let call = ToolCall { name: name.string()?, arguments };
        self.called.push(Called { id: id.str()?, place: place.clone(), result: None });
        if let Some(message) = self.conversation.messages.last_mut() {
            message.content.push(ContentPart::Call(call));
        }
        Ok(())
    }

    fn read_result(&mut self, (id, content): (&Field<'a>, &Field<'a>), dialect: Dialect) -> Result<()> {
        let parts = self.read_content(content, dialect)?;
        self.add_result(id, parts)
    }

    /// Adds a result. The model sees results in the order of the calls, because many models have no call ids.
    pub(super) fn add_result(&mut self, id: &Field<'a>, parts: Vec<ContentPart>) -> Result<()> {
        let name = id.str()?;
        let unanswered = self.called.iter_mut().find(|called| called.id == name && called.result.is_none());
        let called = unanswered
            .ok_or_else(|| id.fault(format!("{name:?} is no call of the message before that waits for its result")))?;
        called.result = Some(parts);
        if self.called.iter().all(|called| called.result.is_some()) {
            for called in std::mem::take(&mut self.called) {
                self.push(Role::Tool, called.result.unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Fails if a call has no result yet.
    pub(super) fn expect_no_results(&self) -> Result<()> {
        match self.called.iter().find(|called| called.result.is_none()) {
            Some(Called { id, place, .. }) => Err(place.fault(format!("no result of the call {id:?} follows"))),
            None => Ok(()),
        }
    }

    pub(super) fn read_content(&mut self, content: &Field<'_>, dialect: Dialect) -> Result<Vec<ContentPart>> {
        match content.value {
            Value::String(text) => Ok(vec![ContentPart::Text(text.clone())]),
            Value::Array(_) => content.array()?.map(|part| self.read_part(&part, dialect)).collect(),
            _ => Err(content.fault("must be a string or an array of parts")),
        }
    }

    pub(super) fn read_part(&mut self, part: &Field<'_>, dialect: Dialect) -> Result<ContentPart> {
        let fields = part.object()?;
        let kind = fields.need("type")?;
        match (kind.str()?, dialect) {
            ("text", Dialect::Chat) | ("input_text" | "output_text", Dialect::Response) => {
                fields.only(&["type", "text", "annotations", "logprobs", CACHE_MARK])?;
                fields.need("text")?.string().map(ContentPart::Text)
            }
            ("image_url", Dialect::Chat) => {
                fields.only(&["type", "image_url", CACHE_MARK])?;
                let picture = read_picture(&fields.need("image_url")?)?;
                Ok(self.show(picture))
            }
            ("input_image", Dialect::Response) => {
                fields.only(&["type", "image_url", "file_id", "detail", CACHE_MARK])?;
                let detail = read_detail(&fields)?;
                let picture = match fields.get("file_id") {
                    Some(id) => read_file_id(&id, detail)?,
                    None => read_url(&fields.need("image_url")?, detail)?,
                };
                Ok(self.show(picture))
            }
            ("file", Dialect::Chat) => {
                fields.only(&["type", "file", CACHE_MARK])?;
                let file = fields.need("file")?.object()?;
                file.only(&["file_id", "file_data", "filename"])?;
                Ok(self.show(read_file(&file, Detail::default())?))
            }
            ("input_file", Dialect::Response) => {
                fields.only(&["type", "file_id", "file_data", "file_url", "filename", "detail", CACHE_MARK])?;
                let detail = read_detail(&fields)?;
                Ok(self.show(read_file(&fields, detail)?))
            }
            (other, _) => {
                Err(kind.unsupported(format!("parts of type {other:?} are not supported, only text and pictures")))
            }
        }
    }

    /// Adds a picture.
    pub(super) fn show(&mut self, picture: PictureUrl) -> ContentPart {
        let pictures = &mut self.conversation.pictures;
        pictures.push(picture);
        ContentPart::Image(pictures.len() - 1)
    }
}

fn read_role(fields: &Fields<'_>) -> Result<Role> {
    let role = fields.need("role")?;
    match role.str()? {
        "system" | "developer" => Ok(Role::System),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "tool" => Ok(Role::Tool),
        "function" => Err(role.unsupported("functions are called as tools: send a tool message")),
        other => Err(role.fault(format!("must be system, user, assistant or tool, not {other:?}"))),
    }
}

pub(super) fn check_function(fields: &Fields<'_>) -> Result<()> {
    match fields.get("type") {
        Some(kind) if kind.str()? != "function" => Err(kind.unsupported("only functions are supported")),
        _ => Ok(()),
    }
}

/// Checks that a function name has at most 64 letters, digits, underscores and dashes.
pub(super) fn check_name(name: &Field<'_>) -> Result<()> {
    let text = name.str()?;
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    match (1..=64).contains(&text.len()) && text.bytes().all(is_fine) {
        true => Ok(()),
        false => Err(name.fault("must be 1 to 64 letters, digits, underscores or dashes")),
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

/// Requested resolution; the Responses API calls the full one `original`.
fn read_detail(fields: &Fields<'_>) -> Result<Detail> {
    let Some(detail) = fields.get("detail") else { return Ok(Detail::default()) };
    match detail.str()? {
        "original" => Ok(Detail::High),
        name => name.parse().map_err(|_| detail.fault("must be auto, low, high or original")),
    }
}

/// A file: its id, its data or its URL. Only pictures are supported, which shows when they are decoded.
fn read_file(fields: &Fields<'_>, detail: Detail) -> Result<PictureUrl> {
    if let Some(id) = fields.get("file_id") {
        return read_file_id(&id, detail);
    }
    if let Some(url) = fields.get("file_url") {
        return read_url(&url, detail);
    }
    let data = fields.need("file_data")?;
    match data.str()?.starts_with("data:image/") {
        true => read_url(&data, detail),
        false => Err(data.unsupported("only pictures are supported, as data: URLs with their type")),
    }
}

pub(super) fn read_file_id(id: &Field<'_>, detail: Detail) -> Result<PictureUrl> {
    Ok(PictureUrl { url: format!("{FILE_ID}{}", id.str()?), field: id.path.clone(), detail })
}

pub(super) fn read_url(url: &Field<'_>, detail: Detail) -> Result<PictureUrl> {
    match url.str()? {
        "" => Err(url.fault("is empty")),
        text => Ok(PictureUrl { url: text.to_owned(), field: url.path.clone(), detail }),
    }
}
