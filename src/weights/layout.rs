//! How a tensor's numbers lie in memory, in the package and on the GPU alike.
//!
//! A matrix `[rows, cols]` is `y = W x` with `W` row-major. Its rows are padded with zeros to a multiple of [`ROW_GROUP`],
//! its columns to a multiple of [`BLOCK`], and it is cut into planes, so that neighbouring GPU lanes read neighbouring
//! words. A vector is plain `f32`, unpadded.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Elements that share a scale, along a row.
pub const BLOCK: usize = 32;
/// Rows whose scales lie side by side.
pub const ROW_GROUP: usize = 4;
/// Every plane starts at a multiple of this many bytes in the package.
pub const PLANE_ALIGNMENT: u64 = 256;

/// The number format of a tensor and the order of its bytes, all little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// One plane: `f32 [rows_padded][cols_padded]`; for a vector `f32 [len]`.
    F32,
    /// One plane: `f16 [rows_padded][cols_padded]`.
    F16,
    /// `quants`: `i8 [rows_padded][cols_padded]`; `scales`: `f16 [rows_padded / 4][cols_padded / 32][4]`.
    Q8_0,
    /// `quants`: 16 bytes for each row and block, byte `j` holding element `j` in its low and `16 + j` in its high nibble,
    /// each plus 8; `scales` as in [`Layout::Q8_0`].
    Q4_0,
}

/// What a plane holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlaneKind {
    /// The numbers themselves.
    Values,
    /// Small integers, worth something only with their scales.
    Quants,
    /// One `f16` a block, four rows side by side.
    Scales,
}

/// One plane of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneSpec {
    /// What it holds.
    pub kind: PlaneKind,
    /// Its size.
    pub bytes: u64,
}

/// The sizes of a stored matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatrixShape {
    /// Output features.
    pub rows: usize,
    /// Input features.
    pub cols: usize,
}

impl MatrixShape {
    /// Rows as stored.
    pub fn rows_padded(self) -> usize {
        self.rows.next_multiple_of(ROW_GROUP)
    }

    /// Columns as stored.
    pub fn cols_padded(self) -> usize {
        self.cols.next_multiple_of(BLOCK)
    }

    /// Blocks in one stored row.
    pub fn blocks(self) -> usize {
        self.cols.div_ceil(BLOCK)
    }
}

impl Layout {
    /// Every layout, largest first.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Q8_0, Self::Q4_0];

    /// The name in `model.json` and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
        }
    }

    /// The layout of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == name)
    }

    /// The planes of a matrix, in package order. `None` if a size overflows.
    pub fn matrix_planes(self, shape: MatrixShape) -> Option<Vec<PlaneSpec>> {
        let rows = (shape.rows as u64).checked_next_multiple_of(ROW_GROUP as u64)?;
        let cols = (shape.cols as u64).checked_next_multiple_of(BLOCK as u64)?;
        let elements = rows.checked_mul(cols)?;
        let scales = PlaneSpec { kind: PlaneKind::Scales, bytes: (elements / BLOCK as u64).checked_mul(2)? };
        let values = |bytes| Some(vec![PlaneSpec { kind: PlaneKind::Values, bytes }]);
        let quants = |bytes| Some(vec![PlaneSpec { kind: PlaneKind::Quants, bytes }, scales]);
        match self {
            Self::F32 => values(elements.checked_mul(4)?),
            Self::F16 => values(elements.checked_mul(2)?),
            Self::Q8_0 => quants(elements),
            Self::Q4_0 => quants(elements / 2),
        }
    }

    /// The planes of a tensor of one or two dimensions, in package order. `None` if there is no such storage: a vector that
    /// is not [`Layout::F32`], another number of dimensions, an empty tensor, or a size that overflows.
    pub fn planes(self, shape: &[usize]) -> Option<Vec<PlaneSpec>> {
        match (self, shape) {
            (_, shape) if shape.contains(&0) => None,
            (Self::F32, &[len]) => {
                Some(vec![PlaneSpec { kind: PlaneKind::Values, bytes: (len as u64).checked_mul(4)? }])
            }
            (_, &[rows, cols]) => self.matrix_planes(MatrixShape { rows, cols }),
            _ => None,
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
