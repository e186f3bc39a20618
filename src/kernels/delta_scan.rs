//! The gated delta rule (<https://arxiv.org/abs/2412.06464>), token by token, behind a short causal convolution with silu.

use super::{Variant, params};
use crate::error::Result;
use crate::gpu::{Dispatch, Features, Kernel, Recording, Slice};
pub use crate::reference::delta_scan::DeltaHeads;
use crate::shader::Shader;

/// Columns of a state that a workgroup has; widths of heads are multiples of it.
pub const COLUMNS: usize = 32;

/// The buffers of a scan.
#[derive(Debug)]
pub struct DeltaScan<'a> {
    /// Queries, keys and values before the convolution, and from a column on gates, which decide how much is written and how much is
    /// forgotten: two numbers a head. `// [tokens, stride]`
    pub rows: &'a Slice,
    /// Width of a row, and the column of its first gate.
    pub place: (usize, usize),
    /// The last rows before the first, whose channels the convolution sees; stays as it is. `// [3, channels]`
    pub before: &'a Slice,
    /// Of the convolution, the newest token's last. `// [channels, 4]`
    pub conv: &'a Slice,
    /// How fast each head forgets, and what is added first. `// [values]` each
    pub rates: [&'a Slice; 2],
    /// What is remembered. `// [values, dim, dim]`
    pub state: &'a Slice,
    /// Whether the tokens are remembered too; else the state stays as it is.
    pub keeps: bool,
    /// `// [tokens, values, dim]`
    pub out: &'a Slice,
}

/// The kernel for heads of a width.
pub fn kernel(dim: usize) -> Kernel {
    let shader = Shader::new("delta_scan").set("DIM", dim);
    Kernel::new(format!("delta_scan<{dim}>"), Features::NONE, shader, Variant::DeltaScan { dim })
}

/// Records the scan of so many tokens.
pub fn record(recording: &mut Recording, tokens: usize, heads: DeltaHeads, scan: &DeltaScan<'_>) -> Result<()> {
    let DeltaHeads { keys, values, dim, tiled } = heads;
    let &DeltaScan { rows, place: (stride, offset), before, conv, rates: [rate, dt], state, keeps, out } = scan;
    recording.dispatch(Dispatch {
        kernel: kernel(dim),
        params: params!(tokens, heads = values, key_heads = keys, tiled, stride, offset, keeps),
        buffers: [rows, before, conv, rate, dt, state, out].map(Slice::clone).into(),
        grid: [values as u32, (dim / COLUMNS) as u32, 1],
        note: format!("tokens={tokens} heads={keys}+{values} dim={dim}"),
    })
}
