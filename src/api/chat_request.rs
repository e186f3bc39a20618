//! `POST /v1/chat/completions`.

use std::str::FromStr;

use serde_json::Value;

use super::field::{Field, Fields, UNKNOWN, parse};
use super::messages::Conversation;
use crate::chat::Message;
use crate::engine::Detail;
use crate::error::{Error, Result};
use crate::sampling::SamplingOptions;

/// Stop strings a request may name, and bytes of each.
const MAX_STOPS: usize = 16;
const MAX_STOP_LEN: usize = 1024;

/// Fields that have an effect, or a value that asks for none.
const KNOWN: &str = "messages model stream stream_options max_tokens max_completion_tokens stop temperature top_k top_p min_p \
                     seed frequency_penalty presence_penalty logit_bias n response_format logprobs user";
/// Fields of the OpenAI API that may be empty at most.
const NOT_YET: &str =
    "tools tool_choice functions function_call parallel_tool_calls top_logprobs reasoning_effort prediction";

/// A request for an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The conversation.
    pub messages: Vec<Message>,
    /// URLs of the pictures in order of appearance: `ContentPart::Image(i)` means `picture_urls[i]`.
    pub picture_urls: Vec<String>,
    /// How large each of them is to be shown.
    pub details: Vec<Detail>,
    /// How tokens are chosen.
    pub sampling: SamplingOptions,
    /// Most tokens of the answer; absent for as many as fit the context.
    pub max_tokens: Option<usize>,
    /// Strings before which the answer ends.
    pub stop: Vec<String>,
    /// Whether the answer is sent in chunks.
    pub stream: bool,
    /// Whether the stream ends with the token counts.
    pub include_usage: bool,
    /// The model the caller asks for.
    pub model: Option<String>,
}

impl FromStr for ChatRequest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::from_json(&parse(text)?)
    }
}

impl ChatRequest {
    /// Reads a request; absent fields have the OpenAI API's defaults.
    ///
    /// # Errors
    /// [`Error::UnsupportedOption`] for fields that are unknown or not supported, [`Error::InvalidRequest`] for malformed
    /// ones; both name the field.
    pub fn from_json(request: &Value) -> Result<Self> {
        Self::with_defaults(request, &SamplingOptions::default())
    }

    /// Reads a request; `defaults` are the sampling options, seed included, that it does not set.
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub fn with_defaults(request: &Value, defaults: &SamplingOptions) -> Result<Self> {
        let fields = Fields::of_request(request)?;
        refuse_unsupported(&fields)?;
        let Conversation { messages, picture_urls, details } = Conversation::read(&fields.need("messages")?)?;
        let stream = fields.flag("stream")?;
        Ok(Self {
            messages,
            picture_urls,
            details,
            sampling: read_sampling(&fields, defaults.clone())?,
            max_tokens: read_max_tokens(&fields)?,
            stop: fields.get("stop").map(|stop| read_stop(&stop)).transpose()?.unwrap_or_default(),
            stream,
            include_usage: read_include_usage(&fields, stream)?,
            model: fields.get("model").map(|model| model.string()).transpose()?,
        })
    }
}

fn refuse_unsupported(fields: &Fields<'_>) -> Result<()> {
    for (name, field) in fields.iter() {
        let names = |list: &str| list.split(' ').any(|known| known == name);
        if names(NOT_YET) && field.value.as_array().is_none_or(|array| !array.is_empty()) {
            return Err(field.unsupported("is not supported yet"));
        }
        if !names(NOT_YET) && !names(KNOWN) {
            return Err(field.unsupported(UNKNOWN));
        }
    }
    if let Some(n) = fields.get("n").filter(|n| n.value != 1) {
        return Err(n.unsupported("more than one answer is not supported yet, n must be 1"));
    }
    if fields.flag("logprobs")? {
        return Err(fields.need("logprobs")?.unsupported("is not supported yet"));
    }
    if let Some(format) = fields.get("response_format") {
        let format = format.object()?;
        let kind = format.need("type")?;
        if kind.str()? != "text" {
            return Err(kind.unsupported("only \"text\" is supported yet"));
        }
        format.only(&["type"])?;
    }
    if let Some(user) = fields.get("user") {
        user.str()?;
    }
    Ok(())
}

fn read_sampling(fields: &Fields<'_>, mut options: SamplingOptions) -> Result<SamplingOptions> {
    let numbers = [
        ("temperature", &mut options.temperature),
        ("top_p", &mut options.top_p),
        ("min_p", &mut options.min_p),
        ("frequency_penalty", &mut options.frequency_penalty),
        ("presence_penalty", &mut options.presence_penalty),
    ];
    for (name, option) in numbers {
        *option = fields.get(name).map_or(Ok(*option), |field| field.f32())?;
    }
    options.top_k = fields.get("top_k").map(|field| field.count()).transpose()?.or(options.top_k);
    if let Some(field) = fields.get("seed") {
        // Negative seeds are valid too: they wrap around.
        options.seed = field.integer()? as u64;
    }
    if let Some(field) = fields.get("logit_bias") {
        options.logit_bias.clear();
        for (name, bias) in field.object()?.iter() {
            let token = name.parse().map_err(|_| bias.fault("is no token id"))?;
            options.logit_bias.insert(token, bias.f32()?);
        }
    }
    options.validate()?;
    Ok(options)
}

fn read_max_tokens(fields: &Fields<'_>) -> Result<Option<usize>> {
    let old = fields.get("max_tokens").map(|field| field.count()).transpose()?;
    let Some(field) = fields.get("max_completion_tokens") else { return Ok(old) };
    let new = field.count()?;
    match old {
        Some(old) if old != new => Err(field.fault(format!("is {new}, but max_tokens is {old}"))),
        _ => Ok(Some(new)),
    }
}

fn read_stop(stop: &Field<'_>) -> Result<Vec<String>> {
    let texts = if stop.value.is_string() { vec![stop.clone()] } else { stop.array()?.collect() };
    if texts.len() > MAX_STOPS {
        return Err(stop.fault(format!("has {} strings, at most {MAX_STOPS} are supported", texts.len())));
    }
    let read = |text: &Field<'_>| match text.str()? {
        "" => Err(text.fault("is empty")),
        long if long.len() > MAX_STOP_LEN => Err(text.fault(format!("is longer than {MAX_STOP_LEN} bytes"))),
        fine => Ok(fine.to_owned()),
    };
    texts.iter().map(read).collect()
}

fn read_include_usage(fields: &Fields<'_>, stream: bool) -> Result<bool> {
    let Some(field) = fields.get("stream_options") else { return Ok(false) };
    if !stream {
        return Err(field.fault("is only for streams: set stream to true"));
    }
    let options = field.object()?;
    options.only(&["include_usage"])?;
    options.flag("include_usage")
}
