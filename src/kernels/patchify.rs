//! A picture to normalised rows, one a patch.

use std::ops::Range;

use super::{Variant, linear_grid, params_of, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    patches: u32,
    columns: u32,
    side: u32,
    width: u32,
    scale: [f32; 4],
    shift: [f32; 4],
    first: u32,
    padding: [u32; 3],
}

/// How a picture is cut and normalised.
#[derive(Debug, Clone, Copy)]
pub struct Patches {
    /// Width in pixels; a multiple of `side`.
    pub width: usize,
    /// Height in pixels; a multiple of `side`.
    pub height: usize,
    /// Side of a patch in pixels.
    pub side: usize,
    /// Per-channel mean, in 0..1.
    pub mean: [f32; 3],
    /// Per-channel standard deviation, in 0..1.
    pub std: [f32; 3],
}

impl Patches {
    /// Patches in a row of the picture.
    pub fn columns(&self) -> usize {
        self.width / self.side
    }

    /// Patches in the picture.
    pub fn count(&self) -> usize {
        self.columns() * (self.height / self.side)
    }

    /// Numbers in a patch: channel slowest, then row, then column.
    pub fn numbers(&self) -> usize {
        3 * self.side * self.side
    }

    /// What a byte is multiplied by and what is added then, per channel.
    pub fn scale_and_shift(&self) -> ([f32; 3], [f32; 3]) {
        let scale = self.std.map(|std| (1.0 / (255.0 * f64::from(std))) as f32);
        let shift = std::array::from_fn(|c| (-f64::from(self.mean[c]) / f64::from(self.std[c])) as f32);
        (scale, shift)
    }
}

/// The kernel.
pub fn kernel() -> Kernel {
    plain("patchify", Variant::Patchify)
}

/// Records the cut of the patches `range`. `pixels`: `// [height, width]`, RGBX bytes in a word; `rows`:
/// `// [range, 3 * side * side]`.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(
    recording: &mut Recording,
    patches: &Patches,
    range: Range<usize>,
    pixels: &Slice,
    rows: &Slice,
) -> Result<()> {
    let (scale, shift) = patches.scale_and_shift();
    let four = |[r, g, b]: [f32; 3]| [r, g, b, 0.0];
    let params = Params {
        patches: range.len() as u32,
        columns: patches.columns() as u32,
        side: patches.side as u32,
        width: patches.width as u32,
        scale: four(scale),
        shift: four(shift),
        first: range.start as u32,
        padding: [0; 3],
    };
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params_of(&params),
        buffers: vec![pixels.clone(), rows.clone()],
        grid: linear_grid(range.len() * patches.numbers()),
        note: format!("{}x{} side={} {range:?}", patches.width, patches.height, patches.side),
    })
}
