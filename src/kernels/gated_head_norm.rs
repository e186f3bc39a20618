//! A root-mean-square norm of every head, times a gate.

use super::{params, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

/// The kernel.
pub fn kernel() -> Kernel {
    plain("gated_head_norm")
}

/// Records `x = x / sqrt(mean(x^2) + eps) * weight * silu(gate)` over heads of `dim`, in place.
///
/// `x`: `// [tokens, heads, dim]`; `gates`: `// [tokens, stride]`, those of the heads from column `offset` on; `weight`: `// [dim]`.
pub fn record(
    recording: &mut Recording,
    (tokens, heads, dim): (usize, usize, usize),
    eps: f32,
    x: &Slice,
    (gates, stride, offset): (&Slice, usize, usize),
    weight: &Slice,
) -> Result<()> {
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params!(heads, dim, stride, offset, eps),
        buffers: [x, gates, weight].map(Slice::clone).into(),
        grid: [heads as u32, tokens as u32, 1],
        note: format!("tokens={tokens} heads={heads} dim={dim}"),
    })
}
