//! Grouped-query attention of many rows: causal over a cache for the decoder, over all patches of a picture for the tower.

use bytemuck::{Pod, Zeroable};

use super::heads::{KeysValues, MAX_ROWS, Plane, Rows, Scoring, sigmoid};
use super::step::Step;
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::op::{Held, Op, Source};
use crate::work::Work;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    q_tokens: u32,
    kv_tokens: u32,
    group: u32,
    past: u32,
    causal: u32,
    scale: f32,
    q_stride4: u32,
    q_offset4: u32,
    k_stride4: u32,
    k_offset4: u32,
    v_stride4: u32,
    v_offset4: u32,
    out_stride4: u32,
    gate_offset4: u32,
}

/// Writes `softmax(q * k^T * scale) * v`. Bindings: the queries: `// [q_tokens, q_stride]`, the results: `// [q_tokens, q_heads * dim]`, keys and
/// values as matrices, or the planes of a cache and the step buffer.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Op::Attention { head_dim, source, held, is_gated, scores } = launch.op else { return Err(Fault::Malformed) };
    let p: Params = launch.params()?;
    let mut rest = launch.params[size_of::<Params>() / 4..].iter().copied();
    let window = if scores.is_windowed { Some(rest.next().ok_or(Fault::Missing)? as usize) } else { None };
    let squash = if scores.is_capped { Some(f32::from_bits(rest.next().ok_or(Fault::Missing)?)) } else { None };
    let scoring = Scoring { scale: p.scale, squash };
    let [q_tokens, kv_tokens, group, past] = [p.q_tokens, p.kv_tokens, p.group, p.past].map(|size| size as usize);
    let [q_stride, q_offset, out_stride, gates] =
        [p.q_stride4, p.q_offset4, p.out_stride4, p.gate_offset4].map(|size| size as usize * 4);
    let (dim, kv_heads) = (usize::from(head_dim), launch.grid[1] as usize);
    if group == 0 || dim == 0 || kv_heads.checked_mul(group * dim).is_none_or(|width| width > out_stride) {
        return Err(Fault::OutOfBounds);
    }
    let q: &[f32] = launch.input(0, [q_tokens, q_stride])?;
    let out = launch.output::<f32, _>(1, [q_tokens, out_stride])?;
    let kv = keys_values(launch, &p, (source, held), (kv_heads, dim))?;
    let rows = q_tokens * group;
    let blocks = rows.div_ceil(MAX_ROWS);
    let columns = |offset: usize, row: usize, kv_head: usize| {
        let first = row / group * q_stride + offset + (kv_head * group + row % group) * dim;
        q.get(first..).and_then(|rest| rest.get(..dim)).ok_or(Fault::OutOfBounds)
    };
    while let Some(item) = work.next(blocks * kv_heads) {
        let (kv_head, first) = (item / blocks, item % blocks * MAX_ROWS);
        let count = MAX_ROWS.min(rows - first);
        let causal = p.causal == 1;
        let position = |row: usize| past + (first + row) / group;
        let seen = |row: usize| match causal {
            false => (0, kv_tokens),
            true => {
                let end = kv_tokens.min(position(row) + 1);
                (window.map_or(0, |window| (position(row) + 1).saturating_sub(window)), end)
            }
        };
        let span = (seen(0).0, seen(count - 1).1);
        let mut block = Rows::of::<I>(work, (count, dim), |row| columns(q_offset, first + row, kv_head))?;
        // SAFETY: As of this function; each item is given to one thread.
        unsafe {
            block.add::<I>(&kv, kv_head, span, scoring, seen)?;
            for row in 0..count {
                let token = (first + row) / group;
                let head = kv_head * group + (first + row) % group;
                let to = out.part(token * out_stride + head * dim, dim);
                to.iter_mut().zip(block.sums(row)).for_each(|(to, sum)| *to = sum / block.totals[row]);
                if is_gated {
                    let gates = columns(gates, first + row, kv_head)?;
                    to.iter_mut().zip(gates).for_each(|(to, gate)| *to *= sigmoid(*gate));
                }
            }
        }
    }
    Ok(())
}

fn keys_values<'a>(
    launch: &Launch<'a>,
    p: &Params,
    (source, held): (Source, Held),
    (kv_heads, dim): (usize, usize),
) -> Result<KeysValues<'a>, Fault> {
    if source == Source::Cache {
        let step = Step::of(launch.whole(if held == Held::Int8 { 5 } else { 4 })?)?;
        return KeysValues::of_cache(launch, 2, held, (kv_heads, dim), step.row(0)?.0);
    }
    let plane = |binding, stride4: u32, offset4: u32| {
        Ok(Plane { bytes: launch.whole(binding)?, stride: stride4 as usize * 4, offset: offset4 as usize * 4 })
    };
    let planes = [plane(2, p.k_stride4, p.k_offset4)?, plane(3, p.v_stride4, p.v_offset4)?];
    Ok(KeysValues { held, planes, scales: &[], kv_heads, dim, pages: None })
}
