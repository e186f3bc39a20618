//! Products of many rows with matrices, with their biases.

use crate::error::Result;
use crate::gpu::{Recording, Slice};
use crate::kernels::clamp::{self, RowPart};
use crate::kernels::{Linear, RowShape};
use crate::weights::{Weight, WeightStore};

/// Matrices with the same inputs, each with a bias or without; their outputs lie side by side.
#[derive(Debug)]
pub struct Affine(Vec<Part>);

/// One of them.
#[derive(Debug)]
struct Part {
    weight: Weight,
    bias: Option<Slice>,
    bounds: Option<Bounds>,
}

/// Bounds of the inputs and outputs of a product: low and high of each. `// [1]`
#[derive(Debug)]
struct Bounds {
    inputs: [Slice; 2],
    outputs: [Slice; 2],
}

impl Bounds {
    fn new(weights: &mut WeightStore, name: &str) -> Result<Self> {
        let mut bound = |kind: &str| weights.vector(&format!("{name}.{kind}"));
        Ok(Self {
            inputs: [bound("input_min")?, bound("input_max")?],
            outputs: [bound("output_min")?, bound("output_max")?],
        })
    }
}

impl From<Weight> for Part {
    fn from(weight: Weight) -> Self {
        Self { weight, bias: None, bounds: None }
    }
}

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
        Ok(Self(weights.fused(name)?.into_iter().map(Part::from).collect()))
    }

    /// Takes a matrix and a bias of another name; see [`Self::new`].
    pub fn with_bias(weights: &mut WeightStore, name: &str, bias: &str) -> Result<Self> {
        Ok(Self(vec![Part { bias: Some(weights.vector(bias)?), ..weights.matrix(name)?.into() }]))
    }

    /// Takes a matrix whose inputs and outputs are clamped; see [`Self::new`].
    pub(super) fn clipped(weights: &mut WeightStore, name: &str) -> Result<Self> {
        Ok(Self(vec![Part { bounds: Some(Bounds::new(weights, name)?), ..weights.matrix(name)?.into() }]))
    }

    /// Takes several matrices; see [`Self::new`].
    pub fn side_by_side(
        weights: &mut WeightStore,
        names: impl Iterator<Item = String>,
        of_name: impl Fn(&mut WeightStore, &str) -> Result<Self>,
    ) -> Result<Self> {
        let parts: Result<Vec<Self>> = names.map(|name| of_name(weights, &name)).collect();
        Ok(Self(parts?.into_iter().flat_map(|part| part.0).collect()))
    }

    /// Outputs of all matrices together.
    pub fn width(&self) -> usize {
        self.0.iter().map(|part| part.weight.shape.rows).sum()
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
        for Part { weight, bias, .. } in &self.0 {
            Linear { x, m, weight, bias: bias.as_ref(), y, y_stride, y_offset, accumulate }.record(recording)?;
            y_offset += weight.shape.rows;
        }
        Ok(())
    }

    /// Records `y = x * w^T + b`, with inputs and outputs clamped where they have bounds. Each product clamps its inputs in `scratch`; a single one
    /// may clamp them in place. `x`, `scratch`: `// [m, inputs]`; `y`: `// [m, width]`.
    pub(super) fn record_clipped(
        &self,
        recording: &mut Recording,
        (x, scratch): (&Slice, Option<&Slice>),
        rows: usize,
        y: &Slice,
    ) -> Result<()> {
        let (stride, mut offset) = (self.width(), 0);
        for Part { weight, bounds, .. } in &self.0 {
            let (inputs, width) = (weight.shape.cols, weight.shape.rows);
            let Some(Bounds { inputs: [low, high], outputs }) = bounds else {
                return self.record(recording, x, rows, y);
            };
            let bytes = (rows * inputs * size_of::<f32>()) as u64;
            let rows_of = |slice: &Slice| Slice { bytes, ..slice.clone() };
            let clamped = rows_of(scratch.unwrap_or(x));
            if scratch.is_some() {
                recording.copy(rows_of(x), clamped.clone());
            }
            let whole = RowPart { stride: inputs, offset: 0 };
            clamp::record(recording, RowShape { rows, width: inputs }, (&clamped, whole), [low, high])?;
            let (x, bias) = (&clamped, None);
            let product = Linear { x, m: rows, weight, bias, y, y_stride: stride, y_offset: offset, accumulate: false };
            product.record(recording)?;
            let part = RowPart { stride, offset };
            clamp::record(recording, RowShape { rows, width }, (y, part), outputs.each_ref())?;
            offset += width;
        }
        Ok(())
    }
}
