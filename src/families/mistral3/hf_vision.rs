//! `vision_config` of `pixtral` and the projector's fields (`configuration_pixtral.py`, `configuration_mistral3.py`).

use serde_json::{Value, json};

use super::config::VisionConfig;
use super::hf_processor::Processor;
use crate::config::{Activation, RopePairs};
use crate::error::Result;
use crate::weights::hf::fields::Fields;
use crate::weights::hf::rope::plain_theta;

/// The `vision_config` of a `mistral3` model that has none.
pub(super) fn default_vision_config() -> Value {
    json!({ "model_type": "pixtral", "patch_size": 14, "image_size": 1540 })
}

/// Ids of the three picture tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct ImageTokens {
    /// Stands for features.
    pub(super) image: u32,
    /// Ends a row.
    pub(super) row_end: u32,
    /// Ends a picture.
    pub(super) end: u32,
}

/// Reads tower and projector: `whole` is the model's configuration, `config` its `vision_config`.
pub(super) fn vision_config(
    whole: Fields<'_>,
    config: Fields<'_>,
    processor: &Processor,
    tokens: ImageTokens,
) -> Result<VisionConfig> {
    let model_type = config.text("model_type")?.unwrap_or("pixtral");
    if model_type != "pixtral" {
        return Err(config.unsupported(model_type, "model_type", "is not pixtral"));
    }
    let size = |key: &str, default: usize| config.size(key).map(|given| given.unwrap_or(default));
    let hidden_size = size("hidden_size", 1024)?;
    let num_attention_heads = size("num_attention_heads", 16)?;
    // Whatever `head_dim` says, the class overwrites it.
    let Some(head_dim) = hidden_size.checked_div(num_attention_heads) else {
        return Err(config.refuse("num_attention_heads", "is 0"));
    };
    if head_dim * num_attention_heads != hidden_size {
        return Err(config.refuse("hidden_size", "is no multiple of num_attention_heads"));
    }
    let num_hidden_layers = size("num_hidden_layers", 24)?;
    last_layer_only(whole, num_hidden_layers)?;
    let patch_size = config.side("patch_size")?.unwrap_or(16);
    let spatial_merge_size = whole.size("spatial_merge_size")?.unwrap_or(2);
    processor.check_patches(patch_size, spatial_merge_size)?;
    Ok(VisionConfig {
        hidden_size,
        intermediate_size: size("intermediate_size", 4096)?,
        num_hidden_layers,
        num_attention_heads,
        head_dim,
        hidden_act: activation(config, "hidden_act")?,
        num_channels: size("num_channels", 3)?,
        patch_size,
        image_size: processor.longest_edge.unwrap_or(config.side("image_size")?.unwrap_or(1024)),
        rope_theta: plain_theta(config, "vision_config.rope_parameters.", model_type, &["default", "axial"])?,
        rope_pairs: RopePairs::Half,
        // Written into the tower's code, not its configuration.
        rms_norm_eps: 1e-5,
        spatial_merge_size,
        projector_act: activation(whole, "projector_hidden_act")?,
        projector_bias: whole.flag("multimodal_projector_bias")?.unwrap_or(false),
        image_mean: processor.mean,
        image_std: processor.std,
        image_token_id: tokens.image,
        image_break_token_id: tokens.row_end,
        image_end_token_id: tokens.end,
    })
}

fn activation(config: Fields<'_>, key: &str) -> Result<Activation> {
    match config.text(key)?.unwrap_or("gelu") {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu" | "gelu_python" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        other => Err(config.unsupported("pixtral", key, &format!("is {other:?}"))),
    }
}

/// Features must come from the last layer, by whichever of its names.
fn last_layer_only(whole: Fields<'_>, layers: usize) -> Result<()> {
    let Some(chosen) = whole.get("vision_feature_layer") else { return Ok(()) };
    let one = match chosen {
        Value::Array(list) if list.len() == 1 => &list[0],
        other => other,
    };
    if one.as_i64() == Some(-1) || one.as_u64() == Some(layers as u64) {
        return Ok(());
    }
    Err(whole.unsupported(
        "mistral3",
        "vision_feature_layer",
        &format!("is {chosen}, only the last layer is supported"),
    ))
}
