//! Matrices over the same inputs, whose outputs lie side by side.

use crate::error::Result;
use crate::gpu::{Recording, Slice};
use crate::kernels::Linear;
use crate::weights::upload::{Weight, WeightStore};

/// One or several matrices with the same inputs; one launch where their layouts allow them to be fused.
#[derive(Debug)]
pub struct FusedLinear {
    parts: Vec<Weight>,
}

impl FusedLinear {
    /// Takes the fused matrix of this name.
    ///
    /// # Errors
    /// [`crate::Error::InvalidPackage`] if one is missing.
    pub fn new(weights: &mut WeightStore, name: &str) -> Result<Self> {
        Ok(Self { parts: weights.fused(name)? })
    }

    /// The matrices, in order of their outputs.
    pub fn weights(&self) -> &[Weight] {
        &self.parts
    }

    /// The matrix, if all are one.
    pub fn single(&self) -> Option<&Weight> {
        if let [weight] = &self.parts[..] { Some(weight) } else { None }
    }

    /// Outputs of all matrices together.
    pub fn width(&self) -> usize {
        self.parts.iter().map(|part| part.shape.rows).sum()
    }

    /// Records `y = x * w^T`. `x`: `// [m, inputs]`; `y`: `// [m, width]`.
    ///
    /// # Errors
    /// As [`Recording::dispatch`].
    pub fn record(&self, recording: &mut Recording, x: &Slice, m: usize, y: &Slice) -> Result<()> {
        let mut y_offset = 0;
        for weight in &self.parts {
            let y_stride = self.width();
            Linear { x, m, weight, bias: None, y, y_stride, y_offset, accumulate: false }.record(recording)?;
            y_offset += weight.shape.rows;
        }
        Ok(())
    }
}

/// Records `y = x * w^T`, or `y += x * w^T`. `x`: `// [m, inputs]`; `y`: `// [m, outputs]`.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn project(
    recording: &mut Recording,
    weight: &Weight,
    x: &Slice,
    m: usize,
    y: &Slice,
    accumulate: bool,
) -> Result<()> {
    let y_stride = weight.shape.rows;
    Linear { x, m, weight, bias: None, y, y_stride, y_offset: 0, accumulate }.record(recording)
}
