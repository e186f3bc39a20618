//! Memory layouts of tensors, in packages and on the GPU.
//!
//! A matrix `[rows, cols]` is `y = W x` with `W` row-major. Its rows are padded with zeros to a multiple of [`ROW_GROUP`],
//! its columns to a multiple of [`BLOCK`], and it is cut into planes, so that neighbouring GPU lanes read neighbouring
//! words. A vector is plain `f32`, unpadded.

pub mod blocks;
pub mod codes;
pub mod decode;
mod device_bytes;
pub mod encode;
pub mod ggml;
mod lane_layout;
pub mod quant;
mod scale_search;
mod table;

use std::fmt;

pub use device_bytes::device_bytes;
pub use lane_layout::LaneLayout;
pub use table::{GgmlType, Layout, LayoutSpec, SPECS, ScaleFields};

/// Elements that share a scale, along a row.
pub const BLOCK: usize = 32;
/// Elements that share a scale in [`Layout::Q4_64`], along a row.
pub const WIDE_BLOCK: usize = 64;
/// Elements that share a scale of scales in the K-quants, along a row.
pub const SUPER_BLOCK: usize = 256;
/// Rows whose scales lie side by side.
pub const ROW_GROUP: usize = 4;
/// Every plane starts at a multiple of this many bytes in the package.
pub const PLANE_ALIGNMENT: u64 = 256;

/// Contents of a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlaneKind {
    /// The numbers themselves.
    Values,
    /// Small integers, to be multiplied by their scales.
    Quants,
    /// The upper bits of small integers whose lower four are among the quants.
    HighBits,
    /// Factors of the integers of each block, interleaved for four rows.
    Scales,
    /// Factors that are powers of two, as their exponents plus 128, interleaved for four rows.
    Exponents,
    /// Factors of the scales of eight blocks, interleaved for four rows.
    SuperScales,
}

/// Unit of a plane: its data for one row and some columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneUnit {
    /// Contents.
    pub kind: PlaneKind,
    /// Columns of a unit.
    pub cols: usize,
    /// Bytes of a unit.
    pub bytes: usize,
    /// Bytes of the pieces that are interleaved for [`ROW_GROUP`] rows; `None` if rows are stored one after the other.
    pub interleaved: Option<usize>,
}

/// One plane of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneSpec {
    /// Contents.
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
    pub const ALL: [Self; SPECS.len()] = {
        let mut all = [Self::F32; SPECS.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = SPECS[at].layout;
            assert!(all[at] as usize == at, "rows are in the order of the enum");
            at += 1;
        }
        all
    };
    /// The layouts with an encoder; the others are only read from files, bit by bit.
    pub fn from_numbers() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|layout| layout.spec().encode.is_some())
    }

    /// Its row of the table.
    pub fn spec(self) -> &'static LayoutSpec {
        &SPECS[self as usize]
    }

    /// The name in `model.json` and on the command line.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The layout that keeps a ggml type bit by bit, by the type's number in GGUF files.
    pub fn from_ggml(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.spec().ggml.as_ref().is_some_and(|ggml| ggml.number == number))
    }

    /// Returns true if blocks of 32 have integer scales, and super-blocks of 256 have a scale for those.
    pub fn is_k_quant(self) -> bool {
        self.plane_units().iter().any(|unit| unit.kind == PlaneKind::SuperScales)
    }

    /// Contents of the planes, in package order.
    pub fn plane_units(self) -> &'static [PlaneUnit] {
        self.spec().planes
    }

    /// Elements that share a scale, along a row.
    pub fn scale_width(self) -> usize {
        self.plane_units().iter().map(|unit| unit.cols).filter(|&cols| cols <= WIDE_BLOCK).max().unwrap_or(BLOCK)
    }

    /// The planes of a matrix, in package order. `None` if a size overflows, or if a K-quant's rows are no whole super-blocks.
    pub fn matrix_planes(self, shape: MatrixShape) -> Option<Vec<PlaneSpec>> {
        if self.is_k_quant() && !shape.cols.is_multiple_of(SUPER_BLOCK) {
            return None;
        }
        let rows = (shape.rows as u64).checked_next_multiple_of(ROW_GROUP as u64)?;
        // The number of elements must not overflow, even if a plane has less than a byte for each.
        rows.checked_mul((shape.cols as u64).checked_next_multiple_of(SUPER_BLOCK as u64)?)?;
        let plane = |unit: &PlaneUnit| {
            let units = rows * (shape.cols as u64).div_ceil(unit.cols as u64);
            Some(PlaneSpec { kind: unit.kind, bytes: units.checked_mul(unit.bytes as u64)? })
        };
        self.plane_units().iter().map(plane).collect()
    }

    /// Returns true if numbers are small integers with scales.
    pub fn is_quantised(self) -> bool {
        self.plane_units()[0].kind != PlaneKind::Values
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
