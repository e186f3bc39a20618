//! `config.json` of Gemma 4 (`configuration_gemma4.py`). Head widths are in two spellings: by kind of layer, or layer by layer.

use serde_json::{Value, json};

use super::chat::TOKENS;
use super::config::{Config, Sizes, VisionConfig, proportional};
use crate::checkpoint::hf::fields::Fields;
use crate::checkpoint::hf::files::{BICUBIC, HfFiles};
use crate::config::{KvHeads, LayerKind, MAX_LAYERS, Values};
use crate::error::Result;
use crate::families::config::ModelConfig;
use crate::families::readers::{ChatDefaults, HfReader};

const ARCHITECTURE: &str = "gemma4";

pub(super) const READER: HfReader = HfReader {
    architectures: &["Gemma4ForConditionalGeneration", "Gemma4ForCausalLM", "Gemma4UnifiedForConditionalGeneration"],
    model_types: &[ARCHITECTURE, "gemma4_text", "gemma4_unified"],
    read,
};

fn read(files: &HfFiles<'_>) -> Result<(ModelConfig, ChatDefaults)> {
    let whole = files.config;
    let nested = whole.object("text_config.")?;
    let decoder = if nested.is_there() { nested } else { whole };
    let text = sizes(decoder)?.text();
    // The larger models see a picture whole in layers with a window, which is not supported: they are read as text models.
    let is_causal = decoder.text("use_bidirectional_attention")? != Some("vision");
    let tower = whole.object("vision_config.")?;
    let vision = if tower.is_there() && is_causal { Some(vision_config(files, tower)?) } else { None };
    Ok((ModelConfig::Gemma4(Config { text, vision }), TOKENS))
}

fn vision_config(files: &HfFiles<'_>, tower: Fields<'_>) -> Result<VisionConfig> {
    let defaults = json!({
        "patch_size": 16, "pooling_kernel_size": 3, "position_embedding_size": 10_240, "rms_norm_eps": 1e-6,
        "default_output_length": 280,
    });
    let tower = tower.or(&defaults);
    if tower.flag("standardize")? == Some(true) {
        return Err(tower.unsupported(ARCHITECTURE, "standardize", "is true"));
    }
    // Pixels are scaled to -1..1 by the tower, so the processor does not normalise them.
    let nested = files.processor.object("image_processor.")?;
    let images = if nested.is_there() { nested } else { files.preprocessor };
    if images.size("resample")?.is_some_and(|filter| filter != BICUBIC.0) {
        return Err(images.unsupported(ARCHITECTURE, "resample", "is not 3, bicubic"));
    }
    let size = |key: &str| tower.needed(key, Fields::size);
    let (hidden_size, heads) = (size("hidden_size")?, size("num_attention_heads")?);
    let head_dim = tower.size("head_dim")?.or(hidden_size.checked_div(heads)).unwrap_or(0);
    let rope = tower.object("rope_parameters.")?;
    let id = |key: &str| files.config.needed(key, Fields::id);
    Ok(VisionConfig {
        hidden_size,
        intermediate_size: size("intermediate_size")?,
        num_hidden_layers: size("num_hidden_layers")?,
        num_attention_heads: heads,
        head_dim,
        patch_size: size("patch_size")?,
        pooling: size("pooling_kernel_size")?,
        max_soft_tokens: images.size("max_soft_tokens")?.map_or_else(|| size("default_output_length"), Ok)?,
        position_embedding_size: size("position_embedding_size")?,
        clips: tower.flag("use_clipped_linears")? == Some(true),
        rms_norm_eps: tower.needed("rms_norm_eps", Fields::number)? as f32,
        rope_theta: rope.number("rope_theta")?.unwrap_or(100.0),
        image_token_id: id("image_token_id")?,
        begin_token_id: id("boi_token_id")?,
        end_token_id: id("eoi_token_id")?,
    })
}

fn sizes(config: Fields<'_>) -> Result<Sizes> {
    let defaults = json!({
        "vocab_size": 262_144, "rms_norm_eps": 1e-6, "hidden_activation": "gelu_pytorch_tanh", "global_head_dim": 512,
        "max_position_embeddings": 131_072, "final_logit_softcapping": 30.0,
    });
    let config = config.or(&defaults);
    let unsupported = |key: &str, reason: &str| config.unsupported(ARCHITECTURE, key, reason);
    for key in ["enable_moe_block", "attention_bias"] {
        if config.flag(key)? == Some(true) {
            return Err(unsupported(key, "is true"));
        }
    }
    if config.text("hidden_activation")? != Some("gelu_pytorch_tanh") {
        return Err(unsupported("hidden_activation", "is another one than gelu_pytorch_tanh"));
    }
    let size = |key: &str| config.needed(key, Fields::size);
    // An explicit null means none.
    let optional = |key: &str| config.unless_null(key).size(key).map(|size| size.filter(|&size| size > 0));
    let layers = layer_kinds(config, size("num_hidden_layers")?)?;
    let keys_are_values = config.flag("attention_k_eq_v")? == Some(true);
    let heads = size("num_key_value_heads")?;
    let global_heads = optional("num_global_key_value_heads")?.filter(|_| keys_are_values).unwrap_or(heads);
    let of_layers = |kind: LayerKind, usual: KvHeads| heads_of(config, layers.iter().position(|of| *of == kind), usual);
    let full = of_layers(LayerKind::FullAttention, KvHeads { count: global_heads, dim: size("global_head_dim")? })?;
    let shared_kv_layers = optional("num_kv_shared_layers")?.unwrap_or(0);
    let intermediate_size = size("intermediate_size")?;
    let is_doubled = config.flag("use_double_wide_mlp")? == Some(true) && shared_kv_layers > 0;
    let ropes = config.object("rope_parameters.")?;
    let [rope, sliding_rope] = [
        Fields::new(config.file, "rope_parameters.full_attention.", ropes.get("full_attention"))?,
        Fields::new(config.file, "rope_parameters.sliding_attention.", ropes.get("sliding_attention"))?,
    ];
    for (rope, known) in [(rope, "proportional"), (sliding_rope, "default")] {
        if rope.text("rope_type")?.is_some_and(|name| name != known) {
            return Err(rope.unsupported(ARCHITECTURE, "rope_type", &format!("is not {known}")));
        }
    }
    let cap = config.unless_null("final_logit_softcapping").number("final_logit_softcapping")?;
    Ok(Sizes {
        vocab_size: size("vocab_size")?,
        hidden_size: size("hidden_size")?,
        intermediate_size,
        shared_intermediate_size: is_doubled.then(|| intermediate_size.saturating_mul(2)),
        num_attention_heads: size("num_attention_heads")?,
        sliding: of_layers(LayerKind::SlidingAttention, KvHeads { count: heads, dim: size("head_dim")? })?,
        full,
        sliding_window: size("sliding_window")?,
        shared_kv_layers,
        per_layer_inputs: optional("hidden_size_per_layer_input")?,
        values: if keys_are_values { Values::KeysInFullLayers } else { Values::Normed },
        rms_norm_eps: config.needed("rms_norm_eps", Fields::number)? as f32,
        final_logit_softcapping: cap.map(|cap| cap as f32),
        max_position_embeddings: size("max_position_embeddings")?,
        theta: rope.number("rope_theta")?.unwrap_or(1e6),
        sliding_theta: sliding_rope.number("rope_theta")?.unwrap_or(1e4),
        divisors: proportional(full.dim.min(1 << 12), rope.number("partial_rotary_factor")?.unwrap_or(1.0)),
        layers,
    })
}

/// The kinds of the layers; the last one is always full.
fn layer_kinds(config: Fields<'_>, count: usize) -> Result<Vec<LayerKind>> {
    // Before the whole configuration is checked, so that no file can ask for a list of any length.
    if count > MAX_LAYERS {
        return Err(config.unsupported(ARCHITECTURE, "num_hidden_layers", &format!("is {count}")));
    }
    let kind = |kind: &Value| match kind.as_str() {
        Some("full_attention") => Ok(LayerKind::FullAttention),
        Some("sliding_attention") => Ok(LayerKind::SlidingAttention),
        _ => Err(config.unsupported(ARCHITECTURE, "layer_types", &format!("holds {kind}"))),
    };
    let mut kinds = match config.get("layer_types").and_then(Value::as_array) {
        Some(kinds) => kinds.iter().map(kind).collect::<Result<Vec<_>>>()?,
        None => {
            let is_full = |layer: usize| (layer + 1).is_multiple_of(6);
            (0..count)
                .map(|layer| if is_full(layer) { LayerKind::FullAttention } else { LayerKind::SlidingAttention })
                .collect()
        }
    };
    if kinds.len() != count {
        return Err(config.refuse("layer_types", "does not have one entry for each layer"));
    }
    if let Some(last) = kinds.last_mut() {
        *last = LayerKind::FullAttention;
    }
    Ok(kinds)
}

/// Keys and values of a layer: its own entry of `per_layer_config`, or the usual ones.
fn heads_of(config: Fields<'_>, layer: Option<usize>, usual: KvHeads) -> Result<KvHeads> {
    let own = layer.and_then(|layer| config.get("per_layer_config")?.get(layer.to_string()));
    let own = Fields::new(config.file, "per_layer_config.", own)?;
    Ok(KvHeads {
        count: own.size("num_key_value_heads")?.unwrap_or(usual.count),
        dim: own.size("head_dim")?.unwrap_or(usual.dim),
    })
}
