//! A learned table of positions, resampled to a picture and added to its patches.

/// Arrangement of the patches of a picture: squares of `merge * merge` row by row, and row by row within a square.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    /// Rows of patches; a multiple of `merge`.
    pub rows: usize,
    /// Patches in a row; a multiple of `merge`.
    pub columns: usize,
    /// Side of a square in patches; with 1 patches come row by row.
    pub merge: usize,
}

impl Grid {
    /// Row and column of a patch.
    pub fn place(self, patch: usize) -> (usize, usize) {
        let Self { columns, merge, .. } = self;
        let (square, inside) = (patch / (merge * merge), patch % (merge * merge));
        let squares = columns / merge;
        (square / squares * merge + inside / merge, square % squares * merge + inside % merge)
    }
}

/// Sizes of a square table of positions.
#[derive(Debug, Clone, Copy)]
pub struct PositionTable {
    /// Rows and columns of positions.
    pub side: usize,
    /// Numbers of a position.
    pub width: usize,
}

/// Adds the table's row at its place to every patch. The table is stretched over the picture, corner to corner, with linear interpolation
/// between four rows.
///
/// `table`: `// [side, side, width]`; `x`: `// [rows * columns, width]`.
pub fn compute(grid: Grid, PositionTable { side, width }: PositionTable, table: &[f32], x: &mut [f32]) {
    let between = |i: usize, n: usize| {
        let at = (i * (side - 1)) as f64 / (n.max(2) - 1) as f64;
        let low = at as usize;
        (low, (low + 1).min(side - 1), at - low as f64)
    };
    for (patch, x) in x.chunks_exact_mut(width).enumerate() {
        let (row, column) = grid.place(patch);
        let ((r0, r1, r), (c0, c1, c)) = (between(row, grid.rows), between(column, grid.columns));
        for (k, x) in x.iter_mut().enumerate() {
            let entry = |row: usize, column: usize| f64::from(table[(row * side + column) * width + k]);
            let [upper, lower] = [r0, r1].map(|row| entry(row, c0) * (1.0 - c) + entry(row, c1) * c);
            *x = (f64::from(*x) + upper * (1.0 - r) + lower * r) as f32;
        }
    }
}
