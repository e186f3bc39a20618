//! `vision_config` of `pixtral` and the projector's fields (`configuration_pixtral.py`, `configuration_mistral3.py`), and what
//! `processor_config.json` or the older `preprocessor_config.json` say about pictures.

use serde_json::{Value, json};

use super::config::VisionConfig;
use crate::checkpoint::hf::fields::Fields;
use crate::checkpoint::hf::files::{HfFiles, TOKENIZER_FILE};
use crate::checkpoint::hf::rope::plain_theta;
use crate::config::{Activation, RopePairs};
use crate::error::{Error, Result};

const ARCHITECTURE: &str = "PixtralImageProcessor";

/// Reads tower and projector from the model's configuration, which has its defaults.
pub(super) fn vision_config(files: &HfFiles<'_>, whole: Fields<'_>) -> Result<VisionConfig> {
    let (config, processor) = (whole.object("vision_config.")?, files.processor);
    let images = files.images(ARCHITECTURE)?;
    let longest_edge = if images.is_there() { Some(longest_edge(images)?) } else { None };
    let [image_token_id, image_break_token_id, image_end_token_id] = image_tokens(files)?;
    let model_type = config.text("model_type")?.unwrap_or("pixtral");
    if model_type != "pixtral" {
        return Err(config.unsupported(model_type, "model_type", "is not pixtral"));
    }
    let defaults = json!({
        "hidden_size": 1024, "num_attention_heads": 16, "num_hidden_layers": 24, "intermediate_size": 4096,
        "num_channels": 3, "patch_size": 16, "image_size": 1024,
    });
    let config = config.or(&defaults);
    let size = |key: &str| config.needed(key, Fields::size);
    let hidden_size = size("hidden_size")?;
    let num_attention_heads = size("num_attention_heads")?;
    // `head_dim` of the configuration is ignored, as by the class.
    let Some(head_dim) = hidden_size.checked_div(num_attention_heads) else {
        return Err(config.refuse("num_attention_heads", "is 0"));
    };
    if head_dim * num_attention_heads != hidden_size {
        return Err(config.refuse("hidden_size", "is no multiple of num_attention_heads"));
    }
    let num_hidden_layers = size("num_hidden_layers")?;
    last_layer_only(whole, num_hidden_layers)?;
    let patch_size = config.needed("patch_size", Fields::side)?;
    let spatial_merge_size = whole.size("spatial_merge_size")?.unwrap_or(2);
    // Processor and model must cut pictures into the same patches.
    let here = [processor.side("patch_size")?, processor.size("spatial_merge_size")?];
    let both = ["patch_size", "spatial_merge_size"].into_iter().zip([patch_size, spatial_merge_size]);
    for ((key, model), here) in both.zip(here) {
        if let Some(here) = here.filter(|&here| here != model) {
            return Err(processor.refuse(key, &format!("is {here}, the model's is {model}")));
        }
    }
    Ok(VisionConfig {
        hidden_size,
        intermediate_size: size("intermediate_size")?,
        num_hidden_layers,
        num_attention_heads,
        head_dim,
        hidden_act: activation(config, "hidden_act")?,
        num_channels: size("num_channels")?,
        patch_size,
        image_size: longest_edge.unwrap_or(config.needed("image_size", Fields::side)?),
        rope_theta: plain_theta(config, "vision_config.rope_parameters.", model_type, &["default", "axial"])?,
        rope_pairs: RopePairs::Half,
        // Written into the tower's code, not its configuration.
        rms_norm_eps: 1e-5,
        spatial_merge_size,
        projector_act: activation(whole, "projector_hidden_act")?,
        projector_bias: whole.flag("multimodal_projector_bias")?.unwrap_or(false),
        image_mean: images.triple("image_mean")?.unwrap_or([0.481_454_66, 0.457_827_5, 0.408_210_73]),
        image_std: images.triple("image_std")?.unwrap_or([0.268_629_54, 0.261_302_6, 0.275_777_1]),
        image_token_id,
        image_break_token_id,
        image_end_token_id,
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

/// Checks that features come from the last layer.
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

/// Longest edge that pictures are scaled down to: `size`, a number or `{"longest_edge": number}`, or else 1024.
fn longest_edge(images: Fields<'_>) -> Result<usize> {
    match images.get("size") {
        Some(Value::Object(_)) => images.object("size.")?.needed("longest_edge", Fields::size),
        _ => Ok(images.size("size")?.unwrap_or(1024)),
    }
}

/// The tokens of features, of the end of a row and of the end of a picture: found by their strings and checked against the configuration.
fn image_tokens(files: &HfFiles<'_>) -> Result<[u32; 3]> {
    let added = files.added_tokens()?;
    let mut tokens = [0; 3];
    let usual = [("image_token", "[IMG]"), ("image_break_token", "[IMG_BREAK]"), ("image_end_token", "[IMG_END]")];
    for (token, (key, usual)) in tokens.iter_mut().zip(usual) {
        let content = files.processor.text(key)?.unwrap_or(usual);
        *token = *added.get(content).ok_or_else(|| Error::Tokenizer {
            reason: format!("{TOKENIZER_FILE} has no special token {content:?}, which pictures need"),
        })?;
    }
    let key = if files.config.has("image_token_id") { "image_token_id" } else { "image_token_index" };
    let claimed = files.config.id(key)?.unwrap_or(10);
    if claimed != tokens[0] {
        let image = files.processor.text("image_token")?.unwrap_or("[IMG]");
        let reason = format!("is {claimed}, but {image:?} is token {} in {TOKENIZER_FILE}", tokens[0]);
        return Err(files.config.refuse(key, &reason));
    }
    Ok(tokens)
}
