//! Encoding of numbers to planes, and decoding.

use half::f16;

use super::decode::At;
use super::{BLOCK, Layout, MatrixShape, ROW_GROUP};
use crate::error::{Error, Result};

/// A number that cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unstorable {
    /// Row within the rows given.
    pub row: usize,
    /// First column of its block.
    pub col: usize,
    /// The number, or the scale computed from it.
    pub value: f32,
    /// Description of the fault.
    pub reason: &'static str,
}

const NOT_FINITE: &str = "is not a finite number";
const ONLY_FROM_FILES: &str = "cannot be stored in this layout, which is only read from files";

/// Appends whole rows to the planes of a matrix `cols` wide. The number of rows must be a multiple of [`ROW_GROUP`] in every
/// call but the last, which completes the group with zeros.
///
/// # Errors
/// [`Unstorable`] for NaN, infinity, what overflows an `f16`, and a layout that is not among [`Layout::from_numbers`].
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

fn encode_group(layout: Layout, group: &[f32], planes: &mut [Vec<u8>]) -> std::result::Result<(), Unstorable> {
    let (cols, width) = (group.len() / ROW_GROUP, layout.scale_width());
    let mut scales = vec![f16::ZERO; cols.div_ceil(width) * ROW_GROUP]; // [cols / width, 4]
    for (row, numbers) in group.chunks_exact(cols).enumerate() {
        if let Some(at) = numbers.iter().position(|x| !x.is_finite()) {
            return Err(Unstorable { row, col: at / BLOCK * BLOCK, value: numbers[at], reason: NOT_FINITE });
        }
        for (index, block) in numbers.chunks(width).enumerate() {
            let encode = layout.spec().encode.ok_or((block[0], ONLY_FROM_FILES));
            let scale = encode.and_then(|encode| encode(block, &mut planes[0]));
            scales[index * ROW_GROUP + row] =
                scale.map_err(|(value, reason)| Unstorable { row, col: index * width, value, reason })?;
        }
    }
    if let Some(plane) = planes.get_mut(1) {
        plane.extend(scales.iter().flat_map(|scale| scale.to_le_bytes()));
    }
    Ok(())
}

/// The numbers of a whole tensor, row-major and unpadded; [`Error::Internal`] if the planes are not those of such a tensor.
pub fn decode(layout: Layout, shape: &[usize], planes: &[impl AsRef<[u8]>]) -> Result<Vec<f32>> {
    let planes: &[&[u8]] = &planes.iter().map(AsRef::as_ref).collect::<Vec<_>>();
    let expected = layout.planes(shape).unwrap_or_default();
    if expected.is_empty() || !expected.iter().map(|p| p.bytes).eq(planes.iter().map(|p| p.len() as u64)) {
        return Err(Error::Internal { detail: format!("these are not the planes of a {layout} tensor {shape:?}") });
    }
    let &[rows, cols] = shape else {
        return Ok(planes[0].as_chunks::<4>().0.iter().map(|&x| f32::from_le_bytes(x)).collect());
    };
    let blocks = MatrixShape { rows, cols }.blocks();
    let row = |row: usize| {
        let numbers = (0..blocks).flat_map(move |block| (layout.spec().decode)(planes, At { row, block, blocks }));
        numbers.take(cols)
    };
    Ok((0..rows).flat_map(row).collect())
}
