//! Tower and projector from the keys of an `mmproj` file.

use super::config::VisionConfig;
use crate::config::{Activation, RopePairs};
use crate::error::{Error, Result};
use crate::weights::gguf::files::GgufFiles;
use crate::weights::gguf::metadata::Metadata;

/// Base of the tower's rope: no key holds it, llama.cpp and the models' own code have it as a constant.
const ROPE_THETA: f64 = 10_000.0;

/// Reads the tower from `metadata`, of the vision half. The text model knows the picture tokens.
pub(super) fn vision_config(files: &GgufFiles<'_>, metadata: &Metadata) -> Result<VisionConfig> {
    let unsupported = |reason: String| Error::UnsupportedArchitecture {
        file: metadata.file.clone(),
        architecture: "clip".into(),
        reason,
    };
    let projector = match metadata.text("clip.projector_type")? {
        Some(projector) => projector,
        None => metadata.text("clip.vision.projector_type")?.unwrap_or_default(),
    };
    if projector != "pixtral" {
        return Err(unsupported(format!("the projector is {projector:?}, only \"pixtral\" is supported")));
    }
    let flag = |key: &str| metadata.flag(key).map(|flag| flag.unwrap_or(false));
    let hidden_act = match (flag("clip.use_silu")?, flag("clip.use_gelu")?) {
        (true, false) => Activation::Silu,
        (false, true) => Activation::Gelu,
        _ => return Err(unsupported("neither clip.use_silu nor clip.use_gelu alone is true".into())),
    };
    let needed = |key: &str| metadata.needed(&format!("clip.vision.{key}"));
    let (hidden_size, heads) = (needed("embedding_length")?, needed("attention.head_count")?);
    let head_dim = hidden_size.checked_div(heads).filter(|head_dim| head_dim * heads == hidden_size);
    let triple = |key: &str| match metadata.triple(&format!("clip.vision.{key}"))? {
        Some(three) => Ok(three),
        None => Err(metadata.refuse(format!("clip.vision.{key} is missing"))),
    };
    let eps = metadata.number("clip.vision.attention.layer_norm_epsilon")?.unwrap_or(1e-5);
    Ok(VisionConfig {
        hidden_size,
        intermediate_size: needed("feed_forward_length")?,
        num_hidden_layers: needed("block_count")?,
        num_attention_heads: heads,
        head_dim: head_dim.ok_or_else(|| unsupported(format!("{heads} heads do not divide {hidden_size}")))?,
        hidden_act,
        num_channels: 3,
        patch_size: needed("patch_size")?,
        image_size: needed("image_size")?,
        rope_theta: ROPE_THETA,
        rope_pairs: RopePairs::Interleaved,
        rms_norm_eps: eps as f32,
        // Absent in files of Pixtral 12B, which merges nothing.
        spatial_merge_size: metadata.size("clip.vision.spatial_merge_size")?.unwrap_or(1),
        projector_act: Activation::Gelu,
        projector_bias: (files.has)("mm.1.bias"),
        image_mean: triple("image_mean")?,
        image_std: triple("image_std")?,
        image_token_id: files.token("[IMG]")?,
        image_break_token_id: files.token("[IMG_BREAK]")?,
        image_end_token_id: files.token("[IMG_END]")?,
    })
}
