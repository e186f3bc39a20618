//! The `messages` of Anthropic's API: turns of blocks.

use serde_json::Value;

use super::field::{Field, Fields};
use super::messages::{Conversation, PictureUrl, Reader, read_file_id, read_url};
use crate::chat::{ContentPart, Role, definition_line};
use crate::engine::Detail;
use crate::error::Result;

impl Conversation {
    /// Reads the messages of Anthropic's API.
    pub(super) fn read_turns(messages: &Field<'_>) -> Result<Self> {
        let mut reader = Reader::default();
        messages.array()?.try_for_each(|message| reader.read_turn(&message))?;
        reader.finish(messages)
    }
}

impl<'a> Reader<'a> {
    fn read_turn(&mut self, message: &Field<'a>) -> Result<()> {
        let fields = message.object()?;
        fields.only(&["role", "content"])?;
        let (role, content) = (fields.need("role")?, fields.need("content")?);
        match role.str()? {
            "user" => self.read_question(&content),
            "assistant" => self.read_answer(&content),
            "system" => Err(role.unsupported("instructions are in the field system")),
            other => Err(role.fault(format!("must be user or assistant, not {other:?}"))),
        }
    }

    /// A turn of the user: results of calls, then anything else.
    fn read_question(&mut self, content: &Field<'a>) -> Result<()> {
        let mut parts = Vec::new();
        for block in blocks(content)? {
            if kind_of(&block)? != "tool_result" {
                parts.push(self.read_block(&block)?);
                continue;
            }
            let fields = block.object()?;
            fields.only(&["type", "tool_use_id", "content", "is_error", "cache_control"])?;
            let result = match fields.get("content") {
                Some(content) => blocks(&content)?.iter().map(|block| self.read_block(block)).collect::<Result<_>>()?,
                None => Vec::new(),
            };
            self.add_result(&fields.need("tool_use_id")?, result)?;
        }
        if parts.is_empty() && content.value.as_array().is_some_and(|blocks| !blocks.is_empty()) {
            return Ok(());
        }
        self.expect_no_results()?;
        self.push(Role::User, parts);
        Ok(())
    }

    /// A turn of the assistant: reasoning, text, calls.
    fn read_answer(&mut self, content: &Field<'a>) -> Result<()> {
        self.expect_no_results()?;
        let (mut parts, mut calls) = (Vec::new(), Vec::new());
        for block in blocks(content)? {
            match kind_of(&block)? {
                "thinking" => {
                    let fields = block.object()?;
                    fields.only(&["type", "thinking", "signature", "cache_control"])?;
                    parts.insert(0, ContentPart::Thoughts(fields.need("thinking")?.string()?));
                }
                // Reasoning of other models, which nobody can read.
                "redacted_thinking" => {}
                "tool_use" => calls.push(block),
                _ => parts.push(self.read_block(&block)?),
            }
        }
        self.push(Role::Assistant, parts);
        for call in calls {
            let fields = call.object()?;
            fields.only(&["type", "id", "name", "input", "cache_control", "caller"])?;
            let input = fields.need("input")?;
            input.object()?;
            // With the spaces that models write: the answer in the cache is then a prefix of the next prompt.
            self.add_call((&fields.need("id")?, &call), &fields.need("name")?, definition_line(input.value))?;
        }
        Ok(())
    }

    /// A text or a picture.
    fn read_block(&mut self, block: &Field<'a>) -> Result<ContentPart> {
        if block.value.is_string() {
            return block.string().map(ContentPart::Text);
        }
        let fields = block.object()?;
        let kind = fields.need("type")?;
        match kind.str()? {
            "text" => {
                fields.only(&["type", "text", "cache_control", "citations"])?;
                fields.need("text")?.string().map(ContentPart::Text)
            }
            "image" => {
                fields.only(&["type", "source", "cache_control"])?;
                let picture = read_source(&fields.need("source")?.object()?)?;
                Ok(self.show(picture))
            }
            other => {
                Err(kind.unsupported(format!("blocks of type {other:?} are not supported, only text and pictures")))
            }
        }
    }
}

/// The type of a block.
fn kind_of<'a>(block: &Field<'a>) -> Result<&'a str> {
    if block.value.is_string() { Ok("text") } else { block.object()?.need("type")?.str() }
}

/// The blocks of a turn; a text is one block.
fn blocks<'a>(content: &Field<'a>) -> Result<Vec<Field<'a>>> {
    match content.value {
        Value::String(_) => Ok(vec![content.clone()]),
        _ => Ok(content.array()?.collect()),
    }
}

/// The source of a picture: base64, a URL or an uploaded file.
fn read_source(source: &Fields<'_>) -> Result<PictureUrl> {
    let kind = source.need("type")?;
    match kind.str()? {
        "base64" => {
            source.only(&["type", "media_type", "data"])?;
            let (media, data) = (source.need("media_type")?, source.need("data")?);
            let url = format!("data:{};base64,{}", media.str()?, data.str()?);
            Ok(PictureUrl { url, field: data.path, detail: Detail::default() })
        }
        "url" => {
            source.only(&["type", "url"])?;
            read_url(&source.need("url")?, Detail::default())
        }
        "file" => {
            source.only(&["type", "file_id"])?;
            read_file_id(&source.need("file_id")?, Detail::default())
        }
        _ => Err(kind.unsupported("must be base64, url or file")),
    }
}
