//! GGUF files of Gemma 4, as llama.cpp's converters write them.

use super::config::{Config, Sizes, VisionConfig, proportional};
use crate::checkpoint::gguf::decoder::Keys;
use crate::checkpoint::gguf::files::GgufFiles;
use crate::config::{KvHeads, LayerKind, MAX_LAYERS, Values};
use crate::error::Result;
use crate::families::config::ModelConfig;
use crate::families::readers::GgufReader;

pub(super) const READER: GgufReader =
    GgufReader { architectures: &["gemma4"], pre_tokenizers: &[], projector: None, read };

fn read(files: &GgufFiles<'_>) -> Result<ModelConfig> {
    let keys = Keys::of(files.text)?;
    let text = sizes(files, &keys)?.text();
    let vision = files.vision.map(|metadata| vision_config(files, &Keys::of(metadata)?)).transpose()?;
    Ok(ModelConfig::Gemma4(Config { text, vision }))
}

/// Reads the tower from the metadata of the vision file. The picture tokens are in the text file.
fn vision_config(files: &GgufFiles<'_>, keys: &Keys<'_>) -> Result<VisionConfig> {
    let projector: &str = keys.first(&["vision.projector_type", "projector_type"])?.unwrap_or_default();
    if projector != "gemma4v" {
        return Err(keys.unsupported(format!("the projector is {projector:?}, only \"gemma4v\" is supported")));
    }
    if (files.has)("v.std_bias") {
        return Err(keys.unsupported("rows of features are standardised"));
    }
    let (hidden_size, heads) = (keys.needed("vision.embedding_length")?, keys.needed("vision.attention.head_count")?);
    let head_dim = usize::checked_div(hidden_size, heads).unwrap_or(0);
    Ok(VisionConfig {
        hidden_size,
        intermediate_size: keys.needed("vision.feed_forward_length")?,
        num_hidden_layers: keys.needed("vision.block_count")?,
        num_attention_heads: heads,
        head_dim,
        patch_size: keys.needed("vision.patch_size")?,
        pooling: keys.get("vision.projector.scale_factor")?.unwrap_or(3),
        max_soft_tokens: 280,
        position_embedding_size: (files.rows)("v.position_embd.weight").unwrap_or(0),
        clips: (files.has)("v.blk.0.attn_q.input_min"),
        rms_norm_eps: 1e-6,
        rope_theta: 100.0,
        image_token_id: files.token("<|image|>")?,
        begin_token_id: files.token("<|image>")?,
        end_token_id: files.token("<image|>")?,
    })
}

fn sizes(files: &GgufFiles<'_>, keys: &Keys<'_>) -> Result<Sizes> {
    let count: usize = keys.needed("block_count")?;
    // Before the whole configuration is checked, so that no file can ask for a list of any length.
    if count > MAX_LAYERS {
        return Err(keys.unsupported(format!("block_count is {count}")));
    }
    let layers = layer_kinds(keys, count)?;
    let shared_kv_layers = keys.get("attention.shared_kv_layers")?.unwrap_or(0);
    let (first_full, first_sliding) =
        (kind_at(&layers, LayerKind::FullAttention), kind_at(&layers, LayerKind::SlidingAttention));
    let heads = |layer: usize| keys.of_layer("attention.head_count_kv", layer);
    let ffn = |layer: usize| keys.of_layer("feed_forward_length", layer);
    let (own, shared) = (ffn(0)?, ffn(count.saturating_sub(1))?);
    let full_dim: usize = keys.needed("attention.key_length")?;
    let has_values = (files.has)(&format!("blk.{first_full}.attn_v.weight"));
    let eps: f64 = keys.needed("attention.layer_norm_rms_epsilon")?;
    let per_layer_inputs = keys.get("embedding_length_per_layer_input")?.filter(|&width: &usize| width > 0);
    let cap: Option<f64> = keys.get("final_logit_softcapping")?;
    Ok(Sizes {
        vocab_size: files.vocab_size,
        hidden_size: keys.needed("embedding_length")?,
        intermediate_size: own,
        shared_intermediate_size: (shared != own && shared_kv_layers > 0).then_some(shared),
        num_attention_heads: keys.needed("attention.head_count")?,
        sliding: KvHeads { count: heads(first_sliding)?, dim: keys.needed("attention.key_length_swa")? },
        full: KvHeads { count: heads(first_full)?, dim: full_dim },
        sliding_window: keys.needed("attention.sliding_window")?,
        shared_kv_layers,
        per_layer_inputs,
        values: if has_values { Values::Normed } else { Values::KeysInFullLayers },
        rms_norm_eps: eps as f32,
        final_logit_softcapping: cap.map(|cap| cap as f32),
        max_position_embeddings: keys.needed("context_length")?,
        theta: keys.get("rope.freq_base")?.unwrap_or(1e6),
        sliding_theta: keys.get("rope.freq_base_swa")?.unwrap_or(1e4),
        divisors: files.rope_divisors.clone().unwrap_or_else(|| proportional(full_dim.min(1 << 12), 1.0)),
        layers,
    })
}

fn kind_at(layers: &[LayerKind], kind: LayerKind) -> usize {
    layers.iter().position(|of| *of == kind).unwrap_or(0)
}

/// The kinds of the layers. The pattern lists the sliding ones; the last layer is always full.
fn layer_kinds(keys: &Keys<'_>, count: usize) -> Result<Vec<LayerKind>> {
    let pattern: &[i64] = keys.needed("attention.sliding_window_pattern")?;
    if pattern.len() != count {
        return Err(keys.unsupported("attention.sliding_window_pattern does not have one entry for each layer"));
    }
    let kind = |(layer, &slides): (usize, &i64)| match slides != 0 && layer + 1 < count {
        true => LayerKind::SlidingAttention,
        false => LayerKind::FullAttention,
    };
    Ok(pattern.iter().enumerate().map(kind).collect())
}
