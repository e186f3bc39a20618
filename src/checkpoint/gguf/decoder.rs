//! A plain decoder's configuration from the keys that llama.cpp's converters write, and where they differ, Ollama's.

use super::files::GgufFiles;
use super::metadata::{FromValue, Metadata, Value};
use crate::config::{LayerKind, MAX_LAYERS, RopeConfig, RopePairs, TextConfig, YarnConfig};
use crate::error::{Error, Result};

/// The keys of one architecture.
pub struct Keys<'a> {
    metadata: &'a Metadata,
    architecture: &'a str,
}

impl<'a> Keys<'a> {
    /// The keys of the architecture that the file names; fails with [`Error::InvalidCheckpoint`].
    pub fn of(metadata: &'a Metadata) -> Result<Self> {
        Ok(Self { metadata, architecture: metadata.get("general.architecture")?.unwrap_or_default() })
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

    /// The value of an architecture's key; [`Error::InvalidCheckpoint`] if it has another type. The methods below fail in the same way.
    pub fn get<T: FromValue<'a>>(&self, key: &str) -> Result<Option<T>> {
        self.metadata.get(&self.key(key))
    }

    /// The value of a required key.
    pub fn needed<T: FromValue<'a>>(&self, key: &str) -> Result<T> {
        self.metadata.needed(&self.key(key))
    }

    /// The value of the first key that is present.
    pub fn first<T: FromValue<'a>>(&self, keys: &[&str]) -> Result<Option<T>> {
        keys.iter().find_map(|key| self.get(key).transpose()).transpose()
    }

    /// A size that is one number for all layers, or a list with one for each.
    pub fn of_layer(&self, key: &str, layer: usize) -> Result<usize> {
        let Some(Value::Integers(list)) = self.metadata.values.get(&self.key(key)) else { return self.needed(key) };
        let size = list.get(layer).and_then(|size| usize::try_from(*size).ok());
        size.ok_or_else(|| self.metadata.refuse(format!("{} has no size of layer {layer}", self.key(key))))
    }

    /// Positions before the extension of the context.
    pub fn original_positions(&self) -> Result<f64> {
        let original = self.get("rope.scaling.original_context_length")?;
        original.map_or_else(|| self.needed("context_length"), Ok)
    }
}

/// Reads the decoder. `pairs` is how the architecture's converter lays out the lanes of a head.
///
/// # Errors
/// [`Error::UnsupportedArchitecture`] for variants that this crate does not run, [`Error::InvalidCheckpoint`].
pub fn text_config(files: &GgufFiles<'_>, pairs: RopePairs) -> Result<TextConfig> {
    let metadata = files.text;
    let keys = Keys::of(metadata)?;
    let hidden_size: usize = keys.needed("embedding_length")?;
    let layers: usize = keys.needed("block_count")?;
    // Before the whole configuration is checked, so that no file can ask for a list of any length.
    if layers > MAX_LAYERS {
        return Err(keys.unsupported(format!("{} is {layers}", keys.key("block_count"))));
    }
    let heads = keys.needed("attention.head_count")?;
    let Some(head_dim) = keys.get("attention.key_length")?.or(hidden_size.checked_div(heads)) else {
        return Err(metadata.refuse(format!("{} is 0", keys.key("attention.head_count"))));
    };
    for (key, only) in [("attention.value_length", head_dim), ("rope.dimension_count", pairs.lanes(head_dim))] {
        if let Some(size) = keys.get(key)?.filter(|&size: &usize| size != only) {
            return Err(keys.unsupported(format!("{} is {size} in heads of {head_dim}", keys.key(key))));
        }
    }
    let context = keys.needed("context_length")?;
    refuse_variants(&keys, context)?;
    let eps: f64 = keys.needed("attention.layer_norm_rms_epsilon")?;
    Ok(TextConfig {
        vocab_size: files.vocab_size,
        hidden_size,
        intermediate_size: keys.needed("feed_forward_length")?,
        layers: vec![LayerKind::FullAttention; layers],
        num_attention_heads: heads,
        num_key_value_heads: keys.get("attention.head_count_kv")?.unwrap_or(heads),
        head_dim,
        rms_norm_eps: eps as f32,
        tie_word_embeddings: files.is_tied(),
        max_position_embeddings: context,
        rope: rope(&keys, pairs)?,
        ..TextConfig::default()
    })
}

/// Refuses variants of the network that use the same keys.
fn refuse_variants(keys: &Keys<'_>, context: usize) -> Result<()> {
    if let Some(window) = keys.get("attention.sliding_window")?.filter(|window| (1..context).contains(window)) {
        return Err(keys.unsupported(format!("attention.sliding_window is {window} in a context of {context}")));
    }
    match keys.get::<usize>("expert_count")? {
        None | Some(0) => Ok(()),
        Some(experts) => Err(keys.unsupported(format!("expert_count is {experts}"))),
    }
}

fn rope(keys: &Keys<'_>, pairs: RopePairs) -> Result<RopeConfig> {
    let theta = keys.get("rope.freq_base")?.unwrap_or(10_000.0);
    let kind = keys.get("rope.scaling.type")?;
    let factor = keys.first(&["rope.scaling.factor", "rope.scale_linear"])?;
    let yarn = match (kind, factor) {
        (Some("none"), _) => None,
        (Some("linear") | None, factor) if factor.is_none_or(|factor| factor == 1.0) => None,
        (Some("yarn"), factor) => Some(yarn(keys, factor.map_or_else(|| keys.needed("rope.scaling.factor"), Ok)?)?),
        (kind, _) => {
            let reason = format!("{} is {:?}", keys.key("rope.scaling.type"), kind.unwrap_or("linear"));
            return Err(keys.unsupported(reason));
        }
    };
    Ok(RopeConfig { yarn, ..RopeConfig::plain(theta, pairs) })
}

fn yarn(keys: &Keys<'_>, factor: f64) -> Result<YarnConfig> {
    let non_zero = |names: &[&str]| keys.first(names).map(|number| number.filter(|x: &f64| *x != 0.0));
    // llama.cpp (`llama-context.cpp`): the multiplier is `mscale_all_dim`, beside an `mscale` of 1; without it the paper's scale.
    let all_dim = non_zero(&["rope.scaling.yarn_log_multiplier", "rope.scaling.mscale_all_dim"])?;
    let mscale = non_zero(&["rope.scaling.mscale"])?.unwrap_or(1.0);
    let more = keys.first(&["rope.scaling.yarn_attn_factor", "rope.scaling.attn_factor"])?.unwrap_or(1.0);
    Ok(YarnConfig {
        factor,
        original_max_position_embeddings: keys.original_positions()?,
        beta_fast: non_zero(&["rope.scaling.yarn_beta_fast", "rope.scaling.beta_fast"])?.unwrap_or(32.0),
        beta_slow: non_zero(&["rope.scaling.yarn_beta_slow", "rope.scaling.beta_slow"])?.unwrap_or(1.0),
        attention_factor: YarnConfig::scale(factor, Some(mscale), all_dim) * more,
        truncate: true,
    })
}
