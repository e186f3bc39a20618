//! `POST /v1/chat/completions`.

use std::str::FromStr;

use serde_json::Value;

use super::answer_fields::{
    read_include_usage, read_max_tokens, read_n, read_sampling, read_stop, read_truncation, refuse_others,
};
use super::asker::Asker;
use super::field::{Fields, parse};
use super::format::Wanted;
use super::messages::{Conversation, Dialect, PictureUrl};
use super::thinking::Thinking;
use super::tools::Tools;
use crate::chat::Message;
use crate::error::{Error, Result};
use crate::sampling::SamplingOptions;

/// Fields that have an effect, or a value that asks for none.
const KNOWN: &str = "safety_identifier user budget messages model stream stream_options max_tokens max_completion_tokens stop temperature top_k top_p min_p \
                     seed frequency_penalty presence_penalty logit_bias n response_format logprobs top_logprobs modalities \
                     tools tool_choice parallel_tool_calls reasoning_effort enable_thinking chat_template_kwargs thinking_budget \
                     thinking_token_budget thinking_budget_tokens truncation";
/// Fields that are accepted and have no effect.
const INERT: &str = "metadata store service_tier prompt_cache_key prompt_cache_retention verbosity \
                     prediction";
/// Fields that may ask for nothing only.
const NOT_YET: &str = "functions function_call";

/// A request for an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The conversation.
    pub messages: Vec<Message>,
    /// The pictures in order of appearance: `ContentPart::Image(i)` means `pictures[i]`.
    pub pictures: Vec<PictureUrl>,
    /// How tokens are chosen.
    pub sampling: SamplingOptions,
    /// Most tokens of the answer; absent for as many as fit the context.
    pub max_tokens: Option<usize>,
    /// Strings before which the answer ends.
    pub stop: Vec<String>,
    /// The format that the answer must have; the messages say so.
    pub format: Option<Wanted>,
    /// The tools that may be called; the messages say so.
    pub tools: Option<Tools>,
    /// The thoughts that are asked for; the messages say so.
    pub thinking: Option<Thinking>,
    /// Set where the oldest turns are left out if there are too many for the context.
    pub truncates: bool,
    /// How many answers are wanted.
    pub n: usize,
    /// Set where the answer is sent in chunks.
    pub stream: bool,
    /// Set where the stream ends with the token counts.
    pub include_usage: bool,
    /// The asker, and the request's own budget.
    pub asker: Asker,
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
        Self::read(request, |_, _| Ok(defaults.clone()))
    }

    /// The same with the options for the thoughts that are asked for, and for pictures, if there are any.
    pub(super) fn read(
        request: &Value,
        defaults: impl FnOnce(Option<&Thinking>, bool) -> Result<SamplingOptions>,
    ) -> Result<Self> {
        let fields = Fields::of_request(request)?;
        refuse_others(&fields, KNOWN, INERT, NOT_YET)?;
        check_modalities(&fields)?;
        let mut conversation = Conversation::read(&fields.need("messages")?, Dialect::Chat)?;
        let format = fields.get("response_format").map(|format| Wanted::read(&format, false)).transpose()?.flatten();
        format.iter().for_each(|format| format.tell(&mut conversation.messages));
        let thinking = Thinking::read(&fields, fields.get("reasoning_effort"))?;
        let defaults = defaults(thinking.as_ref(), !conversation.pictures.is_empty())?;
        if thinking.is_some() {
            conversation.think();
        }
        let tools = Tools::read(&fields, Dialect::Chat)?;
        tools.iter().for_each(|tools| conversation.define(tools.definitions()));
        let stream = fields.flag("stream")?;
        let sampling = SamplingOptions { logprobs: read_logprobs(&fields)?, ..defaults };
        Ok(Self {
            messages: conversation.messages,
            pictures: conversation.pictures,
            sampling: read_sampling(&fields, sampling)?,
            max_tokens: read_max_tokens(&fields, &["max_tokens", "max_completion_tokens"])?,
            stop: read_stop(&fields)?,
            format,
            tools,
            thinking,
            truncates: read_truncation(&fields)?,
            n: read_n(&fields)?,
            stream,
            include_usage: read_include_usage(&fields, stream)?,
            asker: Asker::read(&fields)?,
            model: fields.get("model").map(|model| model.string()).transpose()?,
        })
    }
}

/// Answers are text.
fn check_modalities(fields: &Fields<'_>) -> Result<()> {
    let Some(field) = fields.get("modalities") else { return Ok(()) };
    for modality in field.array()? {
        if modality.str()? != "text" {
            return Err(modality.unsupported("only \"text\" is supported"));
        }
    }
    Ok(())
}

/// How many of the likeliest tokens are told beside each token.
fn read_logprobs(fields: &Fields<'_>) -> Result<Option<usize>> {
    let is_on = fields.flag("logprobs")?;
    let Some(top) = fields.get("top_logprobs") else { return Ok(is_on.then_some(0)) };
    let count = usize::try_from(top.integer()?).map_err(|_| top.fault("must be from 0 to 20"))?;
    match is_on {
        false if count > 0 => Err(top.fault("needs logprobs: true")),
        is_on => Ok(is_on.then_some(count)),
    }
}
