//! Rotary embedding parameters in all their spellings, as `transformers` `modeling_rope_utils.py` reads them.

use serde_json::{Value, json};

use super::fields::Fields;
use crate::config::{MAX_HEAD_DIM, RopeConfig, RopePairs, YarnConfig, llama_3_divisors};
use crate::error::Result;

/// The base where none is given.
const DEFAULT_THETA: f64 = 10_000.0;

/// The object that holds the parameters: old `rope_scaling`, unless it is empty, goes before new `rope_parameters`; `fallback` where
/// there is neither.
///
/// # Errors
/// [`crate::Error::InvalidCheckpoint`] if it is no object.
pub fn parameters<'a>(config: Fields<'a>, path: &'a str, fallback: &'a Value) -> Result<Fields<'a>> {
    let old = config.get("rope_scaling").filter(|value| value.as_object().is_none_or(|map| !map.is_empty()));
    Fields::new(config.file, path, old.or_else(|| config.get("rope_parameters")).unwrap_or(fallback))
}

/// Positions before the extension of the context.
///
/// # Errors
/// [`crate::Error::InvalidCheckpoint`].
pub fn original_positions(config: Fields<'_>, rope: Fields<'_>, max_positions: usize) -> Result<f64> {
    match config.number("original_max_position_embeddings")? {
        Some(original) => Ok(original),
        None => Ok(rope.number("original_max_position_embeddings")?.unwrap_or(max_positions as f64)),
    }
}

/// What a family's decoders have.
#[derive(Debug)]
pub struct RopeDefaults {
    /// `rope_parameters` of a configuration without any.
    pub parameters: Value,
    /// Values of `rope_type` that are supported besides `default`: `yarn`, `llama3`.
    pub types: &'static [&'static str],
}

/// The rope of a decoder with heads of `head_dim`.
pub(super) fn decoder_rope(
    config: Fields<'_>,
    architecture: &str,
    defaults: &RopeDefaults,
    (head_dim, max_positions): (usize, usize),
) -> Result<RopeConfig> {
    let rope = parameters(config, "rope_parameters.", &defaults.parameters)?;
    let kind = kind_and_theta(config, rope, architecture)?;
    let original = original_positions(config, rope, max_positions)?;
    let mut parsed = RopeConfig { theta: kind.theta, pairs: RopePairs::Half, yarn: None, divisors: None };
    match kind.name {
        "default" => {}
        "yarn" if defaults.types.contains(&"yarn") => parsed.yarn = Some(yarn(rope, original, max_positions)?),
        "llama3" if defaults.types.contains(&"llama3") => {
            let needed = |key: &str| rope.number(key)?.ok_or_else(|| rope.refuse(key, "is missing"));
            let bands = (needed("low_freq_factor")?, needed("high_freq_factor")?);
            parsed.divisors =
                Some(llama_3_divisors(kind.theta, head_dim.min(MAX_HEAD_DIM), needed("factor")?, bands, original));
        }
        _ => return Err(rope.unsupported(architecture, "rope_type", &format!("is {:?}", kind.name))),
    }
    Ok(parsed)
}

/// The base of a rope that is nothing but a base, such as a tower's; `types` are the names it may have.
///
/// # Errors
/// [`crate::Error::UnsupportedArchitecture`] for a rope of another type, [`crate::Error::InvalidCheckpoint`].
pub fn plain_theta(config: Fields<'_>, path: &str, architecture: &str, types: &[&str]) -> Result<f64> {
    let none = json!({});
    let rope = parameters(config, path, &none)?;
    let kind = kind_and_theta(config, rope, architecture)?;
    if !types.contains(&kind.name) {
        return Err(rope.unsupported(architecture, "rope_type", &format!("is {:?}", kind.name)));
    }
    Ok(kind.theta)
}

struct Kind<'a> {
    name: &'a str,
    theta: f64,
}

fn kind_and_theta<'a>(config: Fields<'a>, rope: Fields<'a>, architecture: &str) -> Result<Kind<'a>> {
    if let Some((layers, _)) = rope.iter().find(|(_, value)| value.is_object()) {
        return Err(rope.unsupported(architecture, layers, "differs between layers"));
    }
    let partial = match rope.number("partial_rotary_factor")? {
        Some(partial) => Some(partial),
        None => config.number("partial_rotary_factor")?,
    };
    if partial.is_some_and(|partial| partial != 1.0) {
        return Err(rope.unsupported(architecture, "partial_rotary_factor", "is not 1"));
    }
    let theta = match rope.number("rope_theta")? {
        Some(theta) => theta,
        None => config.number("rope_theta")?.unwrap_or(DEFAULT_THETA),
    };
    let name = match rope.text("rope_type")? {
        Some(name) => name,
        None => rope.text("type")?.unwrap_or("default"),
    };
    Ok(Kind { name, theta })
}

fn yarn(rope: Fields<'_>, original: f64, max_positions: usize) -> Result<YarnConfig> {
    if !rope.has("factor") {
        return Err(rope.refuse("factor", "is missing"));
    }
    let factor = rope.number("factor")?.unwrap_or(max_positions as f64 / original);
    let attention_factor = match rope.number("attention_factor")? {
        Some(given) => given,
        None => attention_factor(factor, rope.number("mscale")?, rope.number("mscale_all_dim")?),
    };
    let non_zero = |key| rope.number(key).map(|given| given.filter(|x| *x != 0.0));
    Ok(YarnConfig {
        factor,
        original_max_position_embeddings: original,
        beta_fast: non_zero("beta_fast")?.unwrap_or(32.0),
        beta_slow: non_zero("beta_slow")?.unwrap_or(1.0),
        attention_factor,
        truncate: rope.flag("truncate")?.unwrap_or(!rope.has("truncate")),
    })
}

/// `_compute_yarn_parameters`: the ratio of both scales if both are given and not zero, else the paper's own.
fn attention_factor(factor: f64, mscale: Option<f64>, mscale_all_dim: Option<f64>) -> f64 {
    let scale = |mscale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 };
    match (mscale.filter(|m| *m != 0.0), mscale_all_dim.filter(|m| *m != 0.0)) {
        (Some(mscale), Some(all_dim)) => scale(mscale) / scale(all_dim),
        _ => scale(1.0),
    }
}
