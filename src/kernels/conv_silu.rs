//! A short causal convolution of every channel over the tokens, then silu.

use super::{params, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

/// The kernel.
pub fn kernel() -> Kernel {
    plain("conv_silu")
}

/// Records `y[t] = silu(sum of weight[i] * x[t - 3 + i])` for every channel; what lies before the first token is in `state`, which afterwards
/// holds the last three.
///
/// `x`: `// [tokens, stride]`, channels first; `state`: `// [3, channels]`; `weight`: `// [channels, 4]`; `y`: `// [tokens, channels]`.
pub fn record(
    recording: &mut Recording,
    (tokens, channels, stride): (usize, usize, usize),
    x: &Slice,
    state: &Slice,
    weight: &Slice,
    y: &Slice,
) -> Result<()> {
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params!(tokens, channels, stride),
        buffers: [x, state, weight, y].map(Slice::clone).into(),
        grid: [channels.div_ceil(64) as u32, 1, 1],
        note: format!("tokens={tokens} channels={channels}"),
    })
}
