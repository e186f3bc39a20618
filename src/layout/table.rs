//! Every layout: one row of [`SPECS`], with its twins on the CPU. The same name in `shaders/layouts` is its WGSL.

use half::f16;
use serde::{Deserialize, Serialize};

use super::{BLOCK, PlaneKind, PlaneUnit, SUPER_BLOCK, WIDE_BLOCK, decode, encode, ggml};

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
    /// Same as ggml: `x = d * scale * (q - 32)`. `quants` as in [`Layout::Q4K`]; `high_bits`: 8 bytes for each row and block, byte `i`
    /// of the first four holding the upper two bits of element `4j + i` in bits `2j` and `2j + 1`, of the last four those of
    /// element `16 + 4j + i`; `scales`: `i8 [rows_padded / 4][cols / 32][4][2]`, one for each 16 elements;
    /// `super_scales`: `f16 d [rows_padded / 4][cols / 256][4]`.
    Q6K,
    /// Same as [`Layout::Q4K`] with a fifth bit in `high_bits`: 4 bytes for each row and block, byte `i` holding that of element
    /// `4j + i` in bit `j`.
    Q5K,
    /// Same as ggml: `x = scale * q + min`. `quants` and `high_bits` as in [`Layout::Q5_0`], without the 16; `scales` as in [`Layout::Q4_1`].
    Q5_1,
    /// Same as ggml: `x = scale * (q - 16)`. `quants` and `scales` as in [`Layout::Q4_0`], `high_bits` as in [`Layout::Q5K`].
    Q5_0,
    /// Same as ggml: `x = scale * q + min`. `quants` as in [`Layout::Q4_0`], without the 8;
    /// `scales`: `f16 (scale, min) [rows_padded / 4][cols_padded / 32][4]`.
    Q4_1,
    /// Same as ggml: `x = d * scale * q - dmin * min`. `quants` as in [`Layout::Q4_0`], without the 8;
    /// `scales`: `u8 (scale, min) [rows_padded / 4][cols / 32][4]`; `super_scales`: `f16 (d, dmin) [rows_padded / 4][cols / 256][4]`.
    Q4K,
    /// Same as ggml: `x = scale * code[q]`, with the integers of [`codes::IQ4`](super::codes::IQ4). `quants` and `scales` as in [`Layout::Q4_0`].
    Iq4Nl,
    /// Same as ggml: `x = d * scale * code[q]`, with codes and `quants` as in [`Layout::Iq4Nl`]; `scales`: `i8 [rows_padded / 4][cols / 32][4]`;
    /// `super_scales` as in [`Layout::Q6K`].
    Iq4Xs,
    /// `quants`: 16 bytes for each row and block, byte `j` holding element `j` in its low and `16 + j` in its high nibble,
    /// each plus 8; `scales` as in [`Layout::Q8_0`].
    Q4_0,
    /// `quants` as in [`Layout::Q4_0`]; `scales`: `f16 [rows_padded / 4][ceil(cols / 64)][4]`, one for each 64 elements of a row.
    Q4_64,
    /// Same as ggml: `x = 2^(exponent - 128) * code[q]`, with the integers of [`codes::FP4`](super::codes::FP4). `quants` as in [`Layout::Q4_0`];
    /// `exponents`: `u8 [rows_padded / 4][cols_padded / 32][4]`.
    Mxfp4,
    /// Same as ggml: `x = d * scale * (q - 4)`. `quants` as in [`Layout::Q4_0`], with three bits in each nibble; `scales` and `super_scales` as in
    /// [`Layout::Q6K`].
    Q3K,
    /// Same as ggml: `x = d * scale * q - dmin * min`. `quants` as in [`Layout::Q4_0`], with two bits in each nibble;
    /// `scales`: `u8 [rows_padded / 4][cols / 32][4][2]`, one for each 16 elements, with the scale in its low nibble and the minimum in its high one;
    /// `super_scales` as in [`Layout::Q4K`].
    Q2K,
}

/// Description of a layout.
#[derive(Debug)]
pub struct LayoutSpec {
    /// Its index in the table equals its number.
    pub layout: Layout,
    /// Name in `model.json`, on the command line and in `shaders/layouts`.
    pub name: &'static str,
    /// Contents of the planes, in package order.
    pub planes: &'static [PlaneUnit],
    /// The numbers of a block of 32 elements.
    pub decode: decode::Decode,
    /// The bytes of a block of numbers. `None` if the layout is only ever read from files, bit by bit.
    pub encode: Option<encode::Encode>,
    /// The ggml type that it keeps bit by bit.
    pub ggml: Option<GgmlType>,
    /// Standard deviation of numbers whose quants are random and whose scales are 1; of ggml's blocks, as [`GgmlType::fill`] fills them.
    pub deviation: f64,
}

/// How ggml stores the numbers of a layout (`ggml-common.h`).
#[derive(Debug)]
pub struct GgmlType {
    /// Number in GGUF files.
    pub number: u32,
    /// Name of the type in ggml.
    pub name: &'static str,
    /// Bytes of a block.
    pub bytes: usize,
    /// Scales that may be infinite or NaN in a damaged block.
    pub scales: ScaleFields,
    /// Takes a block apart, into a part for each plane.
    pub split: fn(&[u8], &mut ggml::Parts),
    /// Gives a block of random bits scales of about the size of the one given.
    pub fill: fn(f16, &mut [u8]),
}

/// The scales in a block of ggml's.
#[derive(Debug, Clone, Copy)]
pub enum ScaleFields {
    /// 16-bit floats at these offsets.
    Halves(&'static [usize]),
    /// The first byte is the exponent of a power of two; 255 is NaN (OCP Microscaling Formats 1.0).
    Exponent,
}

impl GgmlType {
    const fn new(
        number: u32,
        name: &'static str,
        bytes: usize,
        scales: &'static [usize],
        split: fn(&[u8], &mut ggml::Parts),
        fill: fn(f16, &mut [u8]),
    ) -> Option<Self> {
        Some(Self { number, name, bytes, scales: ScaleFields::Halves(scales), split, fill })
    }
}

const fn by_row(kind: PlaneKind, cols: usize, bytes: usize) -> PlaneUnit {
    PlaneUnit { kind, cols, bytes, interleaved: None }
}

const fn by_group(kind: PlaneKind, cols: usize, bytes: usize, piece: usize) -> PlaneUnit {
    PlaneUnit { kind, cols, bytes, interleaved: Some(piece) }
}

const NIBBLES: PlaneUnit = by_row(PlaneKind::Quants, BLOCK, BLOCK / 2);
const BLOCK_SCALES: PlaneUnit = by_group(PlaneKind::Scales, BLOCK, 2, 2);
const BLOCK_MINIMA: PlaneUnit = by_group(PlaneKind::Scales, BLOCK, 4, 4);
const K_NIBBLES: PlaneUnit = by_row(PlaneKind::Quants, SUPER_BLOCK, SUPER_BLOCK / 2);
const K_SCALES: PlaneUnit = by_group(PlaneKind::Scales, SUPER_BLOCK, 16, 2);
const SUPER_SCALES: PlaneUnit = by_group(PlaneKind::SuperScales, SUPER_BLOCK, 4, 4);

const UNIFORM_SCALE: PlaneUnit = by_group(PlaneKind::SuperScales, SUPER_BLOCK, 2, 2);

/// Every layout, largest first.
pub static SPECS: [LayoutSpec; 16] = [
    LayoutSpec {
        layout: Layout::F32,
        name: "f32",
        planes: &[by_row(PlaneKind::Values, BLOCK, 128)],
        decode: decode::f32,
        encode: Some(encode::f32),
        ggml: None,
        deviation: 1.0,
    },
    LayoutSpec {
        layout: Layout::F16,
        name: "f16",
        planes: &[by_row(PlaneKind::Values, BLOCK, 64)],
        decode: decode::f16,
        encode: Some(encode::f16),
        ggml: None,
        deviation: 1.0,
    },
    LayoutSpec {
        layout: Layout::Q8_0,
        name: "q8_0",
        planes: &[by_row(PlaneKind::Quants, BLOCK, 32), BLOCK_SCALES],
        decode: decode::q8_0,
        encode: Some(encode::q8_0),
        ggml: GgmlType::new(8, "Q8_0", 34, &[0], ggml::split_scale, ggml::fill_scale),
        deviation: 73.9,
    },
    LayoutSpec {
        layout: Layout::Q6K,
        name: "q6_k",
        planes: &[K_NIBBLES, by_row(PlaneKind::HighBits, SUPER_BLOCK, 64), K_SCALES, UNIFORM_SCALE],
        decode: decode::q6_k,
        encode: None,
        ggml: GgmlType::new(14, "Q6_K", 210, &[208], ggml::split_q6_k, ggml::fill_q6_k),
        deviation: 1366.0,
    },
    LayoutSpec {
        layout: Layout::Q5K,
        name: "q5_k",
        planes: &[K_NIBBLES, by_row(PlaneKind::HighBits, SUPER_BLOCK, 32), K_SCALES, SUPER_SCALES],
        decode: decode::q5_k,
        encode: None,
        ggml: GgmlType::new(13, "Q5_K", 176, &[0, 2], ggml::split_q5_k, ggml::fill_q5_k),
        deviation: 527.0,
    },
    LayoutSpec {
        layout: Layout::Q5_1,
        name: "q5_1",
        planes: &[NIBBLES, by_row(PlaneKind::HighBits, BLOCK, 4), BLOCK_MINIMA],
        decode: decode::q5_1,
        encode: None,
        ggml: GgmlType::new(7, "Q5_1", 24, &[0, 2], ggml::split_q5_1, ggml::fill_q5_1),
        deviation: 9.23,
    },
    LayoutSpec {
        layout: Layout::Q5_0,
        name: "q5_0",
        planes: &[NIBBLES, by_row(PlaneKind::HighBits, BLOCK, 4), BLOCK_SCALES],
        decode: decode::q5_0,
        encode: None,
        ggml: GgmlType::new(6, "Q5_0", 22, &[0], ggml::split_q5_0, ggml::fill_scale),
        deviation: 9.25,
    },
    LayoutSpec {
        layout: Layout::Q4_1,
        name: "q4_1",
        planes: &[NIBBLES, BLOCK_MINIMA],
        decode: decode::q4_1,
        encode: None,
        ggml: GgmlType::new(3, "Q4_1", 20, &[0, 2], ggml::split_q4_1, ggml::fill_q4_1),
        deviation: 4.61,
    },
    LayoutSpec {
        layout: Layout::Q4K,
        name: "q4_k",
        planes: &[K_NIBBLES, K_SCALES, SUPER_SCALES],
        decode: decode::q4_k,
        encode: None,
        ggml: GgmlType::new(12, "Q4_K", 144, &[0, 2], ggml::split_q4_k, ggml::fill_q4_k),
        deviation: 258.0,
    },
    LayoutSpec {
        layout: Layout::Iq4Nl,
        name: "iq4_nl",
        planes: &[NIBBLES, BLOCK_SCALES],
        decode: decode::iq4_nl,
        encode: None,
        ggml: GgmlType::new(20, "IQ4_NL", 18, &[0], ggml::split_scale, ggml::fill_scale),
        deviation: 67.4,
    },
    LayoutSpec {
        layout: Layout::Iq4Xs,
        name: "iq4_xs",
        planes: &[K_NIBBLES, by_group(PlaneKind::Scales, SUPER_BLOCK, 8, 1), UNIFORM_SCALE],
        decode: decode::iq4_xs,
        encode: None,
        ggml: GgmlType::new(23, "IQ4_XS", 136, &[0], ggml::split_iq4_xs, ggml::fill_scale),
        deviation: 1246.3,
    },
    LayoutSpec {
        layout: Layout::Q4_0,
        name: "q4_0",
        planes: &[NIBBLES, BLOCK_SCALES],
        decode: decode::q4_0,
        encode: Some(encode::q4_0),
        ggml: GgmlType::new(2, "Q4_0", 18, &[0], ggml::split_scale, ggml::fill_scale),
        deviation: 4.64,
    },
    LayoutSpec {
        layout: Layout::Q4_64,
        name: "q4_64",
        planes: &[NIBBLES, by_group(PlaneKind::Scales, WIDE_BLOCK, 2, 2)],
        decode: decode::q4_64,
        encode: Some(encode::q4_64),
        ggml: None,
        deviation: 4.64,
    },
    LayoutSpec {
        layout: Layout::Mxfp4,
        name: "mxfp4",
        planes: &[NIBBLES, by_group(PlaneKind::Exponents, BLOCK, 1, 1)],
        decode: decode::mxfp4,
        encode: None,
        ggml: Some(GgmlType {
            number: 39,
            name: "MXFP4",
            bytes: 17,
            scales: ScaleFields::Exponent,
            split: ggml::split_mxfp4,
            fill: ggml::fill_mxfp4,
        }),
        deviation: 5.85,
    },
    LayoutSpec {
        layout: Layout::Q3K,
        name: "q3_k",
        planes: &[K_NIBBLES, K_SCALES, UNIFORM_SCALE],
        decode: decode::q3_k,
        encode: None,
        ggml: GgmlType::new(11, "Q3_K", 110, &[108], ggml::split_q3_k, ggml::fill_q3_k),
        deviation: 43.3,
    },
    LayoutSpec {
        layout: Layout::Q2K,
        name: "q2_k",
        planes: &[K_NIBBLES, K_SCALES, SUPER_SCALES],
        decode: decode::q2_k,
        encode: None,
        ggml: GgmlType::new(10, "Q2_K", 84, &[80, 82], ggml::split_q2_k, ggml::fill_q2_k),
        deviation: 13.9,
    },
];
