//! `POST /v1/completions`.

use serde_json::Value;

use super::answer_fields::{read_include_usage, read_max_tokens, read_n, read_sampling, read_stop, refuse_others};
use super::asker::Asker;
use super::field::{Field, Fields};
use crate::engine::Prompt;
use crate::error::Result;
use crate::sampling::SamplingOptions;

const KNOWN: &str = "user budget prompt model stream stream_options max_tokens stop temperature top_k top_p min_p seed frequency_penalty \
                     presence_penalty repetition_penalty repeat_penalty logit_bias n best_of logprobs suffix";
const INERT: &str = "";
const NOT_YET: &str = "echo";

/// Token limit of an answer if the request sets none, as in the OpenAI API.
const DEFAULT_MAX_TOKENS: usize = 16;
const MAX_PROMPTS: usize = 128;

/// A text completion request.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionRequest {
    /// Texts or token ids to continue.
    pub prompts: Vec<Prompt>,
    /// Sampling options.
    pub sampling: SamplingOptions,
    /// Token limit of an answer.
    pub max_tokens: usize,
    /// Stop strings; an answer ends before the first of them.
    pub stop: Vec<String>,
    /// Number of answers per prompt.
    pub n: usize,
    /// Sends the answers in chunks.
    pub stream: bool,
    /// Ends the stream with token counts.
    pub include_usage: bool,
    /// User key and budget.
    pub asker: Asker,
    /// Requested model.
    pub model: Option<String>,
}

impl CompletionRequest {
    /// Reads a request; `defaults` are the sampling options, seed included, that it does not set.
    ///
    /// # Errors
    /// Same as [`super::ChatRequest::from_json`].
    pub fn with_defaults(request: &Value, defaults: &SamplingOptions) -> Result<Self> {
        let fields = Fields::of_request(request)?;
        refuse_others(&fields, KNOWN, INERT, NOT_YET)?;
        if let Some(suffix) = fields.get("suffix").filter(|suffix| suffix.value != "") {
            return Err(suffix.unsupported("is not supported"));
        }
        let (stream, n) = (fields.flag("stream")?, read_n(&fields)?);
        if let Some(best) = fields.get("best_of").filter(|best| best.value != n) {
            return Err(best.unsupported("is not supported where it differs from n"));
        }
        let top = fields.get("logprobs").map(|top| read_top(&top)).transpose()?;
        let sampling = SamplingOptions { logprobs: top, ..defaults.clone() };
        Ok(Self {
            prompts: read_prompts(&fields.need("prompt")?)?,
            sampling: read_sampling(&fields, sampling)?,
            max_tokens: read_max_tokens(&fields, &["max_tokens"])?.unwrap_or(DEFAULT_MAX_TOKENS),
            stop: read_stop(&fields, "stop")?,
            n,
            stream,
            include_usage: read_include_usage(&fields, stream)?,
            asker: Asker::read(&fields)?,
            model: fields.get("model").map(|model| model.string()).transpose()?,
        })
    }
}

fn read_top(top: &Field<'_>) -> Result<usize> {
    usize::try_from(top.integer()?).map_err(|_| top.fault("must be from 0 to 20"))
}

/// A text, its token ids, or a list of either.
fn read_prompts(prompt: &Field<'_>) -> Result<Vec<Prompt>> {
    let is_one =
        |value: &Value| value.is_string() || value.as_array().is_some_and(|ids| ids.iter().all(Value::is_number));
    if is_one(prompt.value) {
        return Ok(vec![read_prompt(prompt)?]);
    }
    let prompts: Vec<Prompt> = prompt.array()?.map(|one| read_prompt(&one)).collect::<Result<_>>()?;
    match prompts.len() {
        0 => Err(prompt.fault("at least one prompt is needed")),
        1..=MAX_PROMPTS => Ok(prompts),
        many => Err(prompt.fault(format!("has {many} prompts, at most {MAX_PROMPTS} are supported"))),
    }
}

pub(super) fn read_prompt(prompt: &Field<'_>) -> Result<Prompt> {
    if prompt.value.is_string() {
        return prompt.string().map(Prompt::Text);
    }
    let ids: Vec<u32> = prompt.array()?.map(|id| id.token_id()).collect::<Result<_>>()?;
    if ids.is_empty() { Err(prompt.fault("at least one token is needed")) } else { Ok(Prompt::Ids(ids)) }
}
