//! The rows that start a forward pass: embeddings of tokens and features of pictures.

use super::{Variant, linear_grid, params_of};
use crate::error::Result;
use crate::gpu::{Dispatch, Features, Kernel, Recording, Slice};
use crate::shader::Shader;
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
    part_rows: u32,
    padding: u32,
}

/// Bindings beside the planes.
const OWN: usize = 3;

/// Parts of an embedding that one launch binds on every device.
pub fn parts_at_once(layout: Layout) -> usize {
    (8 - OWN) / layout.plane_units().len()
}

/// The kernel for a layout of the embedding, and for so many parts of it.
pub fn kernel(layout: Layout, parts: usize) -> Kernel {
    let shader = Shader::new("embed_rows").choose("LAYOUT", layout.name()).set_all([
        ("PARTS", parts),
        ("WHOLE_BLOCKS", 0),
        ("PACKED", 0),
    ]);
    let of_parts = if parts > 1 { format!(",{parts} parts") } else { String::new() };
    let variant = Variant::EmbedRows { layout, parts };
    Kernel::new(format!("embed_rows<{layout}{of_parts}>"), Features::NONE, shader, variant)
}

/// Records `out[t] = embedding[sources[t]]`, or `features[..]` where [`FEATURE`] is set; more than one launch where the embedding is
/// in many parts.
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
    for parts in embedding.parts.chunks(parts_at_once(embedding.layout).max(1)) {
        let Some(first) = parts.first() else { continue };
        let rows = parts.iter().map(|part| part.rows).sum::<usize>();
        let params = Params {
            tokens: tokens as u32,
            width4: width4 as u32,
            blocks: embedding.shape.blocks() as u32,
            first_row: first.first_row as u32,
            rows: rows as u32,
            with_features: (first.first_row == 0).into(),
            part_rows: first.rows as u32,
            padding: 0,
        };
        recording.dispatch(Dispatch {
            kernel: kernel(embedding.layout, parts.len()),
            params: params_of(&params),
            buffers: [sources, features, out]
                .into_iter()
                .chain(parts.iter().flat_map(|part| &part.planes))
                .cloned()
                .collect(),
            grid: linear_grid(tokens * width4),
            note: format!("tokens={tokens} width={} rows={}..+{rows}", width4 * 4, first.first_row),
        })?;
    }
    Ok(())
}
