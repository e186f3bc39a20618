//! Many rows times a weight matrix: [`matvec`] for each.

use super::matvec;

/// Sizes of a product and the place of its result.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Rows of `x`.
    pub m: usize,
    /// Outputs.
    pub n: usize,
    /// Inputs.
    pub k: usize,
    /// Width of a row of `y`.
    pub y_stride: usize,
    /// First column of `y` that is written.
    pub y_offset: usize,
    /// Adds to the present content of `y`.
    pub accumulate: bool,
}

/// Writes `y = x * w^T (+ bias) (+ y)`.
///
/// `x`: `// [m, k]`; `w`: `// [n, k]`, dequantised; `bias`: `// [n]`; `y`: `// [m, y_stride]`.
pub fn compute(shape: Shape, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let Shape { m, n, k, y_stride, y_offset, accumulate } = shape;
    for row in 0..m {
        let x = &x[row * k..][..k];
        let y = &mut y[row * y_stride + y_offset..][..n];
        matvec::compute(x, w, bias, accumulate, y);
    }
}
