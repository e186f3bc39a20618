//! The gate of a gated feed-forward (<https://arxiv.org/abs/2002.05202>); with silu it is `SwiGLU`.

use super::{Variant, activation_id, linear_grid, params_of, plain};
use crate::config::Activation;
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    rows: u32,
    width: u32,
    activation: u32,
    padding: u32,
}

/// The kernel.
pub fn kernel() -> Kernel {
    plain("glu", Variant::Glu)
}

/// Records `y = act(gate) * up`. `gate_up`: `// [rows, 2 * width]`, gate first; `y`: `// [rows, width]`.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(
    recording: &mut Recording,
    (rows, width): (usize, usize),
    activation: Activation,
    gate_up: &Slice,
    y: &Slice,
) -> Result<()> {
    let params = Params { rows: rows as u32, width: width as u32, activation: activation_id(activation), padding: 0 };
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params_of(&params),
        buffers: vec![gate_up.clone(), y.clone()],
        grid: linear_grid(rows * width),
        note: format!("rows={rows} width={width} {activation:?}"),
    })
}
