//! A pointwise activation in place.

use super::{linear_grid, params, plain};
use crate::config::Activation;
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

/// The kernel.
pub fn kernel() -> Kernel {
    plain("activation")
}

/// Records `x = act(x)`. `x`: `// [len]`.
pub fn record(recording: &mut Recording, len: usize, activation: Activation, x: &Slice) -> Result<()> {
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params!(len, activation),
        buffers: vec![x.clone()],
        grid: linear_grid(len),
        note: format!("len={len} {activation:?}"),
    })
}
