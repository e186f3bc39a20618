//! Conversion of a checkpoint to a package.

use std::ops::ControlFlow;

use ::safetensors::Dtype;

use super::scales::{read_gates, read_scales};
use super::settings::read_settings;
use crate::error::{Error, Result};
use crate::families::{Role, TensorSpec, definition};
use crate::import::convert::{ImportOptions, Piece, Progress, convert, main_layout};
use crate::import::fingerprint::Fingerprint;
use crate::import::safetensors;
use crate::import::tensors::{ElementType, TensorFiles, TensorRef};
use crate::package::manifest::Manifest;
use crate::package::source::{ByteSource, FileSet};
use crate::package::writer::{PackageSink, PackageWriter};

/// Turns the checkpoint in `files` into a package in `writer`, some megabytes at a time, reading each file from front to back.
/// `progress` is called every few megabytes and may stop the work, which resumes there later if `writer`'s sink is resumable.
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
    let (checkpoint, listed_in) = safetensors::open(files).await?;
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
    let mut pieces = Vec::new();
    for spec in definition(&settings.config).tensors() {
        let mut tensor = find(&checkpoint, &listed_in, &spec)?;
        (tensor.frames, tensor.pick, tensor.stored) = (spec.frames_of(&tensor.info.shape), spec.pick, spec.stored);
        tensor.columns = spec.columns;
        let layout = options.layouts.of(&spec, tensor.held());
        pieces.push(Piece { tensor, spec, layout });
    }
    pieces.sort_by_key(|piece| piece.tensor.place());
    let scales = read_scales(&checkpoint, pieces.iter().map(|piece| &piece.tensor)).await?;
    let gates = read_gates(&checkpoint, &listed_in, pieces.iter().map(|piece| &piece.spec)).await?;
    let factor = |Piece { tensor, spec, .. }: &Piece<'_, _>| {
        let gate = spec.gate.as_ref().and_then(|gate| Some(gate.factor(*gates.get(gate.hf.first()?)?)));
        scales.get(tensor.name).copied().unwrap_or(1.0) * gate.unwrap_or(1.0)
    };
    let factors: Vec<f32> = pieces.iter().map(factor).collect();
    pieces.iter_mut().zip(factors).for_each(|(piece, factor)| piece.tensor.scale = factor);
    convert(&pieces, &mut writer, progress).await?;
    let ImportOptions { name, license, source, .. } = options;
    let quantization = main_layout(pieces.iter().map(|piece| (&piece.spec, piece.layout)));
    let name = name.unwrap_or_else(|| "model".into());
    let draft = Manifest::draft(name, quantization, settings.config, settings.chat);
    writer.finish(Manifest { license, source, ..draft }, settings.tokenizer).await
}

fn look_up<'a, S: ByteSource>(checkpoint: &'a TensorFiles<S>, spec: &TensorSpec) -> Option<TensorRef<'a, S>> {
    spec.hf.iter().find_map(|name| checkpoint.tensor(name))
}

/// The checkpoint's tensor, of the right shape and of a number format that can be read.
fn find<'a, S: ByteSource>(
    checkpoint: &'a TensorFiles<S>,
    listed_in: &str,
    spec: &TensorSpec,
) -> Result<TensorRef<'a, S>> {
    let Some(tensor) = look_up(checkpoint, spec) else {
        return Err(Error::checkpoint(listed_in, spec.hf.first().unwrap_or(&spec.name), "is missing"));
    };
    let tensor = tensor.of_shape(spec, "the configuration asks for")?;
    match tensor.info.kind {
        ElementType::Plain(Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F8_E4M3) => Ok(tensor),
        other => Err(tensor.error(format!("is stored as {other}; only F32, F16, BF16 and F8_E4M3 can be imported"))),
    }
}

/// Returns whether the head is tied, if the configuration says so: as in `transformers`, a separate head that differs from the embedding is used.
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
    let same_kind = head.info.kind == embedding.info.kind && head.info.shape == embedding.info.shape;
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
