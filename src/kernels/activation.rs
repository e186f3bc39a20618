//! A pointwise activation in place.

use super::{Variant, activation_id, linear_grid, params_of, plain};
use crate::config::Activation;
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    len: u32,
    activation: u32,
    padding: [u32; 2],
}

/// The kernel.
pub fn kernel() -> Kernel {
    plain("activation", Variant::Activation)
}

/// Records `x = act(x)`. `x`: `// [len]`.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, len: usize, activation: Activation, x: &Slice) -> Result<()> {
    let params = Params { len: len as u32, activation: activation_id(activation), padding: [0; 2] };
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params_of(&params),
        buffers: vec![x.clone()],
        grid: linear_grid(len),
        note: format!("len={len} {activation:?}"),
    })
}
