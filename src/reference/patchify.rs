//! A picture cut into patches: one row of normalised pixels for each.

use super::position_rows::Grid;

/// Size of a picture and its patches, and the normalisation.
#[derive(Debug, Clone, Copy)]
pub struct Patches {
    /// Width in pixels; a multiple of `side`.
    pub width: usize,
    /// Height in pixels; a multiple of `side`.
    pub height: usize,
    /// Side of a patch in pixels.
    pub side: usize,
    /// Side of the squares of consecutive patches; with 1, patches come row by row.
    pub merge: usize,
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

    /// Arrangement of the patches in the picture.
    pub fn grid(&self) -> Grid {
        Grid { rows: self.height / self.side, columns: self.columns(), merge: self.merge }
    }

    /// Patches in the picture.
    pub fn count(&self) -> usize {
        self.columns() * (self.height / self.side)
    }

    /// Numbers in a patch: channel slowest, then row, then column.
    pub fn numbers(&self) -> usize {
        3 * self.side * self.side
    }
}

/// Writes `(level / 255 - mean) / std`, a row a patch: channel slowest, then row, then column.
///
/// `pixels`: `// [height, width, RGBX]`; `rows`: `// [patches, 3, side, side]`.
pub fn compute(patches: &Patches, pixels: &[u8], rows: &mut [f32]) {
    let Patches { width, side, mean, std, .. } = *patches;
    let (grid, numbers) = (patches.grid(), patches.numbers());
    for patch in 0..patches.count() {
        let (row, column) = grid.place(patch);
        for i in 0..numbers {
            let (channel, y, x) = (i / (side * side), i / side % side, i % side);
            let pixel = (row * side + y) * width + column * side + x;
            let level = f64::from(pixels[pixel * 4 + channel]);
            let value = (level / 255.0 - f64::from(mean[channel])) / f64::from(std[channel]);
            rows[patch * numbers + i] = value as f32;
        }
    }
}
