//! Joins the partial results of a split [`attention_step`](super::attention_step)
//! (<https://crfm.stanford.edu/2023/10/12/flashdecoding.html>).

use super::attention::Heads;
use super::{Variant, linear_grid, params};
use crate::error::Result;
use crate::gpu::{Dispatch, Features, Kernel, Recording, Slice};
use crate::layout::LaneLayout;
use crate::shader::Shader;

/// The kernel for a head width, with or without gates.
pub fn kernel(head_dim: usize, is_gated: bool) -> Kernel {
    let shader = Shader::new("attention_join").set("HEAD_DIM4", head_dim / 4).set("GATED", is_gated.into());
    let variant = Variant::AttentionJoin { head_dim, is_gated };
    let gated = if is_gated { ",gated" } else { "" };
    Kernel::new(format!("attention_join<{head_dim}{gated}>"), Features::NONE, shader, variant)
}

/// Records the join of `splits` splits for `rows` rows, each of a token's query head.
///
/// `partials`: `// [splits, rows, head_dim + 4]`; `gates`, with the query heads of a token: `// [rows / heads, heads, head_dim]`; `out`:
/// `// [rows, head_dim]`, the row of a token in `lane_layout`.
pub fn record(
    recording: &mut Recording,
    rows: usize,
    splits: usize,
    head_dim: usize,
    partials: &Slice,
    gates: Option<&(Heads, usize)>,
    (out, lane_layout): (&Slice, LaneLayout),
) -> Result<()> {
    let (heads, q_stride4, gate_offset4) =
        gates.map_or((0, 0, 0), |(gates, heads)| (*heads, gates.stride / 4, gates.offset / 4));
    let gates = gates.map(|(gates, _)| &gates.buffer);
    recording.dispatch(Dispatch {
        kernel: kernel(head_dim, gates.is_some()),
        params: params!(rows, splits, heads, q_stride4, gate_offset4, lane_layout = lane_layout.word()),
        buffers: [partials, out].into_iter().chain(gates).cloned().collect(),
        grid: linear_grid(rows * head_dim / 4),
        note: format!("rows={rows} splits={splits} dim={head_dim}"),
    })
}
