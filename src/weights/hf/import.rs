//! A checkpoint to a package, tensor by tensor.

use std::ops::ControlFlow;

use super::fp8::Scales;
use super::settings::read_settings;
use crate::error::{Error, Result};
use crate::families::{Role, TensorSpec, definition};
use crate::weights::checkpoint::Fingerprint;
use crate::weights::convert::{Meter, Numbers, Progress, convert};
use crate::weights::layout::Layout;
use crate::weights::layouts::Layouts;
use crate::weights::manifest::Manifest;
use crate::weights::safetensors::{Checkpoint, TensorRef};
use crate::weights::source::{ByteSource, FileSet};
use crate::weights::writer::{PackageInfo, PackageSink, PackageWriter};

/// Options of an import.
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

/// Turns the checkpoint in `files` into a package in `writer`, some megabytes at a time, reading each file from front to back.
/// `progress` is called every few megabytes and may stop the work, which goes on from there if `writer`'s sink keeps checkpoints.
///
/// # Errors
/// [`Error::UnsupportedArchitecture`], [`Error::InvalidCheckpoint`], [`Error::Tokenizer`], [`Error::Io`]; [`Error::Aborted`]
/// if `progress` breaks.
pub async fn import<F: FileSet, K: PackageSink>(
    files: &F,
    mut writer: PackageWriter<K>,
    options: ImportOptions,
    progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Manifest> {
    let mut settings = read_settings(files).await?;
    let checkpoint = Checkpoint::open(files).await?;
    let mut fingerprint = Fingerprint::new("hf");
    fingerprint.add((&settings, &options));
    checkpoint.add_to(&mut fingerprint);
    writer.resume(fingerprint.finish()).await?;
    if settings.config.text().tie_word_embeddings {
        settings.config.text_mut().tie_word_embeddings = false;
        let untied = definition(&settings.config);
        let find = |role| {
            let spec = untied.tensors().find(|spec| spec.role == role && spec.is_matrix())?;
            look_up(&checkpoint, &spec)
        };
        let tied = is_tied(find(Role::Head), find(Role::Embedding), &mut writer).await?;
        settings.config.text_mut().tie_word_embeddings = tied;
    }
    let first_projection =
        definition(&settings.config).tensors().find(|spec| spec.role == Role::Layer(0) && spec.is_matrix());
    let first_projection = first_projection.map(|spec| spec.name);
    let mut pieces = Vec::new();
    for spec in definition(&settings.config).tensors() {
        pieces.push((find(&checkpoint, &spec)?, spec));
    }
    pieces.sort_by(|(a, _), (b, _)| a.place().cmp(&b.place()));
    let scales = Scales::read(&checkpoint, pieces.iter().map(|(tensor, _)| tensor)).await?;

    let mut meter = Meter::new(progress, pieces.iter().map(|(tensor, spec)| (spec.len(), tensor.bytes())));
    let mut quantization = Layout::F32;
    for (index, (tensor, spec)) in pieces.into_iter().enumerate() {
        let tensor = scales.scaled(tensor);
        let (len, bytes, layout) = (spec.len(), tensor.bytes(), options.layouts.of(&spec, tensor.held()));
        if Some(&spec.name) == first_projection.as_ref() {
            quantization = layout;
        }
        if index < writer.complete() {
            meter.skip(len, bytes);
            continue;
        }
        convert(&tensor, &spec, layout, &mut writer, meter.of_tensor(len, bytes)).await?;
    }
    let ImportOptions { name, license, source, .. } = options;
    let (config, chat) = (settings.config, settings.chat);
    let info = PackageInfo { name, license, source, quantization, config, chat };
    writer.finish(info, settings.tokenizer).await
}

fn look_up<'a, S: ByteSource>(checkpoint: &'a Checkpoint<S>, spec: &TensorSpec) -> Option<TensorRef<'a, S>> {
    spec.hf.iter().find_map(|name| checkpoint.tensor(name))
}

/// The checkpoint's tensor, of the right shape and of a number format that can be read.
fn find<'a, S: ByteSource>(checkpoint: &'a Checkpoint<S>, spec: &TensorSpec) -> Result<TensorRef<'a, S>> {
    let Some(tensor) = look_up(checkpoint, spec) else {
        let name = spec.hf.first().unwrap_or(&spec.name);
        return Err(Error::checkpoint(&checkpoint.listed_in, name, "is missing"));
    };
    let shape = &tensor.info.shape;
    if !spec.fits(shape) {
        return Err(tensor.error(format!("has shape {shape:?}, the configuration asks for {:?}", spec.shape)));
    }
    tensor.element_bytes()?;
    Ok(tensor)
}

/// Whether a model that claims to be tied is: as in `transformers`, a head of its own that differs from the embedding counts.
/// That takes reading both, once: the answer is part of the checkpoint.
async fn is_tied<S: ByteSource, K: PackageSink>(
    head: Option<TensorRef<'_, S>>,
    embedding: Option<TensorRef<'_, S>>,
    writer: &mut PackageWriter<K>,
) -> Result<bool> {
    let (Some(head), Some(embedding)) = (head, embedding) else { return Ok(true) };
    if let Some(tied) = writer.tied_head() {
        return Ok(tied);
    }
    let same_kind = head.info.dtype == embedding.info.dtype && head.info.shape == embedding.info.shape;
    let tied = same_kind && same_bytes(&head, &embedding).await?;
    writer.set_tied_head(tied).await?;
    Ok(tied)
}

async fn same_bytes<S: ByteSource>(a: &TensorRef<'_, S>, b: &TensorRef<'_, S>) -> Result<bool> {
    for start in (0..a.bytes()).step_by(4 << 20) {
        let range = start..a.bytes().min(start + (4 << 20));
        if a.read_bytes(range.clone()).await? != b.read_bytes(range).await? {
            return Ok(false);
        }
    }
    Ok(true)
}
