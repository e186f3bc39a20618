//! The gated delta rule (<https://arxiv.org/abs/2412.06464>), token by token, after a short causal convolution with silu.

use super::{Variant, params};
use crate::error::Result;
use crate::gpu::{Dispatch, Features, Kernel, Recording, Slice};
pub use crate::reference::delta_scan::DeltaHeads;
use crate::shader::Shader;

/// Columns of a state that a workgroup computes. Head widths are multiples of it.
pub const COLUMNS: usize = 32;
/// Threads that share a column.
const PARTS: usize = 4;

/// The buffers of a scan.
#[derive(Debug)]
pub struct DeltaScan<'a> {
    /// Queries, keys and values before the convolution, then the gates of writing and of forgetting, two numbers a head. `// [tokens,
    /// stride]`
    pub rows: &'a Slice,
    /// Width of a row.
    pub stride: usize,
    /// Column of the first gate.
    pub gate_offset: usize,
    /// Inputs of the convolution before the first row; read only. `// [3, channels]`
    pub before: &'a Slice,
    /// Weights of the convolution, the newest token's last. `// [channels, 4]`
    pub conv: &'a Slice,
    /// Decay rate of each head, and the bias of its decay gate. `// [values]` each
    pub rates: [&'a Slice; 2],
    /// The recurrent state. `// [values, dim, dim]`
    pub state: &'a Slice,
    /// Stores the new state; otherwise the state does not change.
    pub keeps: bool,
    /// `// [tokens, values, dim]`
    pub out: &'a Slice,
}

/// The kernel for a head width.
pub fn kernel(dim: usize) -> Kernel {
    let own = dim.div_ceil(PARTS * COLUMNS);
    let shader = Shader::new("delta_scan").set_all([("DIM", dim), ("LANES", dim / PARTS), ("OWN", own)]);
    Kernel::new(format!("delta_scan<{dim}>"), Features::NONE, shader, Variant::DeltaScan { dim })
}

/// Records the scan of `tokens` tokens.
pub fn record(recording: &mut Recording, tokens: usize, heads: DeltaHeads, scan: &DeltaScan<'_>) -> Result<()> {
    let DeltaHeads { keys, values, dim, tiled } = heads;
    let &DeltaScan { rows, stride, gate_offset, before, conv, rates: [rate, dt], state, keeps, out } = scan;
    recording.dispatch(Dispatch {
        kernel: kernel(dim),
        params: params!(tokens, heads = values, key_heads = keys, tiled, stride, offset = gate_offset, keeps),
        buffers: [rows, before, conv, rate, dt, state, out].map(Slice::clone).into(),
        grid: [values as u32, (dim / COLUMNS) as u32, 1],
        note: format!("tokens={tokens} heads={keys}+{values} dim={dim}"),
    })
}
