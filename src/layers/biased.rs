//! What most vision towers are made of: layer norms and matrices, all with a bias.

use crate::error::Result;
use crate::gpu::{Recording, Slice};
use crate::kernels::{Linear, RowShape, layer_norm};
use crate::weights::{Weight, WeightStore};

/// A layer norm.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Slice,
    bias: Slice,
    /// Numbers in a row, and what is added to their variance.
    sizes: (usize, f32),
}

impl LayerNorm {
    pub(crate) fn new(weights: &mut WeightStore, name: &str, sizes: (usize, f32)) -> Result<Self> {
        Ok(Self { weight: weights.vector(name)?, bias: weights.vector(&format!("{name}.bias"))?, sizes })
    }

    /// Records `y = norm(x)`. `x`, `y`: `// [rows, width]`.
    pub(crate) fn record(&self, recording: &mut Recording, rows: usize, x: &Slice, y: &Slice) -> Result<()> {
        let (width, eps) = self.sizes;
        layer_norm::record(recording, RowShape { rows, width }, eps, x, [&self.weight, &self.bias], y)
    }
}

/// A matrix with its bias.
#[derive(Debug)]
pub(crate) struct Biased {
    weight: Weight,
    bias: Slice,
}

impl Biased {
    pub(crate) fn new(weights: &mut WeightStore, name: &str) -> Result<Self> {
        Ok(Self { weight: weights.matrix(name)?, bias: weights.vector(&format!("{name}.bias"))? })
    }

    /// Outputs.
    pub(crate) fn width(&self) -> usize {
        self.weight.shape.rows
    }

    /// Records `y = x * w^T + b`, or `y += x * w^T + b`. `x`: `// [m, inputs]`; `y`: `// [m, outputs]`.
    pub(crate) fn record(
        &self,
        recording: &mut Recording,
        x: &Slice,
        m: usize,
        y: &Slice,
        accumulate: bool,
    ) -> Result<()> {
        let product = self.product(x, m, y);
        Linear { accumulate, ..product }.record(recording)
    }

    /// The product, to be recorded.
    pub(crate) fn product<'a>(&'a self, x: &'a Slice, m: usize, y: &'a Slice) -> Linear<'a> {
        let (weight, bias, y_stride) = (&self.weight, Some(&self.bias), self.width());
        Linear { x, m, weight, bias, y, y_stride, y_offset: 0, accumulate: false }
    }
}
