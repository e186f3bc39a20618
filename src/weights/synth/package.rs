//! A random package.

use std::ops::ControlFlow;

use super::deviation;
use super::random::{Palette, Random, Scales, unit_scale};
use super::tokenizer::{CONTROL, Vocabulary};
use crate::error::{Error, Result};
use crate::families::readers::ChatDefaults;
use crate::families::table::family;
use crate::families::{ModelConfig, Role, TensorSpec, definition};
use crate::weights::convert::{Progress, row_chunks};
use crate::weights::layout::{Layout, MatrixShape, PlaneKind, ROW_GROUP};
use crate::weights::layouts::Layouts;
use crate::weights::manifest::{ChatSettings, Manifest};
use crate::weights::quant::encode_rows;
use crate::weights::tokenizer_json::write_tokenizer;
use crate::weights::writer::{PackageInfo, PackageSink, PackageWriter};

/// Writes a random package of that configuration, as if made of a BF16 checkpoint. Equal arguments give equal bytes.
///
/// # Errors
/// [`Error::InvalidRequest`] for a vocabulary of a size that cannot be made up, [`Error::Io`]; [`Error::Aborted`] if `progress`
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
    let vocabulary = Vocabulary::new(config.text().vocab_size)?;
    let family = family(&config);
    let split = family.gguf.iter().flat_map(|reader| reader.pre_tokenizers).next();
    let split = split.ok_or_else(|| Error::Internal { detail: format!("{} has no pre-tokeniser", family.name) })?;
    let special = |id| (id < CONTROL).then_some(true);
    let tokenizer = write_tokenizer(&vocabulary.tokens, &vocabulary.merges, split, special)?;
    let specs: Vec<TensorSpec> = definition(&config).tensors().collect();
    let first_projection = specs.iter().position(|spec| spec.role == Role::Layer(0) && spec.is_matrix());
    let total = specs.iter().map(TensorSpec::len).sum();
    let (mut done, mut quantization) = (0, Layout::F32);
    let mut random = Random::new(seed);
    for (index, spec) in specs.iter().enumerate() {
        let layout = layouts.of(spec, Layout::F16);
        if Some(index) == first_projection {
            quantization = layout;
        }
        write_tensor(spec, layout, &mut random, &mut writer).await?;
        done += spec.len();
        if progress(Progress { done, total, ..Progress::default() }).is_break() {
            return Err(Error::Aborted);
        }
    }
    let ChatDefaults { bos, eos, pad } = family.chat;
    let chat = ChatSettings {
        template: definition(&config).chat_layouts()[0].name.into(),
        template_is_assumed: false,
        default_system_prompt: None,
        bos_token_id: bos,
        eos_token_ids: vec![eos],
        pad_token_id: pad,
    };
    let source = Some(format!("random numbers, seed {seed}"));
    let info = PackageInfo { name: name.into(), license: None, source, quantization, config, chat };
    writer.finish(info, tokenizer).await
}

async fn write_tensor<K: PackageSink>(
    spec: &TensorSpec,
    layout: Layout,
    random: &mut Random,
    writer: &mut PackageWriter<K>,
) -> Result<()> {
    writer.begin(&spec.name, &spec.shape, layout).await?;
    let mut planes = vec![Vec::new(); layout.plane_units().len()];
    let &[rows, cols] = spec.shape.as_slice() else {
        planes[0] = norm(random, spec.len() as usize);
        writer.append(&mut planes).await?;
        return writer.end().await;
    };
    let scale = deviation(spec) * unit_scale(layout);
    let filler = Filler {
        wide: Palette::f32(random, deviation(spec)),
        narrow: Palette::f16(random, deviation(spec)),
        scales: Scales::new(scale),
    };
    for chunk in row_chunks(0, rows, cols) {
        let shape = MatrixShape { rows: chunk.len(), cols };
        filler
            .fill(layout, shape, random, &mut planes)
            .map_err(|reason| Error::Internal { detail: format!("{}: {reason}", spec.name) })?;
        writer.append(&mut planes).await?;
    }
    writer.end().await
}

/// The gains of a norm, or what else is a vector: about 1. `// f32 [len]`
pub(super) fn norm(random: &mut Random, len: usize) -> Vec<u8> {
    let gains = Palette::new(random, 0.05, |x| (1.0 + x).to_le_bytes());
    let mut plane = Vec::new();
    gains.extend(random, len, &mut plane);
    plane
}

/// What the planes of a matrix are filled from.
struct Filler {
    wide: Palette<4>,
    narrow: Palette<2>,
    scales: Scales,
}

impl Filler {
    /// Appends some rows.
    fn fill(
        &self,
        layout: Layout,
        shape: MatrixShape,
        random: &mut Random,
        planes: &mut [Vec<u8>],
    ) -> std::result::Result<(), String> {
        let units = layout.plane_units();
        let whole =
            shape.rows.is_multiple_of(ROW_GROUP) && units.iter().all(|unit| shape.cols.is_multiple_of(unit.cols));
        if !whole || layout.is_k_quant() {
            // Padding has to be zeros: the slow way.
            let mut bytes = Vec::new();
            self.wide.extend(random, shape.rows * shape.cols, &mut bytes);
            let numbers: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|&x| f32::from_le_bytes(x)).collect();
            return encode_rows(layout, shape.cols, &numbers, planes).map_err(|fault| format!("{fault:?}"));
        }
        for (unit, plane) in units.iter().zip(planes) {
            let count = shape.rows * shape.cols / unit.cols;
            match (unit.kind, layout) {
                (PlaneKind::Values, Layout::F32) => self.wide.extend(random, shape.rows * shape.cols, plane),
                (PlaneKind::Values, _) => self.narrow.extend(random, shape.rows * shape.cols, plane),
                (PlaneKind::Scales, _) => {
                    plane.extend((0..count).flat_map(|_| self.scales.pick(random.next()).to_le_bytes()));
                }
                _ => {
                    plane.resize(count * unit.bytes, 0);
                    random.fill(plane);
                }
            }
        }
        Ok(())
    }
}
