//! Conversion of ggml blocks to planes.

use half::f16;

use super::ggml::Parts;
use super::{Layout, ROW_GROUP, SUPER_BLOCK, ScaleFields};

/// Bytes and elements of a ggml block. `None` for layouts that ggml does not have.
pub fn block_size(layout: Layout) -> Option<(usize, usize)> {
    let elements = layout.plane_units().iter().map(|unit| unit.cols).max()?;
    Some((layout.spec().ggml.as_ref()?.bytes, elements))
}

/// Index of the first block with a scale that is not finite; no quantiser writes such a scale.
pub fn first_not_finite(layout: Layout, blocks: &[u8]) -> Option<usize> {
    let ggml = layout.spec().ggml.as_ref()?;
    let is_finite = |block: &[u8]| match ggml.scales {
        ScaleFields::Halves(scales) => {
            scales.iter().all(|&at| f16::from_le_bytes([block[at], block[at + 1]]).is_finite())
        }
        ScaleFields::Exponent => block[0] != u8::MAX,
    };
    blocks.chunks_exact(ggml.bytes).position(|block| !is_finite(block))
}

/// Appends whole rows of ggml's blocks, `blocks` to a row, to the planes of a matrix. The number of rows must be a multiple of
/// [`ROW_GROUP`] in every call but the last, which completes the group with zeros.
pub fn append_rows(layout: Layout, blocks: usize, rows: &[u8], planes: &mut [Vec<u8>]) {
    let Some(ggml) = layout.spec().ggml.as_ref().filter(|_| blocks > 0) else { return };
    let units = layout.plane_units();
    let mut parts: Parts = [[0; SUPER_BLOCK / 2]; 4];
    for group in rows.chunks(ggml.bytes * blocks * ROW_GROUP) {
        let starts: Vec<usize> = planes.iter().map(Vec::len).collect();
        for (plane, unit) in planes.iter_mut().zip(units) {
            plane.resize(plane.len() + unit.bytes * blocks * ROW_GROUP, 0);
        }
        for (index, block) in group.chunks_exact(ggml.bytes).enumerate() {
            (ggml.split)(block, &mut parts);
            let (row, at) = (index / blocks, index % blocks);
            for (((plane, start), unit), part) in planes.iter_mut().zip(&starts).zip(units).zip(&parts) {
                let (out, part) = (&mut plane[*start..], &part[..unit.bytes]);
                let Some(piece) = unit.interleaved else {
                    out[index * unit.bytes..][..unit.bytes].copy_from_slice(part);
                    continue;
                };
                for (i, bytes) in part.chunks_exact(piece).enumerate() {
                    let place = (at * (unit.bytes / piece) + i) * ROW_GROUP + row;
                    out[place * piece..][..piece].copy_from_slice(bytes);
                }
            }
        }
    }
}
