//! A soft cap in place: how Gemma models bound their logits.

use super::{linear_grid, params, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

/// The kernel.
pub fn kernel() -> Kernel {
    plain("soft_cap")
}

/// Records `x = cap * tanh(x / cap)`; NaN and infinities stay. `x`: `// [len]`.
pub fn record(recording: &mut Recording, len: usize, cap: f32, x: &Slice) -> Result<()> {
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params!(len, cap),
        buffers: vec![x.clone()],
        grid: linear_grid(len),
        note: format!("len={len} cap={cap}"),
    })
}
