//! The rows that start a forward pass: embeddings of tokens and features of pictures.

use super::{Variant, linear_grid, params};
use crate::error::Result;
use crate::gpu::{Dispatch, Features, Kernel, Recording, Slice};
use crate::layout::{LaneLayout, Layout};
use crate::shader::Shader;
use crate::weights::Weight;

pub use crate::reference::embed_rows::FEATURE;

/// Bindings besides the planes.
const OWN: usize = 3;

/// Parts of an embedding that one launch can bind on every device.
pub fn parts_at_once(layout: Layout) -> usize {
    (8 - OWN) / layout.plane_units().len()
}

/// The kernel for an embedding layout and for `parts` parts of the embedding, with or without a scale.
pub fn kernel(layout: Layout, parts: usize, is_scaled: bool) -> Kernel {
    let shader = Shader::new("embed_rows").choose("LAYOUT", layout.name());
    let shader = shader.set_all([("PARTS", parts), ("MULTIPLIED", is_scaled.into())]);
    let of_parts = if parts > 1 { format!(",{parts} parts") } else { String::new() };
    let scaled = if is_scaled { ",scaled" } else { "" };
    let variant = Variant::EmbedRows { layout, parts, is_scaled };
    Kernel::new(format!("embed_rows<{layout}{of_parts}{scaled}>"), Features::NONE, shader, variant)
}

/// Records `out[t] = scale * embedding[sources[t]]`, or `features[..]` if [`FEATURE`] is set. An embedding with many parts takes several
/// launches.
///
/// `sources`: `// [tokens]`; `features`: `// [rows, hidden]`, any buffer if no source refers to it; `out`: `// [tokens, hidden]`, rows in
/// `lane_layout`.
pub fn record(
    recording: &mut Recording,
    (embedding, scale): (&Weight, Option<f32>),
    tokens: usize,
    sources: &Slice,
    features: &Slice,
    (out, lane_layout): (&Slice, LaneLayout),
) -> Result<()> {
    let width4 = embedding.shape.cols / 4;
    for parts in embedding.parts.chunks(parts_at_once(embedding.layout).max(1)) {
        let Some(first) = parts.first() else { continue };
        let planes = parts.iter().flat_map(|part| &part.planes);
        let rows = parts.iter().map(|part| part.rows).sum::<usize>();
        let params = params!(
            tokens,
            width4,
            blocks = embedding.shape.blocks(),
            first_row = first.first_row,
            rows,
            with_features = first.first_row == 0,
            part_rows = first.rows,
            lane_layout = lane_layout.word(),
            scale,
        );
        recording.dispatch(Dispatch {
            kernel: kernel(embedding.layout, parts.len(), scale.is_some()),
            params,
            buffers: [sources, features, out].into_iter().chain(planes).cloned().collect(),
            grid: linear_grid(tokens * width4),
            note: format!("tokens={tokens} width={} rows={}..+{rows}", width4 * 4, first.first_row),
        })?;
    }
    Ok(())
}
