//! The scales of 8-bit floats: the released Instruct checkpoints hold their projections as `F8_E4M3` with one scale each.

use std::ops::Range;

use safetensors::Dtype;

use crate::error::{Error, Result};
use crate::weights::convert::Numbers;
use crate::weights::layout::Layout;
use crate::weights::safetensors::{Checkpoint, TensorRef};
use crate::weights::source::ByteSource;

/// A tensor and what its numbers are multiplied by.
pub(super) struct Scaled<'a, S> {
    tensor: TensorRef<'a, S>,
    scale: Option<f32>,
}

impl<'a, S: ByteSource> Scaled<'a, S> {
    /// Reads the scale that belongs to a tensor of 8-bit floats. It is called `weight_scale_inv`, yet it multiplies
    /// (`transformers` and vLLM alike). The scale of activations beside it is for 8-bit arithmetic, which is not done here.
    pub(super) async fn new(checkpoint: &'a Checkpoint<S>, tensor: TensorRef<'a, S>) -> Result<Self> {
        if tensor.info.dtype != Dtype::F8_E4M3 {
            return Ok(Self { tensor, scale: None });
        }
        let name = format!("{}_scale_inv", tensor.name);
        let Some(scale) = checkpoint.tensor(&name) else {
            return Err(tensor.error(format!("is stored as F8_E4M3, but its scale {name} is missing")));
        };
        if !matches!(scale.info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
            || scale.info.shape.iter().any(|&n| n != 1)
        {
            let reason =
                format!("is {} of shape {:?}; only one float can scale a tensor", scale.info.dtype, scale.info.shape);
            return Err(scale.error(reason));
        }
        let value = scale.read(0..1).await?.first().copied().filter(|value| value.is_finite());
        let value = value.ok_or_else(|| scale.error("is not a finite number"))?;
        Ok(Self { tensor, scale: Some(value) })
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
