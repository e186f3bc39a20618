//! `POST /v1/embeddings`.

use std::ops::Range;

use serde_json::Value;

use super::answer_fields::refuse_others;
use super::asker::Asker;
use super::field::{Field, Fields};
use super::messages::{Dialect, PictureUrl, Reader};
use crate::chat::{ContentPart, EmbeddingSettings, Message, Role};
use crate::engine::Prompt;
use crate::error::{Error, Result};

const KNOWN: &str = "input instruction model dimensions encoding_format user safety_identifier budget prompt_cache_key";
/// Limit of inputs, as in the `OpenAI` API.
const MAX_INPUTS: usize = 2048;

/// Embeddings of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedder {
    /// Its prompts.
    pub settings: EmbeddingSettings,
    /// Dimensions of a whole embedding.
    pub width: usize,
}

/// Form of the numbers of an embedding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// A list of numbers.
    #[default]
    Float,
    /// 32-bit floats, little-endian, in base64.
    Base64,
}

/// A request for embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingRequest {
    /// A prompt for each input. Pictures are counted from the first of the input.
    pub prompts: Vec<Prompt>,
    /// Pictures of all inputs, in order of appearance.
    pub pictures: Vec<PictureUrl>,
    /// The pictures of each input.
    pub shares: Vec<Range<usize>>,
    /// Dimensions of the embeddings.
    pub dimensions: usize,
    /// Form of their numbers.
    pub encoding: Encoding,
    /// Requested model.
    pub model: Option<String>,
    /// User key and budget.
    pub asker: Asker,
}

impl EmbeddingRequest {
    /// Reads `{"input": ..}`: a text, a part of a message, or a list of texts, parts and lists of parts, each of which is one input.
    ///
    /// # Errors
    /// [`Error::UnsupportedOption`] for unknown fields and values that the model does not have, [`Error::InvalidRequest`] for malformed ones; both
    /// name the field.
    pub fn from_json(request: &Value, Embedder { settings, width }: &Embedder) -> Result<Self> {
        let fields = Fields::of_request(request)?;
        refuse_others(&fields, KNOWN, "", "")?;
        let instruction = match fields.get("instruction") {
            Some(own) => ended(own.str()?.trim()),
            None => settings.instruction.clone(),
        };
        let (mut prompts, mut pictures, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        for input in inputs(&fields.need("input")?)? {
            let (content, own) = read_input(&input)?;
            prompts.push(prompt(&instruction, content));
            shares.push(pictures.len()..pictures.len() + own.len());
            pictures.extend(own);
        }
        Ok(Self {
            prompts,
            pictures,
            shares,
            dimensions: fields.get("dimensions").map_or(Ok(*width), |field| dimensions(&field, settings, *width))?,
            encoding: fields.get("encoding_format").map_or(Ok(Encoding::default()), |field| encoding(&field))?,
            model: fields.get("model").map(|model| model.string()).transpose()?,
            asker: Asker::read(&fields)?,
        })
    }
}

/// The prompt of an embedding.
pub fn prompt(instruction: &str, content: Vec<ContentPart>) -> Prompt {
    let instruction = vec![ContentPart::Text(instruction.into())];
    Prompt::Messages(vec![Message { role: Role::System, content: instruction }, Message { role: Role::User, content }])
}

/// The inputs of a request.
fn inputs<'a>(input: &Field<'a>) -> Result<Vec<Field<'a>>> {
    let is_ids = |value: &Value| value.as_array().is_some_and(|ids| ids.first().is_some_and(Value::is_number));
    let inputs: Vec<Field<'a>> = match input.value {
        Value::Array(_) if !is_ids(input.value) => input.array()?.collect(),
        _ => vec![input.clone()],
    };
    if let Some(ids) = inputs.iter().find(|input| is_ids(input.value)) {
        return Err(ids.unsupported("token ids are not supported: the model's template is made of text"));
    }
    match inputs.len() {
        0 => Err(input.fault("at least one input is needed")),
        1..=MAX_INPUTS => Ok(inputs),
        many => Err(input.fault(format!("has {many} inputs, at most {MAX_INPUTS} are supported"))),
    }
}

/// The content and pictures of an input: a text, a part, or a list of parts.
fn read_input(input: &Field<'_>) -> Result<(Vec<ContentPart>, Vec<PictureUrl>)> {
    let mut reader = Reader::default();
    let content = match input.value {
        Value::Object(_) => vec![reader.read_part(input, Dialect::Chat)?],
        _ => reader.read_content(input, Dialect::Chat)?,
    };
    let is_empty = |part: &ContentPart| matches!(part, ContentPart::Text(text) if text.is_empty());
    if content.iter().all(is_empty) {
        return Err(input.fault("is empty"));
    }
    Ok((content, reader.into_pictures()))
}

/// The instruction with a full stop, unless it ends with punctuation.
fn ended(instruction: &str) -> String {
    let is_open = instruction.chars().last().is_some_and(char::is_alphanumeric);
    format!("{instruction}{}", if is_open { "." } else { "" })
}

fn dimensions(field: &Field<'_>, settings: &EmbeddingSettings, width: usize) -> Result<usize> {
    let count = field.count()?;
    match settings.least_dimensions {
        Some(least) if (least..=width).contains(&count) => Ok(count),
        Some(least) => Err(field.fault(format!("is {count}, must be from {least} to {width}"))),
        None if count == width => Ok(count),
        None => Err(field.unsupported(format!("this model's embeddings have {width} dimensions"))),
    }
}

fn encoding(field: &Field<'_>) -> Result<Encoding> {
    match field.str()? {
        "float" => Ok(Encoding::Float),
        "base64" => Ok(Encoding::Base64),
        _ => Err(field.unsupported("must be float or base64")),
    }
}

/// The error of requests to a model that gives no embeddings.
pub(super) fn no_embeddings() -> Error {
    let reason = "this model was not trained for embeddings; its owner may allow them anyway";
    Error::UnsupportedOption { field: "model".into(), reason: reason.into() }
}
