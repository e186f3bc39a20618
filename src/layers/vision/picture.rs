//! The input and output of a tower.

use crate::config::{ImageGrid, KvPrecision};
use crate::gpu::Buffer;

/// A picture cut to whole patches. `// [height, width, 3]`, or its views one after another
#[derive(Debug, Clone, Copy)]
pub struct Pixels<'a> {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Its size in cells, or that of a view.
    pub grid: ImageGrid,
    /// Red, green and blue bytes, row by row; empty in a dry run.
    pub rgb: &'a [u8],
}

impl Pixels<'_> {
    /// A picture of cells of `cell` pixels, without pixels, for a dry run.
    pub fn blank(grid: ImageGrid, cell: usize) -> Self {
        Self { width: grid.cols * cell, height: grid.rows * cell, grid, rgb: &[] }
    }
}

/// The memory that a picture's pass may take.
#[derive(Debug, Clone, Copy)]
pub struct TowerMemory {
    /// Rows computed at a time; a multiple of [`Tower::row_alignment`](super::Tower::row_alignment).
    pub rows: usize,
    /// Precision of keys and values.
    pub precision: KvPrecision,
}

/// The rows of a buffer that receive a picture's features.
#[derive(Debug, Clone, Copy)]
pub struct FeatureRows<'a> {
    /// Features of one or several pictures. `// [rows, text hidden]`
    pub buffer: &'a Buffer,
    /// The picture's first row.
    pub first: usize,
}

/// Rows of the residual stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowCount {
    /// All rows.
    pub all: usize,
    /// The first ones, which hold the picture. They attend to all rows; the others, which are padding, attend to these.
    pub present: usize,
}

/// Views of a picture, such as tiles: pictures of equal size, each of which is seen on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Views {
    /// Their number.
    pub count: usize,
    /// Width of a view in pixels.
    pub width: usize,
    /// Height of a view in pixels.
    pub height: usize,
    /// Size of a view in cells.
    pub grid: ImageGrid,
}
