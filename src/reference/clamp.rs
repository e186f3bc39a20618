//! Columns of rows clamped between two numbers.

use super::gate_rows::RowPart;

/// Clamps `width` columns of every row. `x`: `// [rows, part.stride]`.
pub fn compute(width: usize, part: RowPart, [low, high]: [f32; 2], x: &mut [f32]) {
    for row in x.chunks_exact_mut(part.stride) {
        row[part.offset..part.offset + width].iter_mut().for_each(|x| *x = x.max(low).min(high));
    }
}
