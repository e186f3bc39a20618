//! A checkpoint to a package, tensor by tensor.

use std::ops::ControlFlow;

use super::fp8::Scaled;
use super::names::candidates;
use super::settings::read_settings;
use crate::error::{Error, Result};
use crate::weights::convert::{Numbers, Progress, convert};
use crate::weights::layout::Layout;
use crate::weights::layouts::Layouts;
use crate::weights::manifest::Manifest;
use crate::weights::safetensors::{Checkpoint, TensorRef};
use crate::weights::source::{ByteSource, FileSet};
use crate::weights::tensors::{TensorSpec, model_tensors};
use crate::weights::writer::{PackageInfo, PackageSink, PackageWriter};

/// What an importer is told.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The model's name, for people.
    pub name: String,
    /// Licence of the weights.
    pub license: Option<String>,
    /// Where the weights come from.
    pub source: Option<String>,
    /// What becomes of the matrices.
    pub layouts: Layouts,
}

/// Turns the checkpoint in `files` into a package in `writer`, some megabytes at a time. `progress` is called every few
/// megabytes and may stop the work.
///
/// # Errors
/// [`Error::UnsupportedArchitecture`], [`Error::InvalidCheckpoint`], [`Error::Tokenizer`], [`Error::Io`]; [`Error::Aborted`]
/// if `progress` breaks.
pub async fn import<F: FileSet, K: PackageSink>(
    files: &F,
    mut writer: PackageWriter<K>,
    options: ImportOptions,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Manifest> {
    let mut settings = read_settings(files).await?;
    let checkpoint = Checkpoint::open(files).await?;
    if settings.config.text.tie_word_embeddings {
        settings.config.text.tie_word_embeddings = is_tied(&checkpoint).await?;
    }
    let specs: Vec<TensorSpec> = model_tensors(&settings.config).collect();
    let mut tensors = Vec::with_capacity(specs.len());
    for spec in &specs {
        tensors.push(Scaled::new(&checkpoint, find(&checkpoint, spec)?).await?);
    }
    let total = specs.iter().map(TensorSpec::len).sum();
    let mut done = 0;
    let mut quantization = Layout::F32;
    for (tensor, spec) in tensors.iter().zip(&specs) {
        let advance = |elements| {
            done += elements;
            if progress(Progress { done, total }).is_break() { Err(Error::Aborted) } else { Ok(()) }
        };
        let layout = options.layouts.of(spec, tensor.held());
        if spec.name == "layers.0.self_attn.q_proj" {
            quantization = layout;
        }
        convert(tensor, spec, layout, &mut writer, advance).await?;
    }
    let ImportOptions { name, license, source, .. } = options;
    let (config, chat) = (settings.config, settings.chat);
    let info = PackageInfo { name, license, source, quantization, config, chat };
    writer.finish(info, settings.tokenizer).await
}

fn look_up<'a, S: ByteSource>(checkpoint: &'a Checkpoint<S>, name: &str) -> Option<TensorRef<'a, S>> {
    candidates(name).iter().find_map(|name| checkpoint.tensor(name))
}

/// The checkpoint's tensor, of the right shape and of a number format that can be read. A convolution `[out, in, side, side]` counts as `[out, in * side * side]`.
fn find<'a, S: ByteSource>(checkpoint: &'a Checkpoint<S>, spec: &TensorSpec) -> Result<TensorRef<'a, S>> {
    let Some(tensor) = look_up(checkpoint, &spec.name) else {
        let name = candidates(&spec.name).swap_remove(0);
        return Err(Error::checkpoint(&checkpoint.listed_in, name, "is missing"));
    };
    let shape = &tensor.info.shape;
    let fits = match shape.as_slice() {
        [out, channels, height, width] if spec.name == "vision.patch_conv" => {
            let patch = channels.checked_mul(*height).and_then(|area| area.checked_mul(*width));
            height == width && spec.shape[0] == *out && patch == Some(spec.shape[1])
        }
        shape => *shape == spec.shape,
    };
    if !fits {
        return Err(tensor.error(format!("has shape {shape:?}, the configuration asks for {:?}", spec.shape)));
    }
    tensor.element_bytes()?;
    Ok(tensor)
}

/// Whether a model that claims to be tied is: as in `transformers`, a head of its own that differs from the embedding counts.
async fn is_tied<S: ByteSource>(checkpoint: &Checkpoint<S>) -> Result<bool> {
    let (Some(head), Some(embedding)) = (look_up(checkpoint, "lm_head"), look_up(checkpoint, "embed_tokens")) else {
        return Ok(true);
    };
    let (head_info, embedding_info) = (head.info, embedding.info);
    if head_info.dtype != embedding_info.dtype || head_info.shape != embedding_info.shape {
        return Ok(false);
    }
    let len = head_info.range.end - head_info.range.start;
    for start in (0..len).step_by(4 << 20) {
        let range = start..len.min(start + (4 << 20));
        if head.read_bytes(range.clone()).await? != embedding.read_bytes(range).await? {
            return Ok(false);
        }
    }
    Ok(true)
}
