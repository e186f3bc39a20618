//! GGUF files of Mistral3 models, as llama.cpp's converters and Ollama write them.

use super::config::{Config, VisionConfig};
use crate::checkpoint::gguf::decoder::{Keys, text_config};
use crate::checkpoint::gguf::files::GgufFiles;
use crate::checkpoint::gguf::metadata::Metadata;
use crate::config::{Activation, QueryScaling, RopePairs};
use crate::error::Result;
use crate::families::config::ModelConfig;
use crate::families::readers::{GgufReader, PreTokenizer};

/// Files of models without query scaling have architecture `llama`; the pre-tokenizer tells them from Llama's own. Files converted from Hugging
/// Face checkpoints name the pre-tokenizer `pixtral`, for which llama.cpp uses Llama 3's pattern; the models were trained with Tekken's.
pub(super) const READER: GgufReader = GgufReader {
    architectures: &["mistral3", "llama"],
    pre_tokenizers: &[PreTokenizer { names: &["tekken", "pixtral"], pattern: TEKKEN, nfc: false, ignore_merges: true }],
    projector: None,
    read,
};

/// The pattern that the models were trained with. Vocabularies saved by older converters have Llama 3's, so this one always replaces that of a
/// file, as `fix_mistral_regex` of Hugging Face `transformers` does.
pub(super) const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

fn read(files: &GgufFiles<'_>) -> Result<ModelConfig> {
    let keys = Keys::of(files.text)?;
    let mut text = text_config(files, RopePairs::Interleaved)?;
    let beta = keys.first(&["attention.temperature_scale", "rope.scaling_beta"])?.filter(|beta| *beta != 0.0);
    let original = keys.original_positions()?;
    text.query_scaling = beta.map(|beta| QueryScaling { beta, original_max_position_embeddings: original });
    let vision = files.vision.map(|metadata| vision_config(files, metadata)).transpose()?;
    Ok(ModelConfig::Mistral3(Config { text, vision }))
}

/// Base of the tower's rope: no key holds it, llama.cpp and the models' own code have it as a constant.
const ROPE_THETA: f64 = 10_000.0;

/// Reads the tower from the metadata of the vision file. The picture tokens are in the text file.
fn vision_config(files: &GgufFiles<'_>, metadata: &Metadata) -> Result<VisionConfig> {
    let keys = Keys::of(metadata)?;
    let projector: &str = keys.first(&["projector_type", "vision.projector_type"])?.unwrap_or_default();
    if projector != "pixtral" {
        return Err(keys.unsupported(format!("the projector is {projector:?}, only \"pixtral\" is supported")));
    }
    let hidden_act = match [keys.get("use_silu")?, keys.get("use_gelu")?].map(Option::unwrap_or_default) {
        [true, false] => Activation::Silu,
        [false, true] => Activation::Gelu,
        _ => return Err(keys.unsupported("neither clip.use_silu nor clip.use_gelu alone is true")),
    };
    let (hidden_size, heads): (usize, usize) =
        (keys.needed("vision.embedding_length")?, keys.needed("vision.attention.head_count")?);
    let head_dim = hidden_size.checked_div(heads).filter(|head_dim| head_dim * heads == hidden_size);
    let eps: f64 = keys.get("vision.attention.layer_norm_epsilon")?.unwrap_or(1e-5);
    Ok(VisionConfig {
        hidden_size,
        intermediate_size: keys.needed("vision.feed_forward_length")?,
        num_hidden_layers: keys.needed("vision.block_count")?,
        num_attention_heads: heads,
        head_dim: head_dim.ok_or_else(|| keys.unsupported(format!("{heads} heads do not divide {hidden_size}")))?,
        hidden_act,
        num_channels: 3,
        patch_size: keys.needed("vision.patch_size")?,
        image_size: keys.needed("vision.image_size")?,
        rope_theta: ROPE_THETA,
        rope_pairs: RopePairs::Interleaved,
        rms_norm_eps: eps as f32,
        // Absent in files of Pixtral 12B, which merges nothing.
        spatial_merge_size: keys.get("vision.spatial_merge_size")?.unwrap_or(1),
        projector_act: Activation::Gelu,
        projector_bias: (files.has)("mm.1.bias"),
        image_mean: keys.needed("vision.image_mean")?,
        image_std: keys.needed("vision.image_std")?,
        image_token_id: files.token("[IMG]")?,
        image_break_token_id: files.token("[IMG_BREAK]")?,
        image_end_token_id: files.token("[IMG_END]")?,
    })
}
