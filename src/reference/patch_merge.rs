//! Squares of patches gathered to rows, in the order of torch's `unfold` (`transformers` `modeling_mistral3.py`).

/// Squares of patches.
#[derive(Debug, Clone, Copy)]
pub struct Squares {
    /// Merged tokens in a row of the picture.
    pub columns: usize,
    /// Side of a square in patches.
    pub merge: usize,
    /// Width of a patch's row.
    pub channels: usize,
}

/// Gathers all squares of a picture to merged tokens, channel slowest, then row, then column of the square.
///
/// `x`: `// [rows * merge, columns * merge, channels]`; `y`: `// [rows * columns, channels, merge, merge]`.
pub fn compute(squares: Squares, x: &[f32], y: &mut [f32]) {
    let Squares { columns, merge, channels } = squares;
    let rows = x.len() / (columns * merge * merge * channels);
    let mut y = y.iter_mut();
    for row in 0..rows {
        for column in 0..columns {
            for channel in 0..channels {
                for dy in 0..merge {
                    for dx in 0..merge {
                        let patch = (row * merge + dy) * columns * merge + column * merge + dx;
                        if let Some(y) = y.next() {
                            *y = x[patch * channels + channel];
                        }
                    }
                }
            }
        }
    }
}
