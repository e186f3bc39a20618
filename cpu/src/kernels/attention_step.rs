//! Attention of a decode step: a few last tokens over the cache, at the position in the step buffer, over splits of the context.

use bytemuck::{Pod, Zeroable};

use super::heads::{HIDDEN, KeysValues, MAX_ROWS, Rows, Scoring, sigmoid};
use super::lane_place;
use super::step::Step;
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::{Fault, Output};
use crate::op::{Held, Op, Results};
use crate::work::Work;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    m: u32,
    group: u32,
    kv_heads: u32,
    splits: u32,
    scale: f32,
    q_stride4: u32,
    q_offset4: u32,
    gate_offset4: u32,
    lane_layout: u32,
}

/// Sizes and buffers of a launch.
struct Attending<'a> {
    m: usize,
    group: usize,
    kv_heads: usize,
    splits: usize,
    dim: usize,
    stride: usize,
    offset: usize,
    gates: usize,
    lane_layout: u32,
    window: Option<usize>,
    scoring: Scoring,
    tile: usize,
    results: Results,
    q: &'a [f32],
    out: Output<'a, f32>,
    step: Step<'a>,
}

/// Writes the results of `m` tokens, or partial ones. Bindings: the queries: `// [m, stride]`, the results: `// [m, q_heads, dim]`, or `// [splits,
/// m, q_heads, dim + 4]`, the planes of the cache, the step buffer.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Op::AttentionStep { held, .. } = launch.op else { return Err(Fault::Malformed) };
    let a = Attending::of(launch, held)?;
    // The tokens of an item belong to one conversation.
    let together = if a.step.is_apart() { 1 } else { a.m };
    let blocks = (together * a.group).div_ceil(MAX_ROWS);
    let items = a.m / together.max(1) * blocks * a.kv_heads * a.splits;
    while let Some(item) = work.next(items) {
        let (split, rest) = (item % a.splits, item / a.splits);
        let (head, rest) = (rest % a.kv_heads, rest / a.kv_heads);
        let (block, first) = (rest % blocks, rest / blocks * together);
        let rows = (block * MAX_ROWS, (together * a.group).min((block + 1) * MAX_ROWS));
        // SAFETY: Each item is given to one thread.
        unsafe { a.compute::<I>(launch, work, held, (split, head), first, rows) }?;
    }
    Ok(())
}

impl<'a> Attending<'a> {
    fn of(launch: &Launch<'a>, held: Held) -> Result<Self, Fault> {
        let Op::AttentionStep { head_dim, results, scores, tile, .. } = launch.op else { return Err(Fault::Malformed) };
        let p: Params = launch.params()?;
        let mut rest = launch.params[size_of::<Params>() / 4..].iter().copied();
        let window = if scores.is_windowed { Some(rest.next().ok_or(Fault::Missing)? as usize) } else { None };
        let squash = if scores.is_capped { Some(f32::from_bits(rest.next().ok_or(Fault::Missing)?)) } else { None };
        let [m, group, kv_heads, splits] = [p.m, p.group, p.kv_heads, p.splits].map(|size| size as usize);
        let [stride, offset, gates] = [p.q_stride4, p.q_offset4, p.gate_offset4].map(|size| size as usize * 4);
        let (dim, tile) = (usize::from(head_dim), usize::from(tile));
        // Splits write results of their own only if they are partial.
        let is_split_once = results == Results::Partial || splits == 1;
        if m == 0 || group == 0 || kv_heads == 0 || splits == 0 || tile == 0 || !is_split_once {
            return Err(Fault::OutOfBounds);
        }
        let heads = m.checked_mul(group).and_then(|rows| rows.checked_mul(kv_heads)).ok_or(Fault::OutOfBounds)?;
        let numbers = if results == Results::Partial { splits * (dim + 4) } else { dim };
        let out = launch.output(1, [heads, numbers])?;
        let step = Step::of(launch.whole(if held == Held::Int8 { 5 } else { 4 })?)?;
        let (q, scoring) = (launch.whole(0)?, Scoring { scale: p.scale, squash });
        let lane_layout = p.lane_layout;
        Ok(Self {
            m,
            group,
            kv_heads,
            splits,
            dim,
            stride,
            offset,
            gates,
            lane_layout,
            window,
            scoring,
            tile,
            results,
            q,
            out,
            step,
        })
    }

    /// Numbers of a head in a token's row of queries, from column `offset` on.
    fn columns(&self, offset: usize, token: usize, head: usize) -> Result<&'a [f32], Fault> {
        let first = token.checked_mul(self.stride).and_then(|row| row.checked_add(offset + head * self.dim));
        let all = first.and_then(|first| self.q.get(first..)).ok_or(Fault::OutOfBounds)?;
        all.get(..self.dim).ok_or(Fault::OutOfBounds)
    }

    /// Positions of a split of the context, and its number of splits. Splits consist of whole tiles.
    fn span(&self, position: usize, tokens: usize, split: usize, splits: usize) -> (usize, usize) {
        let count = position + tokens;
        let begin = self.window.map_or(0, |window| (position + 1).saturating_sub(window) / self.tile * self.tile);
        let each = (count - begin).div_ceil(splits.max(1)).next_multiple_of(self.tile);
        let first = (begin + split * each).min(count);
        (first, (first + each).min(count))
    }

    /// Computes rows of a split: pairs of a token from `first` on and a query head of a group.
    ///
    /// # Safety
    /// No other thread computes them, and the instruction set is there.
    #[inline(always)]
    unsafe fn compute<I: Isa>(
        &self,
        launch: &Launch<'a>,
        work: &mut Work<'_>,
        held: Held,
        (split, kv_head): (usize, usize),
        first: usize,
        (begin, end): (usize, usize),
    ) -> Result<(), Fault> {
        let (conversation, _) = self.step.row(first)?;
        let apart = self.step.is_apart();
        let (tokens, splits) = if apart { (1, self.apart_splits(conversation.splits)) } else { (self.m, self.splits) };
        let span = self.span(conversation.position, tokens, split, splits);
        let place =
            |row: usize| (first + (begin + row) / self.group, kv_head * self.group + (begin + row) % self.group);
        let mut rows = Rows::of::<I>(work, (end - begin, self.dim), |row| {
            let (token, head) = place(row);
            self.columns(self.offset, token, head)
        })?;
        let kv = KeysValues::of_cache(launch, 2, held, (self.kv_heads, self.dim), conversation)?;
        let seen = |row: usize| {
            let position = conversation.position + place(row).0 - first;
            (self.window.map_or(0, |window| (position + 1).saturating_sub(window)), position + 1)
        };
        // SAFETY: As of this function.
        unsafe {
            rows.add::<I>(&kv, kv_head, span, self.scoring, seen)?;
            for row in 0..end - begin {
                let (token, head) = place(row);
                self.store((split, token, head), &rows, row, span.0 == span.1)?;
            }
        }
        Ok(())
    }

    /// Splits of a conversation that is computed with others.
    fn apart_splits(&self, own: usize) -> usize {
        if self.window.is_some() { own.min(self.splits) } else { own }.max(1)
    }

    /// Stores a row.
    ///
    /// # Safety
    /// No other thread stores it.
    unsafe fn store(
        &self,
        (split, token, head): (usize, usize, usize),
        rows: &Rows,
        row: usize,
        is_empty: bool,
    ) -> Result<(), Fault> {
        let q_heads = self.kv_heads * self.group;
        // SAFETY: As of this function.
        unsafe {
            let sums = rows.sums(row);
            if self.results == Results::Partial {
                let first = ((split * self.m + token) * q_heads + head) * (self.dim + 4);
                let to = self.out.part(first, self.dim + 4);
                let peak = if is_empty { HIDDEN } else { rows.peaks[row] };
                to[..self.dim].copy_from_slice(sums);
                to[self.dim..].copy_from_slice(&[peak, rows.totals[row], 0.0, 0.0]);
                return Ok(());
            }
            let gates =
                if self.results == Results::Gated { Some(self.columns(self.gates, token, head)?) } else { None };
            for (at, sum) in sums.iter().enumerate() {
                let result = sum / rows.totals[row] * gates.map_or(1.0, |gates| sigmoid(gates[at]));
                self.out.set(lane_place((token * q_heads + head) * self.dim + at, self.lane_layout), result);
            }
        }
        Ok(())
    }
}
