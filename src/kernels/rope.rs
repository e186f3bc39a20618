//! Queries, keys and values of a picture, split into separate buffers for its attention: queries and keys rotated by a table of angles,
//! keys and values converted to the precision of the attention.

use super::cache::cache_file;
use super::rope_append::HeadNorms;
use super::{Variant, linear_grid, params};
use crate::config::{KvPrecision, RopePairs};
use crate::error::Result;
use crate::gpu::{Dispatch, Features, Kernel, Recording, Slice};
pub use crate::reference::rope::Heads;
use crate::shader::Shader;

/// Arguments of a launch.
#[derive(Debug)]
pub struct Rope<'a> {
    /// Queries, keys and values of each row, in this order. `// [tokens, stride]`
    pub x: &'a Slice,
    /// Width of a row, at least `(q + 2 * kv) * dim`.
    pub stride: usize,
    /// Number of rows.
    pub tokens: usize,
    /// Division of a row into heads, whose width is a multiple of 8. Queries may be absent, or keys and values.
    pub heads: Heads,
    /// Angles in the format of [`table`]; without them nothing is rotated. `// [tokens, dim]`
    pub angles: Option<&'a Slice>,
    /// Norms before the rotation, if any; values are then normed without a weight.
    pub norms: Option<&'a HeadNorms>,
    /// Output for the queries. `// [tokens, q, dim]`
    pub q: &'a Slice,
    /// Outputs for the keys and the values. `// [tokens, kv, dim]` each
    pub kv: &'a [Slice; 2],
    /// Float format of keys and values.
    pub precision: KvPrecision,
}

/// Angles in the order in which the kernel reads them: unchanged for interleaved pairs; otherwise all cosines of a row before all sines.
///
/// `angles`: `// [tokens, dim / 2, (cos, sin)]`
pub fn table(pairs: RopePairs, dim: usize, angles: &[[f32; 2]]) -> Vec<f32> {
    if pairs == RopePairs::Interleaved {
        return angles.as_flattened().to_vec();
    }
    let part = |row: &[[f32; 2]], part: usize| row.iter().map(|angle| angle[part]).collect::<Vec<f32>>();
    angles.chunks_exact(dim / 2).flat_map(|row| [part(row, 0), part(row, 1)]).flatten().collect()
}

/// The kernel for a precision of keys and values, with or without rotation and norms.
pub fn kernel(is_rotated: bool, has_norms: bool, precision: KvPrecision) -> Kernel {
    let shader = Shader::new("rope").choose("CACHE", cache_file(precision));
    let shader = shader.set_all([("ROTATED", is_rotated.into()), ("NORM", has_norms.into())]);
    let (unrotated, norm) = (if is_rotated { "" } else { ",unrotated" }, if has_norms { ",norm" } else { "" });
    let name = format!("rope<{precision}{unrotated}{norm}>");
    Kernel::new(name, Features::NONE, shader, Variant::Rope { is_rotated, has_norms, precision })
}

/// Records the launch.
pub fn record(recording: &mut Recording, rope: &Rope<'_>) -> Result<()> {
    let &Rope { x, stride, tokens, heads, angles, norms, q, kv, precision } = rope;
    let Heads { q: q_heads, kv: kv_heads, dim, pairs } = heads;
    let gains = norms.into_iter().flat_map(|norms| [&norms.q, &norms.k]);
    let (heads, half_dim4) = (q_heads + 2 * kv_heads, dim / 8);
    recording.dispatch(Dispatch {
        kernel: kernel(angles.is_some(), norms.is_some(), precision),
        params: params!(
            tokens,
            heads,
            q_heads,
            kv_heads,
            half_dim4,
            stride4 = stride / 4,
            interleaved = pairs == RopePairs::Interleaved,
            eps = norms.map(|norms| norms.eps),
        ),
        buffers: [x, q].into_iter().chain(angles).chain(gains).chain(kv).cloned().collect(),
        grid: linear_grid(tokens * heads * half_dim4),
        note: format!("tokens={tokens} heads={q_heads}+{kv_heads} dim={dim}"),
    })
}
