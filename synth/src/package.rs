//! Packages with random weights.

use std::ops::ControlFlow;

use half::f16;
use ocelli::families::readers::ChatDefaults;
use ocelli::families::table::readers_of;
use ocelli::families::{ModelConfig, TensorSpec, definition};
use ocelli::import::layouts::Layouts;
use ocelli::import::tokenizer_json::write_tokenizer;
use ocelli::import::{Progress, main_layout, row_chunks};
use ocelli::layout::quant::encode_rows;
use ocelli::layout::{Layout, PlaneKind, ROW_GROUP};
use ocelli::package::manifest::{ChatSettings, Manifest};
use ocelli::package::writer::{PackageSink, PackageWriter};
use ocelli::{Error, Result};

use crate::deviation;
use crate::random::{Palette, Random, Scales};
use crate::tokenizer::{BYTE_TOKENS, CONTROL, Vocabulary, chat_tokens};

/// Writes a random package of that configuration, as if converted from a BF16 checkpoint. Equal arguments give equal bytes.
///
/// # Errors
/// [`Error::InvalidRequest`] for a vocabulary size that cannot be generated, [`Error::Io`]; [`Error::Aborted`] if `progress`
/// breaks.
pub async fn package<K: PackageSink>(
    name: &str,
    config: ModelConfig,
    layouts: Layouts,
    seed: u64,
    mut writer: PackageWriter<K>,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Manifest> {
    config.validate(name)?;
    let family = definition(&config).family();
    let vocabulary = Vocabulary::new(config.text().vocab_size, &family.chat_layouts[0].control_tokens())?;
    let gguf = readers_of(family).and_then(|readers| readers.gguf.as_ref());
    let split = gguf.iter().flat_map(|reader| reader.pre_tokenizers).chain(family.pre_tokenizer).next();
    // Vocabularies of families without one are of characters.
    let vocabulary = if split.is_some() { vocabulary } else { vocabulary.of_characters() };
    let is_control = |id| id < CONTROL && (split.is_some() || !BYTE_TOKENS.contains(&id));
    let special = |id| is_control(id).then_some(true);
    let tokenizer = write_tokenizer(&vocabulary.tokens, &vocabulary.merges, split, special)?;
    let specs: Vec<TensorSpec> = definition(&config).tensors().collect();
    let layout = |spec: &TensorSpec| layouts.of(spec, Layout::F16);
    let quantization = main_layout(specs.iter().map(|spec| (spec, layout(spec))));
    let (mut done, total) = (0, specs.iter().map(TensorSpec::len).sum());
    let mut random = Random::new(seed);
    for spec in &specs {
        write_tensor(spec, layout(spec), &mut random, &mut writer).await?;
        done += spec.len();
        if progress(Progress { done, total, ..Progress::default() }).is_break() {
            return Err(Error::Aborted);
        }
    }
    let ChatDefaults { bos, eos, pad, sampling, .. } = chat_tokens(family, config.text().vocab_size);
    let chat = ChatSettings {
        template: family.chat_layouts[0].name.into(),
        template_is_assumed: false,
        default_system_prompt: None,
        bos_token_id: bos,
        eos_token_ids: vec![eos],
        pad_token_id: pad,
        sampling: sampling.unwrap_or_default(),
        embedding: definition(&config).embedding().filter(|_| name.contains("embedding")),
    };
    let source = Some(format!("random numbers, seed {seed}"));
    let draft = Manifest::draft(name.into(), quantization, config, chat);
    writer.finish(Manifest { source, ..draft }, tokenizer).await
}

async fn write_tensor<K: PackageSink>(
    spec: &TensorSpec,
    layout: Layout,
    random: &mut Random,
    writer: &mut PackageWriter<K>,
) -> Result<()> {
    writer.begin(&spec.name, &spec.shape, layout).await?;
    let units = layout.plane_units();
    let mut planes = vec![Vec::new(); units.len()];
    let &[rows, cols] = spec.shape.as_slice() else {
        Palette::of_vector(spec, random).extend(random, spec.len() as usize, &mut planes[0]);
        writer.append(&mut planes).await?;
        return writer.end().await;
    };
    let wide = Palette::new(random, deviation(spec), f32::to_le_bytes);
    let narrow = Palette::new(random, deviation(spec), |x| f16::from_f32(x).to_le_bytes());
    let scales = Scales::new(layout, deviation(spec));
    for chunk in row_chunks(0, rows, cols) {
        let count = chunk.len() * cols;
        let whole = chunk.len().is_multiple_of(ROW_GROUP) && units.iter().all(|unit| cols.is_multiple_of(unit.cols));
        if !whole || layout.is_k_quant() {
            // Padding must be zeros, so the numbers are encoded.
            let mut bytes = Vec::new();
            wide.extend(random, count, &mut bytes);
            let numbers: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|&x| f32::from_le_bytes(x)).collect();
            encode_rows(layout, cols, &numbers, &mut planes)
                .map_err(|fault| Error::Internal { detail: format!("{}: {fault:?}", spec.name) })?;
        } else {
            for (unit, plane) in units.iter().zip(&mut planes) {
                match unit.kind {
                    PlaneKind::Values if layout == Layout::F32 => wide.extend(random, count, plane),
                    PlaneKind::Values => narrow.extend(random, count, plane),
                    PlaneKind::Scales => {
                        plane.extend((0..count / unit.cols).flat_map(|_| scales.pick(random.next()).to_le_bytes()));
                    }
                    _ => {
                        plane.resize(count / unit.cols * unit.bytes, 0);
                        random.fill(plane);
                    }
                }
            }
        }
        writer.append(&mut planes).await?;
    }
    writer.end().await
}
