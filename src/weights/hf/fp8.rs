//! The scales of 8-bit floats: the released Instruct checkpoints hold their projections as `F8_E4M3` with one scale each.

use std::collections::HashMap;
use std::ops::Range;

use safetensors::Dtype;

use crate::error::{Error, Result};
use crate::weights::convert::Numbers;
use crate::weights::layout::Layout;
use crate::weights::safetensors::{Checkpoint, TensorRef};
use crate::weights::source::ByteSource;

/// The farthest that two scales lie apart and are still read at once: over a network, asking costs more than some kilobytes.
const GAP: u64 = 64 << 10;
/// The most that is read at once for the sake of scales.
const MOST: u64 = 4 << 20;

/// The scales of all tensors of 8-bit floats, by the tensors' names.
pub(super) struct Scales(HashMap<String, f32>);

/// A tensor and what its numbers are multiplied by.
pub(super) struct Scaled<'a, S> {
    tensor: TensorRef<'a, S>,
    scale: Option<f32>,
}

impl Scales {
    /// Reads the scales that belong to `tensors`. They are called `weight_scale_inv`, yet they multiply (`transformers` and vLLM
    /// alike). The scale of activations beside each is for 8-bit arithmetic, which is not done here.
    pub(super) async fn read<'a, S: ByteSource + 'a>(
        checkpoint: &Checkpoint<S>,
        tensors: impl Iterator<Item = &'a TensorRef<'a, S>>,
    ) -> Result<Self> {
        let mut scales = Vec::new();
        for tensor in tensors.filter(|tensor| tensor.info.dtype == Dtype::F8_E4M3) {
            scales.push((find_scale(checkpoint, tensor)?, tensor.name));
        }
        scales.sort_by(|(a, _), (b, _)| a.place().cmp(&b.place()));
        let mut values = HashMap::new();
        let mut rest = scales.as_slice();
        while let Some((first, _)) = rest.first() {
            let (now, later) = rest.split_at(near(rest));
            let len = now.last().map_or(first.bytes(), |(last, _)| last.info.range.end - first.info.range.start);
            let bytes = first.read_on(len).await?;
            for (scale, tensor) in now {
                let start = (scale.info.range.start - first.info.range.start) as usize;
                let value = scale.numbers(&bytes[start..start + scale.bytes() as usize]).first().copied();
                let value = value.filter(|value| value.is_finite());
                values.insert((*tensor).into(), value.ok_or_else(|| scale.error("is not a finite number"))?);
            }
            rest = later;
        }
        Ok(Self(values))
    }

    /// The tensor with its scale, if it has one.
    pub(super) fn scaled<'a, S>(&self, tensor: TensorRef<'a, S>) -> Scaled<'a, S> {
        let scale = self.0.get(tensor.name).copied();
        Scaled { tensor, scale }
    }
}

/// How many of the first scales, which are in order, lie in one file and close together.
fn near<S: ByteSource>(scales: &[(TensorRef<'_, S>, &str)]) -> usize {
    let Some(((file, start), _)) = scales.first().map(|(scale, name)| (scale.place(), name)) else { return 0 };
    let apart = |pair: &[(TensorRef<'_, S>, &str)]| {
        let [(before, _), (next, _)] = pair else { return true };
        let (next_file, next_start) = next.place();
        next_file != file || next_start - before.info.range.end > GAP || next.info.range.end - start > MOST
    };
    scales.windows(2).position(apart).map_or(scales.len(), |last| last + 1)
}

fn find_scale<'a, S: ByteSource>(checkpoint: &'a Checkpoint<S>, tensor: &TensorRef<'_, S>) -> Result<TensorRef<'a, S>> {
    let name = format!("{}_scale_inv", tensor.name);
    let Some(scale) = checkpoint.tensor(&name) else {
        return Err(tensor.error(format!("is stored as F8_E4M3, but its scale {name} is missing")));
    };
    if !matches!(scale.info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) || scale.info.shape.iter().any(|&n| n != 1) {
        let reason =
            format!("is {} of shape {:?}; only one float can scale a tensor", scale.info.dtype, scale.info.shape);
        return Err(scale.error(reason));
    }
    Ok(scale)
}

impl<S: ByteSource> Scaled<'_, S> {
    /// Its length in the file.
    pub(super) fn bytes(&self) -> u64 {
        self.tensor.bytes()
    }
}

impl<S: ByteSource> Numbers for Scaled<'_, S> {
    async fn read(&self, range: Range<u64>) -> Result<Vec<f32>> {
        let mut numbers = self.tensor.read(range).await?;
        if let Some(scale) = self.scale {
            // Exact: 4 bits times the 8 of a BF16 scale.
            numbers.iter_mut().for_each(|number| *number *= scale);
        }
        Ok(numbers)
    }

    fn held(&self) -> Layout {
        if self.tensor.info.dtype == Dtype::F32 { Layout::F32 } else { Layout::F16 }
    }

    fn error(&self, reason: String) -> Error {
        self.tensor.error(reason)
    }
}
