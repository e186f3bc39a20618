//! Partial attentions over splits of the context to one: the second half of a split
//! [`attention_step`](super::attention_step) (<https://crfm.stanford.edu/2023/10/12/flashdecoding.html>).

use super::{Variant, linear_grid, params};
use crate::error::Result;
use crate::gpu::{Dispatch, Features, Kernel, Recording, Slice};
use crate::shader::Shader;

/// The kernel for a head width.
pub fn kernel(head_dim: usize) -> Kernel {
    let shader = Shader::new("attention_join").set("HEAD_DIM4", head_dim / 4);
    let variant = Variant::AttentionJoin { head_dim };
    Kernel::new(format!("attention_join<{head_dim}>"), Features::NONE, shader, variant)
}

/// Records it for `rows` rows, a token's query head each, of `splits` splits.
///
/// `partials`: `// [splits, rows, head_dim + 4]`; `out`: `// [rows, head_dim]`.
pub fn record(
    recording: &mut Recording,
    (rows, splits, head_dim): (usize, usize, usize),
    partials: &Slice,
    out: &Slice,
) -> Result<()> {
    recording.dispatch(Dispatch {
        kernel: kernel(head_dim),
        params: params!(rows, splits),
        buffers: vec![partials.clone(), out.clone()],
        grid: linear_grid(rows * head_dim / 4),
        note: format!("rows={rows} splits={splits} dim={head_dim}"),
    })
}
