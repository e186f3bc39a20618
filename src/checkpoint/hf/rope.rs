//! Rotary embedding parameters in all their spellings, as `transformers` `modeling_rope_utils.py` reads them.

use super::fields::Fields;
use crate::config::{Llama3Rope, MAX_HEAD_DIM, RopeConfig, RopePairs, YarnConfig};
use crate::error::Result;

/// Entry of `rope_types` for a rope that may rotate only a part of a head.
pub const PARTIAL: &str = "partial";
/// The base where none is given.
const DEFAULT_THETA: f64 = 10_000.0;

/// The object that holds the parameters: old `rope_scaling`, unless it is empty, goes before new `rope_parameters`.
///
/// # Errors
/// [`crate::Error::InvalidCheckpoint`] if it is no object; so below.
pub fn parameters<'a>(config: Fields<'a>, path: &'a str) -> Result<Fields<'a>> {
    let old = config.get("rope_scaling").filter(|value| value.as_object().is_none_or(|map| !map.is_empty()));
    Fields::new(config.file, path, old.or_else(|| config.get("rope_parameters")))
}

/// Pairs of lanes that follow each of three axes, which take turns pair by pair; `None` for a rope of one axis.
///
/// # Errors
/// [`crate::Error::UnsupportedArchitecture`] for axes that do not take turns, [`crate::Error::InvalidCheckpoint`].
pub fn sections(config: Fields<'_>) -> Result<Option<[usize; 3]>> {
    let rope = parameters(config, "rope_parameters.")?;
    if rope.flag("mrope_interleaved")? == Some(false) {
        return Err(rope.unsupported("mrope", "mrope_interleaved", "is false"));
    }
    let Some(sections) = rope.ids("mrope_section")? else { return Ok(None) };
    let sections =
        <[u32; 3]>::try_from(sections).map_err(|_| rope.refuse("mrope_section", "is not a list of three"))?;
    Ok(Some(sections.map(|size| size as usize)))
}

/// The number that one of two objects has, the first before the second.
fn number(key: &str, first: Fields<'_>, second: Fields<'_>) -> Result<Option<f64>> {
    first.number(key)?.map_or_else(|| second.number(key), |number| Ok(Some(number)))
}

/// Positions before the extension of the context.
pub fn original_positions(config: Fields<'_>, rope: Fields<'_>, max_positions: usize) -> Result<f64> {
    Ok(number("original_max_position_embeddings", config, rope)?.unwrap_or(max_positions as f64))
}

/// The rope of a decoder with heads of `head_dim`.
pub(super) fn decoder_rope(
    config: Fields<'_>,
    architecture: &str,
    types: &[&str],
    head_dim: usize,
    max_positions: usize,
) -> Result<RopeConfig> {
    let rope = parameters(config, "rope_parameters.")?;
    let (name, theta) = name_and_theta(config, rope, architecture)?;
    let original = original_positions(config, rope, max_positions)?;
    let part = partial(config, rope, architecture, types.contains(&PARTIAL))?;
    let pairs =
        part.map_or(RopePairs::Half, |part| RopePairs::First((head_dim.min(MAX_HEAD_DIM) as f64 * part) as usize));
    let mut parsed = RopeConfig::plain(theta, pairs);
    match name {
        "default" => {}
        "yarn" if types.contains(&"yarn") => parsed.yarn = Some(yarn(rope, original, max_positions)?),
        "llama3" if types.contains(&"llama3") => {
            let needed = |key: &str| rope.needed(key, Fields::number);
            let scaling = Llama3Rope {
                theta,
                head_dim: head_dim.min(MAX_HEAD_DIM),
                factor: needed("factor")?,
                low_freq_factor: needed("low_freq_factor")?,
                high_freq_factor: needed("high_freq_factor")?,
                original_max_position_embeddings: original,
            };
            parsed.divisors = Some(scaling.divisors());
        }
        _ => return Err(rope.unsupported(architecture, "rope_type", &format!("is {name:?}"))),
    }
    Ok(parsed)
}

/// The base of a rope that is nothing but a base, such as a tower's; `types` are the names it may have.
///
/// # Errors
/// [`crate::Error::UnsupportedArchitecture`] for a rope of another type, [`crate::Error::InvalidCheckpoint`].
pub fn plain_theta(config: Fields<'_>, path: &str, architecture: &str, types: &[&str]) -> Result<f64> {
    let rope = parameters(config, path)?;
    let (name, theta) = name_and_theta(config, rope, architecture)?;
    partial(config, rope, architecture, false)?;
    if !types.contains(&name) {
        return Err(rope.unsupported(architecture, "rope_type", &format!("is {name:?}")));
    }
    Ok(theta)
}

/// The part of a head that rotates, if not all of it does and that is `known` here.
fn partial(config: Fields<'_>, rope: Fields<'_>, architecture: &str, known: bool) -> Result<Option<f64>> {
    let part = number("partial_rotary_factor", rope, config)?.filter(|part| *part != 1.0);
    if part.is_some_and(|part| !known || !(0.0..1.0).contains(&part)) {
        return Err(rope.unsupported(architecture, "partial_rotary_factor", "is not 1"));
    }
    Ok(part)
}

fn name_and_theta<'a>(config: Fields<'a>, rope: Fields<'a>, architecture: &str) -> Result<(&'a str, f64)> {
    if let Some((layers, _)) = rope.iter().find(|(_, value)| value.is_object()) {
        return Err(rope.unsupported(architecture, layers, "differs between layers"));
    }
    let theta = number("rope_theta", rope, config)?.unwrap_or(DEFAULT_THETA);
    let name = rope.text("rope_type")?.map_or_else(|| rope.text("type"), |name| Ok(Some(name)))?;
    Ok((name.unwrap_or("default"), theta))
}

fn yarn(rope: Fields<'_>, original: f64, max_positions: usize) -> Result<YarnConfig> {
    if !rope.has("factor") {
        return Err(rope.refuse("factor", "is missing"));
    }
    let factor = rope.number("factor")?.unwrap_or(max_positions as f64 / original);
    let attention_factor = match rope.number("attention_factor")? {
        Some(given) => given,
        None => YarnConfig::scale(factor, rope.number("mscale")?, rope.number("mscale_all_dim")?),
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
