//! How a tensor's numbers lie in memory, in the package and on the GPU alike.
//!
//! A matrix `[rows, cols]` is `y = W x` with `W` row-major. Its rows are padded with zeros to a multiple of [`ROW_GROUP`],
//! its columns to a multiple of [`BLOCK`], and it is cut into planes, so that neighbouring GPU lanes read neighbouring
//! words. A vector is plain `f32`, unpadded.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    /// `quants` as in [`Layout::Q4_0`]; `scales`: `f16 [rows_padded / 4][ceil(cols / 64)][4]`, one for each 64 elements of a row.
    #[serde(rename = "q4_64")]
    Q4_64,
    /// As ggml's: `x = d * scale * q - dmin * min`. `quants` as in [`Layout::Q4_0`], without the 8;
    /// `scales`: `u8 (scale, min) [rows_padded / 4][cols / 32][4]`; `supers`: `f16 (d, dmin) [rows_padded / 4][cols / 256][4]`.
    Q4K,
    /// As [`Layout::Q4K`] with a fifth bit in `tops`: 4 bytes for each row and block, byte `i` holding that of element
    /// `4j + i` in bit `j`.
    Q5K,
    /// As ggml's: `x = d * scale * (q - 32)`. `quants` as in [`Layout::Q4K`]; `tops`: 8 bytes for each row and block, byte `i`
    /// of the first four holding the upper two bits of element `4j + i` in bits `2j` and `2j + 1`, of the last four those of
    /// element `16 + 4j + i`; `scales`: `i8 [rows_padded / 4][cols / 32][4][2]`, one for each 16 elements;
    /// `supers`: `f16 d [rows_padded / 4][cols / 256][4]`.
    Q6K,
}

/// What a plane holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlaneKind {
    /// The numbers themselves.
    Values,
    /// Small integers, worth something only with their scales.
    Quants,
    /// The upper bits of small integers whose lower four are among the quants.
    Tops,
    /// What a block's integers are multiplied by, four rows side by side.
    Scales,
    /// What the scales of eight blocks are multiplied by, four rows side by side.
    Supers,
}

/// What a plane holds for each row and some columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneUnit {
    /// What it holds.
    pub kind: PlaneKind,
    /// The columns.
    pub cols: usize,
    /// Its bytes.
    pub bytes: usize,
    /// `None` where rows lie behind one another; else the bytes of the pieces of which [`ROW_GROUP`] rows lie side by side.
    pub interleaved: Option<usize>,
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
    pub const ALL: [Self; 8] =
        [Self::F32, Self::F16, Self::Q8_0, Self::Q6K, Self::Q5K, Self::Q4K, Self::Q4_0, Self::Q4_64];
    /// The layouts that numbers can be brought into; the others only ever come out of a file, bit by bit.
    pub const FROM_NUMBERS: [Self; 5] = [Self::F32, Self::F16, Self::Q8_0, Self::Q4_0, Self::Q4_64];

    /// The name in `model.json` and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
            Self::Q4_64 => "q4_64",
            Self::Q4K => "q4_k",
            Self::Q5K => "q5_k",
            Self::Q6K => "q6_k",
        }
    }

    /// The layout of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == name)
    }

    /// Whether blocks of 32 have integer scales, with a scale of their own for each 256.
    pub fn is_k_quant(self) -> bool {
        matches!(self, Self::Q4K | Self::Q5K | Self::Q6K)
    }

    /// What the planes hold, in package order.
    pub fn plane_units(self) -> &'static [PlaneUnit] {
        use PlaneKind::{Quants, Scales, Supers, Tops, Values};
        const fn by_row(kind: PlaneKind, cols: usize, bytes: usize) -> PlaneUnit {
            PlaneUnit { kind, cols, bytes, interleaved: None }
        }
        const fn by_group(kind: PlaneKind, cols: usize, bytes: usize, piece: usize) -> PlaneUnit {
            PlaneUnit { kind, cols, bytes, interleaved: Some(piece) }
        }
        const NIBBLES: PlaneUnit = by_row(Quants, BLOCK, BLOCK / 2);
        const K_NIBBLES: PlaneUnit = by_row(Quants, SUPER_BLOCK, SUPER_BLOCK / 2);
        const K_SCALES: PlaneUnit = by_group(Scales, SUPER_BLOCK, 16, 2);
        match self {
            Self::F32 => const { &[by_row(Values, BLOCK, 128)] },
            Self::F16 => const { &[by_row(Values, BLOCK, 64)] },
            Self::Q8_0 => const { &[by_row(Quants, BLOCK, 32), by_group(Scales, BLOCK, 2, 2)] },
            Self::Q4_0 => const { &[NIBBLES, by_group(Scales, BLOCK, 2, 2)] },
            Self::Q4_64 => const { &[NIBBLES, by_group(Scales, WIDE_BLOCK, 2, 2)] },
            Self::Q4K => const { &[K_NIBBLES, K_SCALES, by_group(Supers, SUPER_BLOCK, 4, 4)] },
            Self::Q5K => {
                const { &[K_NIBBLES, by_row(Tops, SUPER_BLOCK, 32), K_SCALES, by_group(Supers, SUPER_BLOCK, 4, 4)] }
            }
            Self::Q6K => {
                const { &[K_NIBBLES, by_row(Tops, SUPER_BLOCK, 64), K_SCALES, by_group(Supers, SUPER_BLOCK, 2, 2)] }
            }
        }
    }

    /// The planes of a matrix, in package order. `None` if a size overflows, or if a K-quant's rows are no whole super-blocks.
    pub fn matrix_planes(self, shape: MatrixShape) -> Option<Vec<PlaneSpec>> {
        if self.is_k_quant() && !shape.cols.is_multiple_of(SUPER_BLOCK) {
            return None;
        }
        let rows = (shape.rows as u64).checked_next_multiple_of(ROW_GROUP as u64)?;
        // Whatever a plane takes for each element, their number has to be one.
        rows.checked_mul((shape.cols as u64).checked_next_multiple_of(SUPER_BLOCK as u64)?)?;
        let plane = |unit: &PlaneUnit| {
            let units = rows * (shape.cols as u64).div_ceil(unit.cols as u64);
            Some(PlaneSpec { kind: unit.kind, bytes: units.checked_mul(unit.bytes as u64)? })
        };
        self.plane_units().iter().map(plane).collect()
    }

    /// Whether numbers are small integers with scales.
    pub fn is_quantised(self) -> bool {
        !matches!(self, Self::F32 | Self::F16)
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
