//! Rows split into heads: queries in rows of their own, keys and values in buffers in the precision of the attention, rotated by angles.

use bytemuck::{Pod, Zeroable};

use super::cache::Store;
use super::heads::MAX_DIM;
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::op::{Held, Op};
use crate::work::Work;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    tokens: u32,
    heads: u32,
    q_heads: u32,
    kv_heads: u32,
    half_dim4: u32,
    stride4: u32,
    interleaved: u32,
}

/// Writes queries, keys and values. Bindings: `x`: `// [tokens, stride]`, the queries: `// [tokens, q_heads, dim]`, the angles if there are angles:
/// `// [tokens, dim]`, the weights of the norms of queries and keys if there are norms: `// [dim]`, the keys and the values: `// [tokens, kv_heads, dim]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Op::Rope { is_rotated, has_norms, held } = launch.op else { return Err(Fault::Malformed) };
    let p: Params = launch.params()?;
    let [tokens, heads, q_heads, kv_heads] = [p.tokens, p.heads, p.q_heads, p.kv_heads].map(|size| size as usize);
    let (dim, stride) = (p.half_dim4 as usize * 8, p.stride4 as usize * 4);
    // Heads of no numbers would be work without memory.
    if dim == 0 || dim > MAX_DIM || heads.checked_mul(dim).is_none_or(|width| width > stride) || held == Held::Int8 {
        return Err(Fault::OutOfBounds);
    }
    let x: &[f32] = launch.input(0, [tokens, stride])?; // [tokens, stride]
    let q = launch.output::<f32, _>(1, [tokens, q_heads, dim])?; // [tokens, q_heads, dim]
    let angles: Option<&[f32]> = if is_rotated { Some(launch.input(2, [tokens, dim])?) } else { None }; // [tokens, dim]
    let next = if is_rotated { 3 } else { 2 };
    let norms: Option<[&[f32]; 2]> =
        if has_norms { Some([launch.input(next, [dim])?, launch.input(next + 1, [dim])?]) } else { None };
    let eps = if has_norms {
        f32::from_bits(*launch.params.get(size_of::<Params>() / 4).ok_or(Fault::Missing)?)
    } else {
        0.0
    };
    let store = Store::of(launch, if has_norms { next + 2 } else { next }, held)?;
    let keys = q_heads + kv_heads;
    while let Some(item) = work.next(tokens * heads) {
        let (token, head) = (item / heads, item % heads);
        let x = &x[token * stride + head * dim..][..dim];
        let mut normed = [0.0; MAX_DIM];
        let x = match norms {
            None => x,
            Some([q, k]) => {
                // SAFETY: Called within an entry of the set.
                let scale = 1.0 / libm::sqrtf(unsafe { super::rms_norm::squares::<I>(x) } / dim as f32 + eps);
                let gain = if head < q_heads { Some(q) } else { Some(k).filter(|_| head < keys) };
                for (at, (normed, x)) in normed.iter_mut().zip(x).enumerate() {
                    *normed = x * scale * gain.map_or(1.0, |gain| gain[at]);
                }
                &normed[..dim]
            }
        };
        let mut turned = [0.0; MAX_DIM];
        let turned = &mut turned[..dim];
        turned.copy_from_slice(x);
        if let Some(angles) = angles.filter(|_| head < keys) {
            turn(x, &angles[token * dim..][..dim], p.interleaved == 1, turned);
        }
        // SAFETY: Each head is given to one thread.
        unsafe {
            if head < q_heads {
                q.part((token * q_heads + head) * dim, dim).copy_from_slice(turned);
            } else if head < keys {
                store.keys((token * kv_heads + head - q_heads) * dim, turned);
            } else {
                store.values((token * kv_heads + head - keys) * dim, turned);
            }
        }
    }
    Ok(())
}

/// Rotates the pairs of a head. `angles`: cosine and sine of each pair, or all cosines before all sines.
fn turn(x: &[f32], angles: &[f32], is_interleaved: bool, turned: &mut [f32]) {
    let half = x.len() / 2;
    for pair in 0..half {
        let (a, b, cos, sin) = if is_interleaved {
            (2 * pair, 2 * pair + 1, angles[2 * pair], angles[2 * pair + 1])
        } else {
            (pair, pair + half, angles[pair], angles[pair + half])
        };
        (turned[a], turned[b]) = (x[a] * cos - x[b] * sin, x[b] * cos + x[a] * sin);
    }
}
