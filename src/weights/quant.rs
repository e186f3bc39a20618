//! Numbers to planes and back, by ggml's rules (`ggml-quants.c`, `quantize_row_q4_0_ref` and `quantize_row_q8_0_ref`), and for
//! [`Layout::Q4_64`], which ggml does not have, by those of `scale_search`.

use half::f16;

use super::layout::{BLOCK, Layout, MatrixShape, ROW_GROUP, WIDE_BLOCK};
use super::{k_quant, scale_search};
use crate::error::{Error, Result};

/// Why a number cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unstorable {
    /// Row within the rows given.
    pub row: usize,
    /// First column of the block it was met in.
    pub col: usize,
    /// The number, or the scale made of it.
    pub value: f32,
    /// What is wrong with it.
    pub reason: &'static str,
}

const NOT_FINITE: &str = "is not a finite number";
const ONLY_FROM_FILES: &str = "cannot be brought into this layout, which is only ever read from a file";
const TOO_LARGE: &str = "is too large for the 16-bit floats of this layout (try f32)";

/// The scale and the 32 integers of a block.
type Block<const N: usize> = std::result::Result<(f16, [u8; N]), (f32, &'static str)>;

/// Appends whole rows to the planes of a matrix `cols` wide. The number of rows must be a multiple of [`ROW_GROUP`] in every
/// call but the last, which completes the group with zeros.
///
/// # Errors
/// [`Unstorable`] for NaN, infinity, what overflows an `f16`, and a layout that is not among [`Layout::FROM_NUMBERS`].
pub fn encode_rows(
    layout: Layout,
    cols: usize,
    rows: &[f32],
    planes: &mut [Vec<u8>],
) -> std::result::Result<(), Unstorable> {
    let shape = MatrixShape { rows: rows.len() / cols, cols };
    let mut group = vec![0.0; ROW_GROUP * shape.cols_padded()]; // [4, cols_padded]
    for first in (0..shape.rows).step_by(ROW_GROUP) {
        group.fill(0.0);
        let source = rows[first * cols..].chunks_exact(cols);
        for (padded, row) in group.chunks_exact_mut(shape.cols_padded()).zip(source) {
            padded[..cols].copy_from_slice(row);
        }
        encode_group(layout, &group, planes).map_err(|fault| Unstorable { row: first + fault.row, ..fault })?;
    }
    Ok(())
}

/// Elements that share a scale.
fn scale_width(layout: Layout) -> usize {
    if layout == Layout::Q4_64 { WIDE_BLOCK } else { BLOCK }
}

fn encode_group(layout: Layout, group: &[f32], planes: &mut [Vec<u8>]) -> std::result::Result<(), Unstorable> {
    let (cols, width) = (group.len() / ROW_GROUP, scale_width(layout));
    let mut scales = vec![f16::ZERO; cols.div_ceil(width) * ROW_GROUP]; // [cols / width, 4]
    for (row, numbers) in group.chunks_exact(cols).enumerate() {
        if let Some(at) = numbers.iter().position(|x| !x.is_finite()) {
            return Err(Unstorable { row, col: at / BLOCK * BLOCK, value: numbers[at], reason: NOT_FINITE });
        }
        for (index, block) in numbers.chunks(width).enumerate() {
            let scale = &mut scales[index * ROW_GROUP + row];
            encode_block(layout, block, &mut planes[0], scale).map_err(|(value, reason)| Unstorable {
                row,
                col: index * width,
                value,
                reason,
            })?;
        }
    }
    if let Some(plane) = planes.get_mut(1) {
        plane.extend(scales.iter().flat_map(|scale| scale.to_le_bytes()));
    }
    Ok(())
}

/// Appends what a block's numbers become. `// [scale width]`, of the last one in a row maybe half
fn encode_block(
    layout: Layout,
    block: &[f32],
    out: &mut Vec<u8>,
    scale: &mut f16,
) -> std::result::Result<(), (f32, &'static str)> {
    let mut padded = [0.0; WIDE_BLOCK];
    padded[..block.len()].copy_from_slice(block);
    let [first, _] = padded.as_chunks::<BLOCK>().0 else { return Ok(()) };
    match layout {
        Layout::F32 => out.extend(block.iter().flat_map(|x| x.to_le_bytes())),
        Layout::F16 => {
            for x in block {
                out.extend(to_f16(*x)?.to_le_bytes());
            }
        }
        Layout::Q8_0 => {
            let (d, quants) = q8_0_block(first)?;
            *scale = d;
            out.extend(quants);
        }
        Layout::Q4_0 => {
            let (d, quants) = q4_0_block(first)?;
            *scale = d;
            out.extend(quants);
        }
        Layout::Q4_64 => {
            let largest = block.iter().fold(0.0f32, |max, x| max.max(x.abs()));
            let (d, quants) = scale_search::q4(&padded).ok_or((largest, TOO_LARGE))?;
            *scale = d;
            for quants in quants[..block.len()].as_chunks::<BLOCK>().0 {
                out.extend(nibbles(quants));
            }
        }
        Layout::Q4K | Layout::Q5K | Layout::Q6K => return Err((block[0], ONLY_FROM_FILES)),
    }
    Ok(())
}

/// Element `j` in the low and `16 + j` in the high half of byte `j`.
fn nibbles(quants: &[u8; BLOCK]) -> [u8; BLOCK / 2] {
    std::array::from_fn(|j| quants[j] | quants[j + BLOCK / 2] << 4)
}

fn to_f16(x: f32) -> std::result::Result<f16, (f32, &'static str)> {
    let half = f16::from_f32(x);
    if half.is_finite() { Ok(half) } else { Err((x, TOO_LARGE)) }
}

fn reciprocal(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

/// `d = max |x| / 127`, `q = round(x / d)`.
fn q8_0_block(block: &[f32; BLOCK]) -> Block<32> {
    let max = block.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    let d = max / 127.0;
    let inverse = reciprocal(d);
    // `as` saturates and takes NaN to 0: a subnormal `d`, whose inverse is infinite, is stored as a scale of 0.
    let quants = block.map(|x| ((x * inverse).round() as i8).cast_unsigned());
    Ok((to_f16(d)?, quants))
}

/// `d = m / -8` of the value `m` of largest magnitude, `q = min(15, floor(x / d + 8.5))`.
fn q4_0_block(block: &[f32; BLOCK]) -> Block<16> {
    let max = block.iter().fold(0.0f32, |max, &x| if max.abs() < x.abs() { x } else { max });
    let d = max / -8.0;
    let inverse = reciprocal(d);
    let quant = |x: f32| ((x * inverse + 8.5) as u8).min(15);
    Ok((to_f16(d)?, nibbles(&block.map(quant))))
}

/// The numbers of a whole tensor, row-major and unpadded.
///
/// # Errors
/// [`Error::Internal`] if the planes are not those of such a tensor.
pub fn decode(layout: Layout, shape: &[usize], planes: &[impl AsRef<[u8]>]) -> Result<Vec<f32>> {
    let planes: Vec<&[u8]> = planes.iter().map(AsRef::as_ref).collect();
    let expected = layout.planes(shape).unwrap_or_default();
    if expected.is_empty() || !expected.iter().map(|p| p.bytes).eq(planes.iter().map(|p| p.len() as u64)) {
        return Err(Error::Internal { detail: format!("these are not the planes of a {layout} tensor {shape:?}") });
    }
    let &[rows, cols] = shape else { return Ok(decode_f32(planes[0])) };
    let shape = MatrixShape { rows, cols };
    let padded = match layout {
        Layout::F32 => decode_f32(planes[0]),
        Layout::F16 => planes[0].as_chunks::<2>().0.iter().map(|&x| f16::from_le_bytes(x).to_f32()).collect(),
        Layout::Q8_0 => {
            let block = |d: f32, q: &[u8; 32]| q.map(|q| d * f32::from(q.cast_signed()));
            decode_blocks(shape, BLOCK, planes[0], planes[1], block)
        }
        Layout::Q4_0 | Layout::Q4_64 => {
            let nibbles = |q: &[u8; 16]| std::array::from_fn(|j| q[j % 16] >> (j / 16 * 4) & 15);
            let block = |d: f32, q: &[u8; 16]| nibbles(q).map(|q: u8| d * (f32::from(q) - 8.0));
            decode_blocks(shape, scale_width(layout), planes[0], planes[1], block)
        }
        Layout::Q4K | Layout::Q5K | Layout::Q6K => k_quant::decode(layout, shape, &planes),
    };
    let rows = padded.chunks_exact(shape.cols_padded()).take(rows);
    Ok(rows.flat_map(|row| &row[..cols]).copied().collect())
}

fn decode_f32(plane: &[u8]) -> Vec<f32> {
    plane.as_chunks::<4>().0.iter().map(|&x| f32::from_le_bytes(x)).collect()
}

fn decode_blocks<const N: usize>(
    shape: MatrixShape,
    scale_width: usize,
    quants: &[u8],
    scales: &[u8],
    block: impl Fn(f32, &[u8; N]) -> [f32; BLOCK],
) -> Vec<f32> {
    let scales = scales.as_chunks::<2>().0; // [rows_padded / 4, scales_in_row, 4]
    let (blocks, scales_in_row) = (shape.blocks(), shape.cols.div_ceil(scale_width));
    let decoded = quants.as_chunks::<N>().0.iter().enumerate().map(|(index, quants)| {
        let (row, b) = (index / blocks, index % blocks);
        let scale = scales[(row / ROW_GROUP * scales_in_row + b * BLOCK / scale_width) * ROW_GROUP + row % ROW_GROUP];
        block(f16::from_le_bytes(scale).to_f32(), quants)
    });
    decoded.flatten().collect()
}
