//! A few rows times a weight matrix, with an optional norm of the inputs.

use super::gemv::{Gemv, Norm, groups};
use super::{Linear, Variant, params};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording};
use crate::weights::Weight;

/// The kernel.
pub fn kernel(gemv: &Gemv) -> Kernel {
    gemv.kernel("matvec", "", gemv.shader("matvec"), Variant::Matvec(gemv.of_text()))
}

/// Records `y = norm(x) * w^T (+ bias) (+ y)`, preferably for at most [`MAX_ROWS`](super::gemv::MAX_ROWS) rows: a launch for each part of
/// the matrix. `gemv` has one fused output.
pub fn record(recording: &mut Recording, gemv: &Gemv, linear: &Linear<'_>, norm: Option<Norm<'_>>) -> Result<()> {
    let &Linear { m, weight: Weight { shape, parts, .. }, y_stride, y_offset, .. } = linear;
    let kernel = kernel(gemv);
    parts.iter().try_for_each(|part| {
        let (n, k) = (part.rows, shape.cols);
        let params = params!(
            m,
            n,
            k4 = k / 4,
            blocks = shape.blocks(),
            tiles = groups(n),
            eps = norm.map_or(0.0, |norm| norm.eps),
            y_stride,
            y_offset = y_offset + part.first_row,
            flags = linear.flags(),
            first_row = part.first_row,
            y_layout = gemv.lane_layouts.y.word(),
        );
        let gain = norm.map(|norm| norm.weight);
        recording.dispatch(Dispatch {
            kernel: kernel.clone(),
            params,
            buffers: linear.bound().into_iter().chain(gain).chain(&part.planes).cloned().collect(),
            grid: gemv.grid(m, groups(n)),
            note: format!("m={m} n={n} k={k}"),
        })
    })
}
