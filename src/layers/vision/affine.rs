//! Products of many rows with matrices, with their biases.

use crate::error::Result;
use crate::gpu::{Recording, Slice};
use crate::kernels::Linear;
use crate::weights::{Weight, WeightStore};

/// Matrices with the same inputs, each with a bias or without; their outputs lie side by side.
#[derive(Debug)]
pub struct Affine(Vec<(Weight, Option<Slice>)>);

/// The rows that a product is written to.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// Their memory. `// [rows, stride]`
    pub y: &'a Slice,
    /// Width of a row.
    pub stride: usize,
    /// First number of the first row that is written.
    pub offset: usize,
    /// Add the product to the rows instead of overwriting them.
    pub accumulate: bool,
}

impl Affine {
    /// Takes a matrix, which may be fused if it has no bias, and the bias `NAME.bias`; [`crate::Error::InvalidPackage`] if one is missing.
    pub fn new(weights: &mut WeightStore, name: &str, biased: bool) -> Result<Self> {
        if biased {
            return Self::with_bias(weights, name, &format!("{name}.bias"));
        }
        Ok(Self(weights.fused(name)?.into_iter().map(|weight| (weight, None)).collect()))
    }

    /// Takes a matrix and a bias of another name; see [`Self::new`].
    pub fn with_bias(weights: &mut WeightStore, name: &str, bias: &str) -> Result<Self> {
        Ok(Self(vec![(weights.matrix(name)?, Some(weights.vector(bias)?))]))
    }

    /// Takes several matrices; see [`Self::new`].
    pub(super) fn side_by_side(
        weights: &mut WeightStore,
        names: impl Iterator<Item = String>,
        biased: bool,
    ) -> Result<Self> {
        let parts: Result<Vec<Self>> = names.map(|name| Self::new(weights, &name, biased)).collect();
        Ok(Self(parts?.into_iter().flat_map(|part| part.0).collect()))
    }

    /// Outputs of all matrices together.
    pub fn width(&self) -> usize {
        self.0.iter().map(|(weight, _)| weight.shape.rows).sum()
    }

    /// Records `y = x * w^T + b`. `x`: `// [m, inputs]`; `y`: `// [m, width]`.
    pub fn record(&self, recording: &mut Recording, x: &Slice, m: usize, y: &Slice) -> Result<()> {
        self.record_into(recording, x, m, Output { y, stride: self.width(), offset: 0, accumulate: false })
    }

    /// Records `y += x * w^T + b`. `x`: `// [m, inputs]`; `y`: `// [m, width]`.
    pub fn add(&self, recording: &mut Recording, x: &Slice, m: usize, y: &Slice) -> Result<()> {
        self.record_into(recording, x, m, Output { y, stride: self.width(), offset: 0, accumulate: true })
    }

    /// Records the product into some columns of rows. `x`: `// [m, inputs]`.
    pub fn record_into(&self, recording: &mut Recording, x: &Slice, m: usize, output: Output<'_>) -> Result<()> {
        let Output { y, stride: y_stride, offset: mut y_offset, accumulate } = output;
        for (weight, bias) in &self.0 {
            Linear { x, m, weight, bias: bias.as_ref(), y, y_stride, y_offset, accumulate }.record(recording)?;
            y_offset += weight.shape.rows;
        }
        Ok(())
    }
}
