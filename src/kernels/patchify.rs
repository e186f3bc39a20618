//! A picture cut into patches: one row of normalised pixels for each.

use std::ops::Range;

use super::{linear_grid, params, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};
pub use crate::reference::patchify::Patches;

/// The kernel.
pub fn kernel() -> Kernel {
    plain("patchify")
}

/// Records the patches `range`. `pixels`: `// [height, width]`, an RGBX pixel in each word; `rows`: `// [range, 3 * side * side]`.
pub fn record(
    recording: &mut Recording,
    patches: &Patches,
    range: Range<usize>,
    pixels: &Slice,
    rows: &Slice,
) -> Result<()> {
    let (mean, std) = (patches.mean.map(f64::from), patches.std.map(f64::from));
    let four = |number: &dyn Fn(usize) -> f64| [number(0) as f32, number(1) as f32, number(2) as f32, 0.0];
    let params = params!(
        patches = range.len(),
        columns = patches.columns(),
        side = patches.side,
        width = patches.width,
        scale = four(&|c| 1.0 / (255.0 * std[c])),
        shift = four(&|c| -mean[c] / std[c]),
        first = range.start,
        merge = patches.merge,
    );
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params,
        buffers: vec![pixels.clone(), rows.clone()],
        grid: linear_grid(range.len() * patches.numbers()),
        note: format!("{}x{} side={} {range:?}", patches.width, patches.height, patches.side),
    })
}
