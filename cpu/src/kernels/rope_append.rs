//! Rotation of new queries and keys, and the append of keys and values to the cache.

use bytemuck::{Pod, Zeroable};

use super::cache::{Place, Store};
use super::qkv_matvec::query_place;
use super::step::Step;
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::op::{Norms, Op};
use crate::work::Work;

/// Widest head.
const MAX_DIM: usize = 512;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    tokens: u32,
    q_heads: u32,
    kv_heads: u32,
    stride4: u32,
    apart: u32,
    eps: f32,
    q_layout: u32,
}

/// Rotates and scales queries in place, and appends rotated keys and values to the cache; with norms, queries and keys are normed first. Bindings:
/// the rows: `// [tokens, stride]`, the weights of the norms of queries and keys if there are norms: `// [dim]`, the planes of the cache, the step
/// buffer.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Op::RopeAppend { head_dim, norms: kind, ropes, held } = launch.op else { return Err(Fault::Malformed) };
    let Params { tokens, q_heads, kv_heads, stride4, apart, eps, q_layout } = launch.params()?;
    let [tokens, q, kv, stride, apart] = [tokens, q_heads, kv_heads, stride4 * 4, apart].map(|size| size as usize);
    let dim = usize::from(head_dim);
    let (mut rest, has_norms) = (launch.params[size_of::<Params>() / 4..].iter().copied(), kind != Norms::None);
    let mut word = || rest.next().map(|word| word as usize).ok_or(Fault::Missing);
    let (rope, words) = if ropes > 1 { (word()?, word()?) } else { (0, dim + 4) };
    let of_values = if kind == Norms::Keys { 0 } else { kv };
    let heads = q.saturating_add(kv).saturating_add(of_values);
    let fits = heads.checked_mul(dim).is_some_and(|width| width <= stride);
    if dim == 0 || dim > MAX_DIM || dim % 2 != 0 || !fits {
        return Err(Fault::OutOfBounds);
    }
    let rows = launch.output::<f32, _>(0, [tokens, stride])?; // [tokens, stride]
    let norms: Option<[&[f32]; 2]> =
        if has_norms { Some([launch.input(1, [dim])?, launch.input(2, [dim])?]) } else { None };
    let store = Store::of(launch, if has_norms { 3 } else { 1 }, held)?;
    let step = Step::of(launch.whole(if has_norms { 3 } else { 1 } + store.bindings())?)?;
    while let Some(item) = work.next(tokens * (q + kv)) {
        let (token, head) = (item / (q + kv), item % (q + kv));
        let (conversation, index) = step.row(token)?;
        let position = conversation.position.checked_add(index).ok_or(Fault::OutOfBounds)?;
        let rotation = conversation.rotation(position, dim, (rope, ropes.into(), words))?;
        // SAFETY: Each head is given to one thread, a key's with its value's.
        let x = unsafe { rows.part(token * stride + head * dim, dim) };
        let mut rotated = [0.0; MAX_DIM];
        let is_query = head < q;
        let normed = match norms {
            None => 1.0,
            // SAFETY: Called within an entry of the set.
            Some(_) => 1.0 / libm::sqrtf(unsafe { super::rms_norm::squares::<I>(x) } / dim as f32 + eps),
        };
        let gain = |at: usize| norms.map_or(1.0, |[q, k]| normed * if is_query { q[at] } else { k[at] });
        let scale = if is_query { rotation.scale } else { 1.0 };
        for pair in 0..dim / 2 {
            let (a_at, b_at) = if pair < apart { (pair, pair + apart) } else { (2 * pair, 2 * pair + 1) };
            if b_at >= dim {
                return Err(Fault::OutOfBounds);
            }
            let [a, b] = [a_at, b_at].map(|at| x[at] * gain(at));
            let (cos, sin) = (rotation.cos[pair] * scale, rotation.sin[pair] * scale);
            (rotated[a_at], rotated[b_at]) = (a * cos - b * sin, b * cos + a * sin);
        }
        if is_query {
            for four in 0..dim / 4 {
                let to = 4 * query_place(four, q_layout);
                if let Some(to) = x.get_mut(to..to + 4) {
                    to.copy_from_slice(&rotated[4 * four..][..4]);
                }
            }
            continue;
        }
        let place = Place { row: conversation.kv_row(position)?, head: head - q, heads: kv };
        let values = match kind {
            Norms::Keys => x,
            // SAFETY: As above.
            _ => unsafe { rows.part(token * stride + (head + kv) * dim, dim) },
        };
        let mut scaled = [0.0; MAX_DIM];
        let scale = match kind {
            Norms::None | Norms::Plain => 1.0,
            // SAFETY: Called within an entry of the set.
            Norms::Values => 1.0 / libm::sqrtf(unsafe { super::rms_norm::squares::<I>(values) } / dim as f32 + eps),
            Norms::Keys => normed,
        };
        scaled.iter_mut().zip(&*values).for_each(|(scaled, value)| *scaled = value * scale);
        // SAFETY: As above.
        unsafe { store.head(place, &rotated[..dim], &scaled[..dim]) };
    }
    Ok(())
}
