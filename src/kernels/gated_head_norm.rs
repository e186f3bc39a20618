//! Root-mean-square norm of every head, times a gate; also saves the last inputs of the convolution.

use super::{params, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};
use crate::layout::LaneLayout;

/// Parts of the work that a launch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormMode {
    /// Norms heads and saves the last inputs of the convolution.
    All,
    /// Norms heads.
    Norm,
    /// Saves the last inputs of the convolution.
    Keep,
}

/// Arguments of a launch.
#[derive(Debug)]
pub struct GatedHeadNorm<'a> {
    /// Number of tokens.
    pub tokens: usize,
    /// Heads of a token.
    pub heads: usize,
    /// Width of a head.
    pub dim: usize,
    /// Heads, normed in place. `// [tokens, heads, dim]`
    pub x: &'a Slice,
    /// Lane layout of the normed heads. Heads consist of whole groups.
    pub lane_layout: LaneLayout,
    /// Inputs of the convolution, then the gates of the heads. `// [tokens, stride]`
    pub rows: &'a Slice,
    /// Width of a row.
    pub stride: usize,
    /// Column of the first gate.
    pub gate_offset: usize,
    /// `// [dim]`
    pub weight: &'a Slice,
    /// Added to the mean square.
    pub eps: f32,
    /// Channels of the convolution.
    pub channels: usize,
    /// Inputs of the convolution before the rows, replaced by the last ones of the rows. `// [3, channels]`
    pub seen: &'a Slice,
}

/// The kernel.
pub fn kernel() -> Kernel {
    plain("gated_head_norm")
}

/// Records `x = x / sqrt(mean(x^2) + eps) * weight * silu(gate)` over heads of `dim`, in place, and/or saves the last convolution inputs
/// for the next call (see [`NormMode`]).
pub fn record(recording: &mut Recording, mode: NormMode, norm: &GatedHeadNorm<'_>) -> Result<()> {
    let &GatedHeadNorm { tokens, heads, dim, x, lane_layout, rows, stride, gate_offset, weight, eps, channels, seen } =
        norm;
    let (first, end) = match mode {
        NormMode::All => (0, tokens + 1),
        NormMode::Norm => (0, tokens),
        NormMode::Keep => (tokens, tokens + 1),
    };
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params!(
            tokens,
            heads,
            dim,
            channels,
            stride,
            offset = gate_offset,
            first,
            eps,
            lane_layout = lane_layout.word(),
        ),
        buffers: [x, rows, weight, seen].map(Slice::clone).into(),
        grid: [heads as u32, (end - first) as u32, 1],
        note: format!("tokens={tokens} heads={heads} dim={dim} channels={channels} {mode:?}"),
    })
}
