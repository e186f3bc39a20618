//! A plain decoder's configuration from the keys that llama.cpp's converters write, and where they differ, Ollama's.

use super::files::GgufFiles;
use super::metadata::Metadata;
use super::write::{Field, GgufHeader};
use crate::config::{LayerKind, MAX_LAYERS, RopeConfig, RopePairs, TextConfig, YarnConfig};
use crate::error::{Error, Result};

/// The keys of one architecture.
pub struct Keys<'a> {
    metadata: &'a Metadata,
    architecture: &'a str,
}

impl<'a> Keys<'a> {
    /// The keys of the architecture that the file names.
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`].
    pub fn of(metadata: &'a Metadata) -> Result<Self> {
        Ok(Self { metadata, architecture: metadata.text("general.architecture")?.unwrap_or_default() })
    }

    /// An error about the architecture.
    pub fn unsupported(&self, reason: impl Into<String>) -> Error {
        Error::UnsupportedArchitecture {
            file: self.metadata.file.clone(),
            architecture: self.architecture.into(),
            reason: reason.into(),
        }
    }

    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn size(&self, key: &str) -> Result<Option<usize>> {
        self.metadata.size(&self.key(key))
    }

    fn needed(&self, key: &str) -> Result<usize> {
        self.metadata.needed(&self.key(key))
    }

    /// The number under the first of some keys that is there.
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`] if it is none.
    pub fn number(&self, keys: &[&str]) -> Result<Option<f64>> {
        for key in keys {
            if let Some(number) = self.metadata.number(&self.key(key))? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Positions before the extension of the context.
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`].
    pub fn original_positions(&self) -> Result<f64> {
        match self.number(&["rope.scaling.original_context_length"])? {
            Some(original) => Ok(original),
            None => Ok(self.needed("context_length")? as f64),
        }
    }
}

/// Reads the decoder. `pairs` is how the architecture's converter lays out the lanes of a head.
///
/// # Errors
/// [`Error::UnsupportedArchitecture`] for variants that this crate does not run, [`Error::InvalidCheckpoint`].
pub fn text_config(files: &GgufFiles<'_>, pairs: RopePairs) -> Result<TextConfig> {
    let metadata = files.text;
    let keys = Keys::of(metadata)?;
    let hidden_size = keys.needed("embedding_length")?;
    let layers = keys.needed("block_count")?;
    // Before the whole configuration is checked, so that no file can ask for a list of any length.
    if layers > MAX_LAYERS {
        return Err(keys.unsupported(format!("{} is {layers}", keys.key("block_count"))));
    }
    let heads = keys.needed("attention.head_count")?;
    let quotient = hidden_size.checked_div(heads);
    let Some(head_dim) = keys.size("attention.key_length")?.or(quotient) else {
        return Err(metadata.refuse(format!("{} is 0", keys.key("attention.head_count"))));
    };
    for key in ["attention.value_length", "rope.dimension_count"] {
        if let Some(size) = keys.size(key)?.filter(|&size| size != head_dim) {
            return Err(keys.unsupported(format!("{} is {size} in heads of {head_dim}", keys.key(key))));
        }
    }
    let context = keys.needed("context_length")?;
    refuse_variants(&keys, context)?;
    let Some(eps) = keys.number(&["attention.layer_norm_rms_epsilon"])? else {
        return Err(metadata.refuse(format!("{} is missing", keys.key("attention.layer_norm_rms_epsilon"))));
    };
    Ok(TextConfig {
        vocab_size: files.vocab_size,
        hidden_size,
        intermediate_size: keys.needed("feed_forward_length")?,
        layers: vec![LayerKind::FullAttention; layers],
        num_attention_heads: heads,
        num_key_value_heads: keys.size("attention.head_count_kv")?.unwrap_or(heads),
        head_dim,
        rms_norm_eps: eps as f32,
        tie_word_embeddings: files.is_tied(),
        max_position_embeddings: context,
        rope: rope(&keys, pairs)?,
        query_scaling: None,
    })
}

/// What would make another network of the same keys.
fn refuse_variants(keys: &Keys<'_>, context: usize) -> Result<()> {
    if let Some(window) = keys.size("attention.sliding_window")?.filter(|&window| window > 0 && window < context) {
        return Err(keys.unsupported(format!("attention.sliding_window is {window} in a context of {context}")));
    }
    match keys.size("expert_count")? {
        Some(experts) if experts > 0 => Err(keys.unsupported(format!("expert_count is {experts}"))),
        _ => Ok(()),
    }
}

fn rope(keys: &Keys<'_>, pairs: RopePairs) -> Result<RopeConfig> {
    let theta = keys.number(&["rope.freq_base"])?.unwrap_or(10_000.0);
    let kind_key = keys.key("rope.scaling.type");
    let kind = keys.metadata.text(&kind_key)?;
    let factor = keys.number(&["rope.scaling.factor", "rope.scale_linear"])?;
    let yarn = match (kind, factor) {
        (Some("none"), _) => None,
        (Some("linear") | None, factor) if factor.is_none_or(|factor| factor == 1.0) => None,
        (Some("yarn"), Some(factor)) => Some(yarn(keys, factor, keys.original_positions()?)?),
        (Some("yarn"), None) => {
            return Err(keys.metadata.refuse(format!("{} is missing", keys.key("rope.scaling.factor"))));
        }
        (kind, _) => {
            return Err(keys.unsupported(format!("{kind_key} is {:?}", kind.unwrap_or("linear"))));
        }
    };
    Ok(RopeConfig { theta, pairs, yarn, divisors: None })
}

fn yarn(keys: &Keys<'_>, factor: f64, original: f64) -> Result<YarnConfig> {
    let non_zero = |names: &[&str]| keys.number(names).map(|number| number.filter(|x| *x != 0.0));
    // llama.cpp (`llama-context.cpp`): the multiplier is `mscale_all_dim`, beside an `mscale` of 1; without it the paper's scale.
    let scale = |mscale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 };
    let all_dim = non_zero(&["rope.scaling.yarn_log_multiplier", "rope.scaling.mscale_all_dim"])?;
    let mscale = non_zero(&["rope.scaling.mscale"])?.unwrap_or(1.0);
    let attention_factor = match all_dim {
        Some(all_dim) => scale(mscale) / scale(all_dim),
        None => scale(1.0),
    };
    let more = keys.number(&["rope.scaling.yarn_attn_factor", "rope.scaling.attn_factor"])?.unwrap_or(1.0);
    Ok(YarnConfig {
        factor,
        original_max_position_embeddings: original,
        beta_fast: non_zero(&["rope.scaling.yarn_beta_fast", "rope.scaling.beta_fast"])?.unwrap_or(32.0),
        beta_slow: non_zero(&["rope.scaling.yarn_beta_slow", "rope.scaling.beta_slow"])?.unwrap_or(1.0),
        attention_factor: attention_factor * more,
        truncate: true,
    })
}

/// Writes the keys of a decoder, as llama.cpp's converters do.
pub fn describe_text(header: &mut GgufHeader, architecture: &str, text: &TextConfig) {
    header.set("general.architecture", architecture);
    let mut set = |key: &str, value: Field| header.set(&format!("{architecture}.{key}"), value);
    let sizes = [
        ("vocab_size", text.vocab_size),
        ("context_length", text.max_position_embeddings),
        ("embedding_length", text.hidden_size),
        ("block_count", text.layers.len()),
        ("feed_forward_length", text.intermediate_size),
        ("attention.head_count", text.num_attention_heads),
        ("attention.head_count_kv", text.num_key_value_heads),
        ("attention.key_length", text.head_dim),
        ("attention.value_length", text.head_dim),
        ("rope.dimension_count", text.head_dim),
    ];
    for (key, size) in sizes {
        set(key, Field::U32(size as u32));
    }
    set("attention.layer_norm_rms_epsilon", Field::F32(text.rms_norm_eps));
    set("rope.freq_base", Field::F32(text.rope.theta as f32));
    if let Some(scaling) = &text.query_scaling {
        set("attention.temperature_scale", Field::F32(scaling.beta as f32));
    }
    if let Some(yarn) = &text.rope.yarn {
        set("rope.scaling.type", "yarn".into());
        set("rope.scaling.factor", Field::F32(yarn.factor as f32));
        set("rope.scaling.original_context_length", Field::U32(yarn.original_max_position_embeddings as u32));
        set("rope.scaling.yarn_beta_fast", Field::F32(yarn.beta_fast as f32));
        set("rope.scaling.yarn_beta_slow", Field::F32(yarn.beta_slow as f32));
        set("rope.scaling.yarn_log_multiplier", Field::F32(1.0));
    }
}
