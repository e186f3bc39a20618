//! The required format of an answer: `response_format` of chats, `text.format` of responses.

use serde_json::Value;

use super::field::{Field, Fields};
use crate::chat::Message;
use crate::error::{Error, Result};
use crate::grammar::Format;

const ANY_OBJECT: &str = r#"{"type": "object"}"#;

/// A requested format and its place in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The format.
    pub format: Format,
    /// JSON pointer to it in the request.
    pub place: String,
    /// Describes the format in the prompt.
    pub(super) in_prompt: bool,
}

impl Wanted {
    /// Reads a format; `None` means plain text. The fields of `json_schema` are in an object of that name, or beside `type` if `is_flat`.
    pub(super) fn read(format: &Field<'_>, is_flat: bool) -> Result<Option<Self>> {
        let fields = format.object()?;
        let kind = fields.need("type")?;
        let in_prompt = fields.get("in_prompt").is_none() || fields.flag("in_prompt")?;
        let allow = |own: &[&str]| fields.only(&[&["type", "in_prompt"], own].concat());
        let wanted = |format, field: &Field<'_>| Some(Self { format, place: field.pointer(), in_prompt });
        match kind.str()? {
            "text" => allow(&[]).map(|()| None),
            "json_object" if fields.get("schema").is_some() => {
                allow(&["schema"])?;
                read_schema(&fields).map(|(schema, field)| wanted(schema, &field))
            }
            "json_object" => allow(&[]).map(|()| wanted(Format::JsonSchema(ANY_OBJECT.into()), format)),
            // Chats have this form in llama.cpp's server.
            "json_schema" if is_flat || fields.get("schema").is_some() => {
                allow(&SCHEMA_FIELDS)?;
                read_schema(&fields).map(|(schema, field)| wanted(schema, &field))
            }
            "json_schema" => {
                allow(&["json_schema"])?;
                let schema = fields.need("json_schema")?.object()?;
                schema.only(&SCHEMA_FIELDS)?;
                read_schema(&schema).map(|(schema, field)| wanted(schema, &field))
            }
            name @ ("regex" | "lark") => {
                allow(&[name])?;
                let field = fields.need(name)?;
                let text = field.string()?;
                Ok(wanted(if name == "regex" { Format::Regex(text) } else { Format::Lark(text) }, &field))
            }
            _ => Err(kind.unsupported("must be text, json_object, json_schema, regex or lark")),
        }
    }

    /// Describes the format to the model, unless the request turns that off.
    pub(super) fn tell(&self, messages: &mut [Message]) {
        if self.in_prompt {
            self.format.tell(messages);
        }
    }

    /// Adds the format's place in the request to an error.
    pub fn locate(&self, error: Error) -> Error {
        match error {
            Error::UnsupportedSchema { pointer, keyword, reason } => {
                Error::UnsupportedSchema { pointer: format!("{}{pointer}", self.place), keyword, reason }
            }
            Error::InvalidGrammar { reason } => Error::InvalidGrammar { reason: format!("{}: {reason}", self.place) },
            other => other,
        }
    }
}

/// `strict` has no effect: every schema is enforced.
const SCHEMA_FIELDS: [&str; 4] = ["name", "description", "strict", "schema"];

/// Keys keep their order, because answers follow it.
fn read_schema<'a>(fields: &Fields<'a>) -> Result<(Format, Field<'a>)> {
    fields.get("name").map(|name| name.str()).transpose()?;
    fields.flag("strict")?;
    let schema = fields.need("schema")?;
    match schema.value {
        Value::Object(_) | Value::Bool(_) => Ok((Format::JsonSchema(schema.value.to_string()), schema)),
        _ => Err(schema.fault("must be a JSON schema")),
    }
}
