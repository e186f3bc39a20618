//! `POST /v1/responses`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer_fields::{read_max_tokens, read_sampling, read_truncation, refuse_others};
use super::asker::Asker;
use super::field::{Field, Fields};
use super::format::Wanted;
use super::messages::{Conversation, Dialect, PictureUrl};
use super::thinking::Thinking;
use super::tools::Tools;
use crate::chat::{Message, Role};
use crate::error::Result;
use crate::responses::{Named, Responses};
use crate::sampling::SamplingOptions;

const KNOWN: &str = "safety_identifier user prompt_cache_key budget input previous_response_id store instructions model stream stream_options max_output_tokens temperature top_p top_k min_p seed \
                     top_logprobs include text truncation \
                     tools tool_choice parallel_tool_calls reasoning enable_thinking chat_template_kwargs thinking_budget \
                     thinking_token_budget thinking_budget_tokens";
const INERT: &str = "metadata service_tier prompt_cache_retention prompt_cache_options \
                     max_tool_calls";
const NOT_YET: &str = "background";
/// Items of tools that a provider hosts: parts of them may be included, but there are none.
const HOSTED: [&str; 4] = ["web_search_call.", "file_search_call.", "computer_call_output.", "code_interpreter_call."];

/// A Responses API request.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseRequest {
    /// Conversation, instructions first.
    pub messages: Vec<Message>,
    /// Pictures in order of appearance.
    pub pictures: Vec<PictureUrl>,
    /// Instructions, repeated in the response.
    pub instructions: Option<String>,
    /// Sampling options.
    pub sampling: SamplingOptions,
    /// Token limit of the answer; if absent, the rest of the context.
    pub max_tokens: Option<usize>,
    /// Required format of the answer, already described in the messages.
    pub format: Option<Wanted>,
    /// `text.format`, repeated in the response.
    pub text_format: Value,
    /// Available tools, already defined in the messages.
    pub tools: Option<Tools>,
    /// Requested reasoning, already begun in the messages.
    pub thinking: Option<Thinking>,
    /// `reasoning.effort`, repeated in the response.
    pub effort: Value,
    /// `tools`, `tool_choice` and `parallel_tool_calls`, repeated in the response.
    pub repeated_tools: [Value; 3],
    /// Leaves out the oldest turns if the conversation is too long for the context.
    pub truncates: bool,
    /// Sends the answer as events.
    pub stream: bool,
    /// User key and budget.
    pub asker: Asker,
    /// Requested model.
    pub model: Option<String>,
    /// Metadata, repeated in the response.
    pub metadata: Value,
    /// The response that this one continues, repeated in the response.
    pub previous: Option<String>,
    /// Items of the conversation, if the response will be stored.
    pub kept: Option<Vec<Arc<Value>>>,
    /// Bytes of the stored items that it refers to.
    pub stored_bytes: usize,
}

/// Stored responses, and the name of the sender who may continue its own.
pub(super) type History<'a> = Option<(&'a Responses, &'a str)>;

/// An item of the input, or a stored one with the field that refers to it.
enum Item<'a> {
    Sent(Field<'a>),
    Stored(String, Arc<Value>),
}

impl Item<'_> {
    fn field(&self) -> Field<'_> {
        match self {
            Self::Sent(field) => field.clone(),
            Self::Stored(path, value) => Field { path: path.clone(), value },
        }
    }

    fn into_value(self) -> Arc<Value> {
        match self {
            Self::Sent(field) => Arc::new(field.value.clone()),
            Self::Stored(_, value) => value,
        }
    }
}

impl ResponseRequest {
    /// Reads a request; absent fields have the OpenAI API's defaults.
    ///
    /// # Errors
    /// Same as [`super::ChatRequest::from_json`].
    pub fn from_json(request: &Value) -> Result<Self> {
        Self::read(request, None, |_, _| Ok(SamplingOptions::default()))
    }

    /// Reads a request. `defaults` returns sampling options for the requested reasoning, which it may turn off, and for pictures if there are
    /// any.
    pub(super) fn read(
        request: &Value,
        history: History<'_>,
        defaults: impl FnOnce(&mut Option<Thinking>, bool) -> Result<SamplingOptions>,
    ) -> Result<Self> {
        let fields = Fields::of_request(request)?;
        if let Some(field) = fields.get("conversation") {
            return Err(field.unsupported("send previous_response_id, or the whole conversation as input"));
        }
        refuse_others(&fields, KNOWN, INERT, NOT_YET)?;
        let format = read_text(&fields)?;
        let (items, stored_bytes) = read_items(&fields, history)?;
        let mut conversation = Conversation::read_items(items.iter().map(Item::field), &fields.need("input")?)?;
        let is_kept = history.is_some() && (fields.get("store").is_none() || fields.flag("store")?);
        let kept = is_kept.then(|| items.into_iter().map(Item::into_value).collect());
        format.iter().for_each(|format| format.tell(&mut conversation.messages));
        let effort = read_effort(&fields)?;
        let mut thinking = Thinking::read(&fields, effort.clone())?;
        let defaults = defaults(&mut thinking, !conversation.pictures.is_empty())?;
        if thinking.is_some() {
            conversation.think();
        }
        let instructions = fields.get("instructions").map(|text| text.string()).transpose()?;
        conversation.messages.splice(0..0, instructions.iter().map(|text| Message::text(Role::System, text)));
        let tools = Tools::read(&fields, Dialect::Response)?;
        tools.iter().for_each(|tools| conversation.define(tools.definitions()));
        let sampling = SamplingOptions { logprobs: read_logprobs(&fields)?, ..defaults };
        Ok(Self {
            messages: conversation.messages,
            pictures: conversation.pictures,
            instructions,
            sampling: read_sampling(&fields, sampling)?,
            max_tokens: read_max_tokens(&fields, &["max_output_tokens"])?,
            format,
            text_format: fields
                .get("text")
                .and_then(|text| text.value.get("format").cloned())
                .filter(|format| !format.is_null())
                .unwrap_or_else(|| json!({"type": "text"})),
            tools,
            thinking,
            effort: effort.map_or(Value::Null, |effort| effort.value.clone()),
            repeated_tools: [
                ("tools", json!([])),
                ("tool_choice", json!("auto")),
                ("parallel_tool_calls", json!(true)),
            ]
            .map(|(name, default)| fields.get(name).map_or(default, |field| field.value.clone())),
            truncates: read_truncation(&fields)?,
            stream: fields.flag("stream")?,
            asker: Asker::read(&fields)?,
            model: fields.get("model").map(|model| model.string()).transpose()?,
            metadata: fields.get("metadata").map_or(Value::Null, |metadata| metadata.value.clone()),
            previous: fields.get("previous_response_id").map(|id| id.string()).transpose()?,
            kept,
            stored_bytes,
        })
    }
}

/// The items of the conversation: those of the response that this one continues, then those of the input; and the bytes of stored ones.
fn read_items<'a>(fields: &Fields<'a>, history: History<'_>) -> Result<(Vec<Item<'a>>, usize)> {
    let missing = |field: &Field<'_>, kind: &str| match history {
        Some(_) => {
            field.fault(format!("there is no such {kind}: it was not stored, was deleted or has made room for others"))
        }
        None => field.unsupported("responses are not stored here: send the whole conversation as input"),
    };
    let (mut items, mut named) = (Vec::new(), Named::default());
    let mut stored = |field: &Field<'_>, item: Arc<Value>| -> Result<Item<'a>> {
        named.count(&item).map_err(|reason| field.fault(reason))?;
        Ok(Item::Stored(field.path.clone(), item))
    };
    if let Some(previous) = fields.get("previous_response_id") {
        let id = previous.str()?;
        let earlier = history.and_then(|(responses, owner)| responses.conversation(owner, id));
        let earlier = earlier.ok_or_else(|| missing(&previous, "response"))?;
        for item in earlier {
            items.push(stored(&previous, item)?);
        }
    }
    let input = fields.need("input")?;
    if input.value.is_string() {
        items.push(Item::Stored(input.path, Arc::new(json!({"role": "user", "content": input.value}))));
        return Ok((items, named.bytes));
    }
    for item in input.array()? {
        let reference = item.value.get("type").is_some_and(|kind| kind == "item_reference").then(|| item.object());
        let Some(reference) = reference.transpose()? else {
            items.push(Item::Sent(item));
            continue;
        };
        reference.only(&["type", "id"])?;
        let id = reference.need("id")?;
        let name = id.str()?;
        let found = history.and_then(|(responses, owner)| responses.item(owner, name));
        items.push(stored(&item, found.ok_or_else(|| missing(&id, "item"))?)?);
    }
    Ok((items, named.bytes))
}

/// Format in `text`; `stream_options` may only ask for padding, which has no effect.
fn read_text(fields: &Fields<'_>) -> Result<Option<Wanted>> {
    let mut format = None;
    if let Some(text) = fields.get("text") {
        let text = text.object()?;
        text.only(&["format", "verbosity"])?;
        format = text.get("format").map(|format| Wanted::read(&format, true)).transpose()?.flatten();
    }
    if let Some(options) = fields.get("stream_options") {
        options.object()?.only(&["include_obfuscation"])?;
    }
    Ok(format)
}

/// The effort in `reasoning`. Summaries may be requested but are not made: reasoning is returned in full.
fn read_effort<'a>(fields: &Fields<'a>) -> Result<Option<Field<'a>>> {
    let Some(reasoning) = fields.get("reasoning") else { return Ok(None) };
    let reasoning = reasoning.object()?;
    reasoning.only(&["effort", "summary", "generate_summary", "context", "mode"])?;
    // Reasoning of earlier turns is never shown, and there is one mode.
    for (name, known) in [("context", &["auto", "current_turn"][..]), ("mode", &["standard"])] {
        if let Some(field) = reasoning.get(name).filter(|field| !known.iter().any(|value| field.value == value)) {
            return Err(field.unsupported(format!("must be {}", known.join(" or "))));
        }
    }
    for summary in ["summary", "generate_summary"].iter().filter_map(|name| reasoning.get(name)) {
        if !["auto", "concise", "detailed"].contains(&summary.str()?) {
            return Err(summary.fault("must be auto, concise or detailed"));
        }
    }
    Ok(reasoning.get("effort"))
}

/// Number of alternatives per token; `None` if no log probabilities are requested.
fn read_logprobs(fields: &Fields<'_>) -> Result<Option<usize>> {
    let mut is_on = false;
    if let Some(include) = fields.get("include") {
        for item in include.array()? {
            match item.str()? {
                "message.output_text.logprobs" => is_on = true,
                // No effect: reasoning is not encrypted, and responses have no pictures and no items of tools that a provider hosts.
                "reasoning.encrypted_content" | "message.input_image.image_url" => {}
                name if HOSTED.iter().any(|tool| name.starts_with(tool)) => {}
                _ => return Err(item.unsupported("cannot be included")),
            }
        }
    }
    let Some(top) = fields.get("top_logprobs") else { return Ok(is_on.then_some(0)) };
    let count = usize::try_from(top.integer()?).map_err(|_| top.fault("must be from 0 to 20"))?;
    Ok((is_on || count > 0).then_some(count))
}
