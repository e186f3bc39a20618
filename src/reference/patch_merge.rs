//! Squares of patches gathered to rows, in the order of torch's `unfold` (`transformers` `modeling_mistral3.py`).

/// Gathers a grid of `rows x columns` merged tokens, channel slowest, then row, then column of the square.
///
/// `x`: `// [rows * merge, columns * merge, channels]`; `y`: `// [rows * columns, channels, merge, merge]`.
pub fn compute((rows, columns): (usize, usize), merge: usize, channels: usize, x: &[f32], y: &mut [f32]) {
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
