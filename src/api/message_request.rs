//! `POST /v1/messages` and `POST /v1/messages/count_tokens`, in Anthropic's format.

use serde_json::Value;

use super::answer_fields::{read_max_tokens, read_sampling, read_stop, refuse_others};
use super::asker::{Asker, KEY_CHARACTERS};
use super::chat_request::ChatRequest;
use super::field::{Field, Fields};
use super::format::Wanted;
use super::messages::{Conversation, Dialect};
use super::thinking::Thinking;
use super::tools::Tools;
use crate::chat::{ContentPart, Message, Role};
use crate::error::Result;
use crate::sampling::SamplingOptions;

const KNOWN: &str = "model messages max_tokens system stop_sequences stream temperature top_k top_p metadata tools tool_choice thinking \
                     output_config output_format budget";
const INERT: &str = "service_tier cache_control inference_geo speed diagnostics";
const NOT_YET: &str = "mcp_servers container context_management";

/// Reads a request as a chat. `defaults` returns sampling options for the requested reasoning, which it may turn off, and for pictures if there
/// are any. Only a request for an answer needs `max_tokens`.
pub(super) fn read(
    request: &Value,
    is_answered: bool,
    defaults: impl FnOnce(&mut Option<Thinking>, bool) -> Result<SamplingOptions>,
) -> Result<ChatRequest> {
    let fields = Fields::of_request(request)?;
    refuse_others(&fields, KNOWN, INERT, NOT_YET)?;
    if is_answered {
        fields.need("max_tokens")?;
    }
    let mut conversation = Conversation::read_turns(&fields.need("messages")?)?;
    let format = read_format(&fields)?;
    format.iter().for_each(|format| format.tell(&mut conversation.messages));
    let mut thinking = read_thinking(&fields)?;
    let defaults = defaults(&mut thinking, !conversation.pictures.is_empty())?;
    if thinking.is_some() {
        conversation.think();
    }
    let system = fields.get("system").map(|system| read_system(&system)).transpose()?;
    conversation.messages.splice(0..0, system);
    let tools = Tools::read(&fields, Dialect::Message)?;
    tools.iter().for_each(|tools| conversation.define(tools.definitions()));
    Ok(ChatRequest {
        messages: conversation.messages,
        pictures: conversation.pictures,
        sampling: read_sampling(&fields, defaults)?,
        max_tokens: read_max_tokens(&fields, &["max_tokens"])?,
        stop: read_stop(&fields, "stop_sequences")?,
        format,
        tools,
        thinking,
        truncates: false,
        n: 1,
        stream: fields.flag("stream")?,
        include_usage: false,
        asker: read_asker(&fields)?,
        model: fields.get("model").map(|model| model.string()).transpose()?,
    })
}

/// Instructions: a text, or several.
fn read_system(system: &Field<'_>) -> Result<Message> {
    if system.value.is_string() {
        return Ok(Message::text(Role::System, system.str()?));
    }
    let read = |part: Field<'_>| {
        let fields = part.object()?;
        let kind = fields.need("type")?;
        if kind.str()? != "text" {
            return Err(kind.unsupported("instructions are text"));
        }
        fields.only(&["type", "text", "cache_control", "citations"])?;
        fields.need("text")?.string()
    };
    let texts = system.array()?.map(read).collect::<Result<Vec<_>>>()?;
    Ok(Message { role: Role::System, content: vec![ContentPart::Text(texts.join("\n"))] })
}

/// The format of the answer, in `output_config` or, in older clients, `output_format`. An effort has no effect.
fn read_format(fields: &Fields<'_>) -> Result<Option<Wanted>> {
    let config = fields.get("output_config").map(|config| config.object()).transpose()?;
    if let Some(config) = &config {
        config.only(&["effort", "format"])?;
    }
    let format = config.and_then(|config| config.get("format")).or_else(|| fields.get("output_format"));
    Ok(format.map(|format| Wanted::read(&format, true)).transpose()?.flatten())
}

/// The requested reasoning. `adaptive` leaves it to the model, and is ignored by models that do not reason.
fn read_thinking(fields: &Fields<'_>) -> Result<Option<Thinking>> {
    let Some(thinking) = fields.get("thinking") else { return Ok(None) };
    let fields = thinking.object()?;
    fields.only(&["type", "budget_tokens", "display"])?;
    let kind = fields.need("type")?;
    let (is_on, is_effort) = match kind.str()? {
        "enabled" => (true, false),
        "adaptive" => (true, true),
        "disabled" => (false, false),
        _ => return Err(kind.fault("must be enabled, adaptive or disabled")),
    };
    let budget = fields.get("budget_tokens").map(|budget| budget.count()).transpose()?;
    Ok(is_on.then(|| Thinking { budget, field: thinking.path.clone(), is_effort }))
}

/// The key of budgets: `metadata.user_id`.
fn read_asker(fields: &Fields<'_>) -> Result<Asker> {
    let mut asker = Asker::read(fields)?;
    if let Some(metadata) = fields.get("metadata") {
        let user = metadata.object()?.get("user_id");
        let user = user.map(|user| user.str()).transpose()?.unwrap_or_default();
        asker.key = user.chars().take(KEY_CHARACTERS).collect();
    }
    Ok(asker)
}
