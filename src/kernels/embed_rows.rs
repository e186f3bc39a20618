//! The rows that start a forward pass: embeddings of tokens and features of pictures.

use super::{linear_grid, params_of, weight_snippet};
use crate::error::Result;
use crate::gpu::{Access, Dispatch, Features, Kernel, Recording, Slice};
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

/// Parts of an embedding that one launch binds on every device, beside three bindings of its own.
fn parts_at_once(layout: Layout) -> usize {
    (8 - OWN.len()) / layout.plane_units().len()
}

const OWN: [Access; 3] = [Access::Read, Access::Read, Access::ReadWrite];

/// The kernel for a layout of the embedding, and for so many parts of it.
pub fn kernel(layout: Layout, parts: usize) -> Kernel {
    let planes = layout.plane_units().len();
    let snippets = (0..parts).map(|part| snippet(layout, part, planes).into());
    let shader = include_str!("../../shaders/embed_rows.wgsl").into();
    let of_parts = if parts > 1 { format!(",{parts} parts") } else { String::new() };
    Kernel {
        name: format!("embed_rows<{layout}{of_parts}>").into(),
        wgsl: snippets.chain([choice(parts).into(), shader]).collect(),
        needs: Features::NONE,
        bindings: OWN.into_iter().chain(std::iter::repeat_n(Access::Read, parts * planes)).collect(),
    }
}

/// The WGSL that reads part `part`, under names and with bindings of its own.
fn snippet(layout: Layout, part: usize, planes: usize) -> String {
    let mut text = weight_snippet(layout).to_owned();
    if part > 0 {
        for name in ["w_values", "w_tops", "w_scales", "w_supers", "block_scale", "weight4"] {
            text = text.replace(name, &format!("{name}_{part}"));
        }
        // From the last on, so that none is moved twice.
        for plane in (0..planes).rev() {
            let binding = |at: usize| format!("@binding({})", OWN.len() + 1 + at);
            text = text.replace(&binding(plane), &binding(part * planes + plane));
        }
    }
    text
}

/// The WGSL that finds the part of a row.
fn choice(parts: usize) -> String {
    let tried = (1..parts).rev().map(|part| {
        format!("  if row >= {part}u * p.part_rows {{\n    return weight4_{part}(row - {part}u * p.part_rows, k4, p.blocks);\n  }}\n")
    });
    let tried: String = tried.collect();
    format!("fn embedding4(row: u32, k4: u32) -> vec4f {{\n{tried}  return weight4(row, k4, p.blocks);\n}}\n")
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
