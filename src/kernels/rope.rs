//! Rotary embedding by a ready table of angles: decoder, `YaRN` and the tower's two-dimensional kind alike.

use super::{linear_grid, params, plain};
use crate::config::RopePairs;
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};
pub use crate::reference::rope::Heads;

/// The kernel.
pub fn kernel() -> Kernel {
    plain("rope")
}

/// Records the rotation of all query and key heads in place, and the scaling of the queries.
///
/// `qkv`: `// [tokens, stride]`; `angles`: `// [tokens, dim / 2, (cos, sin)]`; `q_scale`: `// [tokens]`.
pub fn record(
    recording: &mut Recording,
    heads: Heads,
    (tokens, stride): (usize, usize),
    qkv: &Slice,
    angles: &Slice,
    q_scale: &Slice,
) -> Result<()> {
    let (pairs, all_heads) = (heads.dim / 2, heads.q + heads.k);
    let params = params!(
        tokens,
        heads = all_heads,
        q_heads = heads.q,
        pairs,
        stride,
        interleaved = heads.pairs == RopePairs::Interleaved,
    );
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params,
        buffers: vec![qkv.clone(), angles.clone(), q_scale.clone()],
        grid: linear_grid(tokens * all_heads * pairs),
        note: format!("tokens={tokens} heads={}+{} dim={}", heads.q, heads.k, heads.dim),
    })
}
