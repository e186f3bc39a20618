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

/// Supported fields, some of them only with values that have no effect.
const KNOWN: &str = "safety_identifier user budget messages model stream stream_options max_tokens max_completion_tokens stop temperature top_k top_p min_p \
                     seed frequency_penalty presence_penalty repetition_penalty repeat_penalty logit_bias n response_format logprobs top_logprobs modalities \
                     tools tool_choice parallel_tool_calls reasoning_effort enable_thinking chat_template_kwargs thinking_budget \
                     thinking_token_budget thinking_budget_tokens truncation prompt_cache_key";
/// Accepted fields without effect.
const INERT: &str = "metadata store service_tier prompt_cache_retention prompt_cache_options verbosity \
                     prediction";
/// Fields that are accepted only with a value that has no effect.
const NOT_YET: &str = "functions function_call";

/// A chat completion request.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The conversation.
    pub messages: Vec<Message>,
    /// Pictures in order of appearance: `ContentPart::Image(i)` is `pictures[i]`.
    pub pictures: Vec<PictureUrl>,
    /// Sampling options.
    pub sampling: SamplingOptions,
    /// Token limit of the answer; if absent, the rest of the context.
    pub max_tokens: Option<usize>,
    /// Stop strings; the answer ends before the first of them.
    pub stop: Vec<String>,
    /// Required format of the answer, already described in the messages.
    pub format: Option<Wanted>,
    /// Available tools, already defined in the messages.
    pub tools: Option<Tools>,
    /// Requested reasoning, already begun in the messages.
    pub thinking: Option<Thinking>,
    /// Leaves out the oldest turns if the conversation is too long for the context.
    pub truncates: bool,
    /// Number of answers.
    pub n: usize,
    /// Sends the answer in chunks.
    pub stream: bool,
    /// Ends the stream with token counts.
    pub include_usage: bool,
    /// User key and budget.
    pub asker: Asker,
    /// Requested model.
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
    /// Same as [`Self::from_json`].
    pub fn with_defaults(request: &Value, defaults: &SamplingOptions) -> Result<Self> {
        Self::read(request, |_, _| Ok(defaults.clone()))
    }

    /// Reads a request. `defaults` returns sampling options for the requested reasoning, which it may turn off, and for pictures if there are
    /// any.
    pub(super) fn read(
        request: &Value,
        defaults: impl FnOnce(&mut Option<Thinking>, bool) -> Result<SamplingOptions>,
    ) -> Result<Self> {
        let fields = Fields::of_request(request)?;
        refuse_others(&fields, KNOWN, INERT, NOT_YET)?;
        check_modalities(&fields)?;
        let mut conversation = Conversation::read(&fields.need("messages")?)?;
        let format = fields.get("response_format").map(|format| Wanted::read(&format, false)).transpose()?.flatten();
        format.iter().for_each(|format| format.tell(&mut conversation.messages));
        let mut thinking = Thinking::read(&fields, fields.get("reasoning_effort"))?;
        let defaults = defaults(&mut thinking, !conversation.pictures.is_empty())?;
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
            stop: read_stop(&fields, "stop")?,
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

fn check_modalities(fields: &Fields<'_>) -> Result<()> {
    let Some(field) = fields.get("modalities") else { return Ok(()) };
    for modality in field.array()? {
        if modality.str()? != "text" {
            return Err(modality.unsupported("only \"text\" is supported"));
        }
    }
    Ok(())
}

/// Number of alternatives per token; `None` if no log probabilities are requested.
fn read_logprobs(fields: &Fields<'_>) -> Result<Option<usize>> {
    let is_on = fields.flag("logprobs")?;
    let Some(top) = fields.get("top_logprobs") else { return Ok(is_on.then_some(0)) };
    let count = usize::try_from(top.integer()?).map_err(|_| top.fault("must be from 0 to 20"))?;
    match is_on {
        false if count > 0 => Err(top.fault("needs logprobs: true")),
        is_on => Ok(is_on.then_some(count)),
    }
}
