//! Rows of queries, keys and values of a picture, taken apart for its attention: queries and keys by a ready table of angles rotated, keys and values
//! in the attention's precision.

use super::cache::cache_file;
use super::{Variant, linear_grid, params};
use crate::config::{KvPrecision, RopePairs};
use crate::error::Result;
use crate::gpu::{Dispatch, Features, Kernel, Recording, Slice};
pub use crate::reference::rope::Heads;
use crate::shader::Shader;

/// Rows of heads, and where they go.
#[derive(Debug)]
pub struct Rope<'a> {
    /// Queries, keys and values side by side. `// [tokens, stride]`
    pub x: &'a Slice,
    /// Width of a row, at least `(q + 2 * kv) * dim`.
    pub stride: usize,
    /// Rows.
    pub tokens: usize,
    /// How a row divides into heads, which are a multiple of 8 wide. There may be no queries, or nothing else.
    pub heads: Heads,
    /// As [`table`] has them; without, nothing is rotated. `// [tokens, dim]`
    pub angles: Option<&'a Slice>,
    /// Takes the queries. `// [tokens, q, dim]`
    pub q: &'a Slice,
    /// Take the keys and the values. `// [tokens, kv, dim]` each
    pub kv: &'a [Slice; 2],
    /// Of keys and values: floats.
    pub precision: KvPrecision,
}

/// Angles in the order that the kernel reads them in: of pairs of neighbours as they are, else of a row all cosines before all sines.
///
/// `angles`: `// [tokens, dim / 2, (cos, sin)]`
pub fn table(pairs: RopePairs, dim: usize, angles: &[[f32; 2]]) -> Vec<f32> {
    if pairs == RopePairs::Interleaved {
        return angles.as_flattened().to_vec();
    }
    let part = |row: &[[f32; 2]], part: usize| row.iter().map(|angle| angle[part]).collect::<Vec<f32>>();
    angles.chunks_exact(dim / 2).flat_map(|row| [part(row, 0), part(row, 1)]).flatten().collect()
}

/// The kernel for a precision of keys and values, which rotates or does not.
pub fn kernel(is_rotated: bool, precision: KvPrecision) -> Kernel {
    let shader =
        Shader::new("rope").choose("CACHE", cache_file(precision)).set_all([("ROTATED", usize::from(is_rotated))]);
    let name = if is_rotated { format!("rope<{precision}>") } else { format!("rope<{precision},unrotated>") };
    Kernel::new(name, Features::NONE, shader, Variant::Rope { is_rotated, precision })
}

/// Records it.
pub fn record(recording: &mut Recording, rope: &Rope<'_>) -> Result<()> {
    let &Rope { x, stride, tokens, heads: Heads { q: q_heads, kv: kv_heads, dim, pairs }, angles, q, kv, precision } =
        rope;
    let (heads, half_dim4) = (q_heads + 2 * kv_heads, dim / 8);
    recording.dispatch(Dispatch {
        kernel: kernel(angles.is_some(), precision),
        params: params!(
            tokens,
            heads,
            q_heads,
            kv_heads,
            half_dim4,
            stride4 = stride / 4,
            interleaved = pairs == RopePairs::Interleaved,
        ),
        buffers: [x, q].into_iter().chain(angles).chain(kv).cloned().collect(),
        grid: linear_grid(tokens * heads * half_dim4),
        note: format!("tokens={tokens} heads={q_heads}+{kv_heads} dim={dim}"),
    })
}
