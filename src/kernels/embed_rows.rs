//! The rows that start a forward pass: embeddings of tokens and features of pictures.

use super::{linear_grid, params_of, weighted};
use crate::error::Result;
use crate::gpu::{Access, Dispatch, Kernel, Recording, Slice};
use crate::weights::layout::Layout;
use crate::weights::upload::Weight;

/// Set in a source that names a row of the features instead of a token.
pub const FEATURE: u32 = 1 << 31;

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    tokens: u32,
    width4: u32,
    blocks: u32,
    first_row: u32,
    rows: u32,
    with_features: u32,
    padding: [u32; 2],
}

/// The kernel for a layout of the embedding.
pub fn kernel(layout: Layout) -> Kernel {
    let own = [Access::Read, Access::Read, Access::ReadWrite];
    weighted("embed_rows", include_str!("../../shaders/embed_rows.wgsl"), own, layout)
}

/// Records `out[t] = embedding[sources[t]]`, or `features[..]` where [`FEATURE`] is set; a launch for each part of the embedding.
///
/// `sources`: `// [tokens]`; `features`: `// [rows, hidden]`, any buffer if no source names it; `out`: `// [tokens, hidden]`.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(
    recording: &mut Recording,
    embedding: &Weight,
    tokens: usize,
    sources: &Slice,
    features: &Slice,
    out: &Slice,
) -> Result<()> {
    let width4 = embedding.shape.cols / 4;
    for part in &embedding.parts {
        let params = Params {
            tokens: tokens as u32,
            width4: width4 as u32,
            blocks: embedding.shape.blocks() as u32,
            first_row: part.first_row as u32,
            rows: part.rows as u32,
            with_features: (part.first_row == 0).into(),
            padding: [0; 2],
        };
        recording.dispatch(Dispatch {
            kernel: kernel(embedding.layout),
            params: params_of(&params),
            buffers: [sources, features, out].into_iter().chain(&part.planes).cloned().collect(),
            grid: linear_grid(tokens * width4),
            note: format!("tokens={tokens} width={} rows={}..+{}", width4 * 4, part.first_row, part.rows),
        })?;
    }
    Ok(())
}
