//! A picture to normalised rows, one a patch.

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

/// Writes `(level / 255 - mean) / std`, a row a patch: channel slowest, then row, then column.
///
/// `pixels`: `// [height, width, RGBX]`; `rows`: `// [patches, 3, side, side]`.
pub fn compute(patches: &Patches, pixels: &[u8], rows: &mut [f32]) {
    let Patches { width, height, side, mean, std } = *patches;
    let columns = width / side;
    let numbers = 3 * side * side;
    for patch in 0..columns * (height / side) {
        for i in 0..numbers {
            let (channel, y, x) = (i / (side * side), i / side % side, i % side);
            let pixel = (patch / columns * side + y) * width + patch % columns * side + x;
            let level = f64::from(pixels[pixel * 4 + channel]);
            let value = (level / 255.0 - f64::from(mean[channel])) / f64::from(std[channel]);
            rows[patch * numbers + i] = value as f32;
        }
    }
}
