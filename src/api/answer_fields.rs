//! Fields that chat, text completion and response requests share: sampling, limits, stop strings, streaming.

use serde_json::Value;

use super::field::{Field, Fields, UNKNOWN};
use crate::error::Result;
use crate::sampling::SamplingOptions;

/// Limits of stop strings: their number, and bytes of each.
const MAX_STOPS: usize = 16;
const MAX_STOP_LEN: usize = 1024;
/// Limit of `n`, as in the OpenAI API.
const MAX_ANSWERS: usize = 128;

/// Refuses fields that are in none of the lists. Fields in `inert` accept any value and have no effect. Fields in `not_yet` accept only
/// values without effect: an empty list, `false`, `"none"` and `"auto"`.
pub(super) fn refuse_others(fields: &Fields<'_>, known: &str, inert: &str, not_yet: &str) -> Result<()> {
    let asks_nothing = |value: &Value| match value {
        Value::Array(items) => items.is_empty(),
        Value::Bool(is_on) => !is_on,
        Value::String(text) => text == "none" || text == "auto",
        _ => false,
    };
    for (name, field) in fields.iter() {
        let is_in = |list: &str| list.split_ascii_whitespace().any(|listed| listed == name);
        if is_in(not_yet) && !asks_nothing(field.value) {
            return Err(field.unsupported("is not supported"));
        }
        if !is_in(not_yet) && !is_in(known) && !is_in(inert) {
            return Err(field.unsupported(UNKNOWN));
        }
    }
    Ok(())
}

/// Sampling options of a request; absent fields keep their values in `options`.
pub(super) fn read_sampling(fields: &Fields<'_>, mut options: SamplingOptions) -> Result<SamplingOptions> {
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
    let repetition = fields.get("repetition_penalty").or_else(|| fields.get("repeat_penalty"));
    options.repetition_penalty = repetition.as_ref().map_or(Ok(options.repetition_penalty), |field| field.f32())?;
    // Penalties that a model recommends are meant for sampling; they would change which token is likeliest.
    if options.temperature == 0.0 && fields.get("presence_penalty").is_none() {
        options.presence_penalty = 0.0;
    }
    if options.temperature == 0.0 && repetition.is_none() {
        options.repetition_penalty = 1.0;
    }
    options.top_k = fields.get("top_k").map(|field| field.count()).transpose()?.or(options.top_k);
    if let Some(field) = fields.get("seed") {
        // Negative seeds wrap around.
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

/// Token limit of an answer, from the first of `names` that is present. Two that differ are refused.
pub(super) fn read_max_tokens(fields: &Fields<'_>, names: &[&str]) -> Result<Option<usize>> {
    let mut found: Option<(&str, usize)> = None;
    for name in names {
        let Some(field) = fields.get(name) else { continue };
        let count = field.count()?;
        match found {
            Some((other, before)) if before != count => {
                return Err(field.fault(format!("is {count}, but {other} is {before}")));
            }
            _ => found = Some((name, count)),
        }
    }
    Ok(found.map(|(_, count)| count))
}

/// Stop strings: one, or a list of them.
pub(super) fn read_stop(fields: &Fields<'_>, name: &str) -> Result<Vec<String>> {
    let Some(stop) = fields.get(name) else { return Ok(Vec::new()) };
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

pub(super) fn read_include_usage(fields: &Fields<'_>, stream: bool) -> Result<bool> {
    let Some(field) = fields.get("stream_options") else { return Ok(false) };
    if !stream {
        return Err(field.fault("is only for streams: set stream to true"));
    }
    let options = field.object()?;
    // Accepted without effect. Chunks are never padded: padding hides their sizes on a network.
    options.only(&["include_usage", "include_obfuscation"])?;
    options.flag("include_obfuscation")?;
    options.flag("include_usage")
}

/// Returns true if the oldest turns of a conversation that is too long for the context may be left out.
pub(super) fn read_truncation(fields: &Fields<'_>) -> Result<bool> {
    let Some(how) = fields.get("truncation") else { return Ok(false) };
    match how.str()? {
        "auto" => Ok(true),
        "disabled" => Ok(false),
        _ => Err(how.unsupported("must be auto or disabled")),
    }
}

pub(super) fn read_n(fields: &Fields<'_>) -> Result<usize> {
    let Some(field) = fields.get("n") else { return Ok(1) };
    match field.count()? {
        n if n > MAX_ANSWERS => Err(field.fault(format!("is {n}, must be from 1 to {MAX_ANSWERS}"))),
        n => Ok(n),
    }
}
