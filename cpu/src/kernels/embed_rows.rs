//! Rows that start a forward pass: embeddings of tokens, or features of pictures.

use bytemuck::{Pod, Zeroable};

use super::matmul::CHUNK;
use super::matrix::{BLOCK, GROUP, Matrix};
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::op::Op;
use crate::work::Work;

/// Set in a source where the rest is a row of features.
const FEATURE: u32 = 0x8000_0000;
/// Most parts of an embedding in a launch.
const MAX_PARTS: usize = 8;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    tokens: u32,
    width4: u32,
    blocks: u32,
    first_row: u32,
    rows: u32,
    with_features: u32,
    part_rows: u32,
    lane_layout: u32,
}

/// Writes `out[t] = scale * embedding[sources[t]]`, or a row of the features. Bindings: the sources: `// [tokens]`, the features, `out`:
/// `// [tokens, width]`, the planes of the parts of the embedding.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Op::EmbedRows { layout, parts, is_scaled } = launch.op else { return Err(Fault::Malformed) };
    let format = &I::FORMATS[layout as usize];
    let Params { tokens, width4, blocks, first_row, rows, with_features, part_rows, lane_layout } = launch.params()?;
    let [tokens, width, blocks, part_rows] = [tokens, width4 * 4, blocks, part_rows].map(|size| size as usize);
    let scale = if is_scaled { *launch.params.get(size_of::<Params>() / 4).ok_or(Fault::Missing)? } else { 0 };
    let scale = if is_scaled { f32::from_bits(scale) } else { 1.0 };
    let parts = usize::from(parts);
    if blocks != width.div_ceil(BLOCK) || parts == 0 || parts > MAX_PARTS || part_rows == 0 {
        return Err(Fault::OutOfBounds);
    }
    let sources: &[u32] = launch.input(0, [tokens])?; // [tokens]
    let features: &[f32] = launch.whole(1)?; // [rows, width]
    let out = launch.output::<f32, _>(2, [tokens, width])?; // [tokens, width]
    let mut matrices = [None; MAX_PARTS];
    for (part, matrix) in matrices.iter_mut().enumerate().take(parts) {
        let left = (rows as usize).saturating_sub(part * part_rows);
        let here = if part + 1 < parts { part_rows } else { left };
        *matrix = Some(Matrix::of(launch, 3 + part * layout.planes(), layout, here, blocks)?);
    }
    while let Some(token) = work.next(tokens) {
        let source = sources[token];
        // SAFETY: Each token is given to one thread.
        let set = |at: usize, x: f32| unsafe { out.set(super::lane_place(token * width + at, lane_layout), x) };
        if source & FEATURE != 0 {
            let first = (source & !FEATURE) as usize * width;
            if let Some(row) = features.get(first..first + width).filter(|_| with_features == 1) {
                row.iter().enumerate().for_each(|(at, &x)| set(at, x));
            }
            continue;
        }
        let row = source.wrapping_sub(first_row);
        if row >= rows {
            continue;
        }
        let part = (row as usize / part_rows).min(parts - 1);
        let Some(matrix) = &matrices[part] else { continue };
        let row = row as usize - part * part_rows;
        for first in (0..blocks).step_by(CHUNK) {
            let count = CHUNK.min(blocks - first);
            let panel = work.scratch(GROUP * CHUNK * BLOCK); // [GROUP, CHUNK * BLOCK]
            // SAFETY: The row is within the part, the instruction set is there, and the panel has room for a chunk.
            unsafe { (format.unpack)(matrix, row / GROUP, first..first + count, panel.as_mut_ptr()) };
            let numbers = &panel[row % GROUP * CHUNK * BLOCK..][..count * BLOCK];
            for (at, number) in numbers.iter().enumerate().take(width - first * BLOCK) {
                set(first * BLOCK + at, if is_scaled { scale * number } else { *number });
            }
        }
    }
    Ok(())
}
