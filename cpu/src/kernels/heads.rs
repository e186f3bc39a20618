//! Attention of a few rows of queries over a range of keys, with an online softmax (<https://arxiv.org/abs/2205.14135>).

use super::math::exp;
use super::step::{Conversation, PAGE};
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::op::Held;
use crate::work::Work;

/// Keys that are taken at a time. Divides a page.
pub(crate) const KEYS: usize = 64;
/// Widest head.
pub(crate) const MAX_DIM: usize = 512;
/// Score of a key that is not seen.
pub(crate) const HIDDEN: f32 = -1e30;
/// Most rows of queries.
pub(crate) const MAX_ROWS: usize = 32;

/// Keys or values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plane<'a> {
    /// Their numbers.
    pub(crate) bytes: &'a [u8],
    /// Numbers from a row to the next.
    pub(crate) stride: usize,
    /// Number of the first head's first number in a row.
    pub(crate) offset: usize,
}

/// Keys and values of all heads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeysValues<'a> {
    pub(crate) held: Held,
    /// Keys, values.
    pub(crate) planes: [Plane<'a>; 2],
    /// For integers: scales of keys and values, in halves of words. `// [pages, kv_heads, PAGE]`
    pub(crate) scales: &'a [u32],
    pub(crate) kv_heads: usize,
    pub(crate) dim: usize,
    /// The conversation with the page table; none for matrices in the order of positions.
    pub(crate) pages: Option<Conversation<'a>>,
}

impl<'a> KeysValues<'a> {
    /// The planes of a cache from binding `first` on.
    pub(crate) fn of_cache(
        launch: &Launch<'a>,
        first: usize,
        held: Held,
        (kv_heads, dim): (usize, usize),
        conversation: Conversation<'a>,
    ) -> Result<Self, Fault> {
        let plane = |binding| Ok(Plane { bytes: launch.whole(binding)?, stride: kv_heads * dim, offset: 0 });
        let scales = if held == Held::Int8 { launch.whole(first + 2)? } else { &[] };
        let planes = [plane(first)?, plane(first + 1)?];
        Ok(Self { held, planes, scales, kv_heads, dim, pages: Some(conversation) })
    }

    /// Most positions that can have rows of their own.
    fn positions(&self) -> usize {
        let rows = |plane: &Plane<'_>| plane.bytes.len().checked_div(plane.stride * self.held.bytes()).unwrap_or(0);
        // The last row may be shorter than the stride.
        self.planes.iter().map(rows).fold(usize::MAX, usize::min).saturating_add(1)
    }

    /// Widens keys (`which` 0) or values (1) of a head at positions `start..start + count`, which are on one page. `to`: `// [KEYS, padded]`
    ///
    /// # Safety
    /// The instruction set is there; `to` has room.
    #[inline(always)]
    unsafe fn widen<I: Isa>(
        &self,
        which: usize,
        head: usize,
        start: usize,
        count: usize,
        (to, padded): (*mut f32, usize),
    ) -> Result<(), Fault> {
        let Plane { bytes, stride, offset } = self.planes[which];
        let first_row = self.pages.map_or(Ok(start), |pages| pages.kv_row(start))?;
        let size = self.held.bytes();
        for index in 0..count {
            let row = first_row + index;
            let at = row.checked_mul(stride).and_then(|at| at.checked_add(offset + head * self.dim));
            let first = at.and_then(|at| at.checked_mul(size)).ok_or(Fault::OutOfBounds)?;
            let from = bytes.get(first..).and_then(|rest| rest.get(..self.dim * size)).ok_or(Fault::OutOfBounds)?;
            let scale = if self.held == Held::Int8 {
                let at = (row / PAGE * self.kv_heads + head) * PAGE + row % PAGE;
                let word = *self.scales.get(at).ok_or(Fault::OutOfBounds)?;
                half::f16::from_bits((word >> (16 * which)) as u16).to_f32_const()
            } else {
                1.0
            };
            // SAFETY: As of this function; `from` has a head's numbers.
            unsafe { row_of::<I>(self.held, from, scale, to.add(index * padded), self.dim) }
        }
        Ok(())
    }
}

/// Widens `dim` numbers.
#[inline(always)]
unsafe fn row_of<I: Isa>(held: Held, from: &[u8], scale: f32, to: *mut f32, dim: usize) {
    // SAFETY: The caller has `dim` numbers at both places, and the instruction set.
    unsafe {
        let whole = if held == Held::Int8 { 0 } else { dim / I::LANES * I::LANES };
        let mut at = 0;
        while at < whole {
            let numbers = match held {
                Held::F32 => I::load(from.as_ptr().add(at * 4).cast()),
                _ => I::load_halves(from.as_ptr().add(at * 2).cast()),
            };
            I::store(to.add(at), numbers);
            at += I::LANES;
        }
        for at in whole..dim {
            *to.add(at) = match held {
                Held::F32 => from.as_ptr().cast::<f32>().add(at).read_unaligned(),
                Held::F16 => half::f16::from_bits(from.as_ptr().cast::<u16>().add(at).read_unaligned()).to_f32_const(),
                Held::Int8 => scale * f32::from(*from.as_ptr().cast::<i8>().add(at)),
            };
        }
    }
}

/// How scores follow from products.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scoring {
    pub(crate) scale: f32,
    /// Factor before the hyperbolic tangent of a soft cap.
    pub(crate) squash: Option<f32>,
}

/// Rows of queries that are computed together, in memory of the thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    /// `// [rows, padded]`
    queries: *mut f32,
    /// `// [rows, padded]`
    sums: *mut f32,
    /// `// [rows, KEYS]`
    weights: *mut f32,
    /// Keys, then values. `// [KEYS, padded]`
    tile: *mut f32,
    dim: usize,
    /// `dim`, filled with zeros up to whole vectors.
    padded: usize,
    count: usize,
    /// Largest score and sum of weights of each row.
    pub(crate) peaks: [f32; MAX_ROWS],
    pub(crate) totals: [f32; MAX_ROWS],
}

impl Rows {
    /// `count` rows of queries, which `query` returns.
    pub(crate) fn of<'q, I: Isa>(
        work: &mut Work<'_>,
        (count, dim): (usize, usize),
        query: impl Fn(usize) -> Result<&'q [f32], Fault>,
    ) -> Result<Self, Fault> {
        if count > MAX_ROWS || dim > MAX_DIM || dim == 0 {
            return Err(Fault::OutOfBounds);
        }
        let padded = dim.next_multiple_of(I::LANES);
        let scratch = work.scratch(2 * count * padded + count * KEYS + KEYS * padded);
        let (queries, rest) = scratch.split_at_mut(count * padded);
        let (sums, rest) = rest.split_at_mut(count * padded);
        let (weights, tile) = rest.split_at_mut(count * KEYS);
        sums.fill(0.0);
        for (row, to) in queries.chunks_exact_mut(padded).enumerate() {
            to[..dim].copy_from_slice(query(row)?.get(..dim).ok_or(Fault::OutOfBounds)?);
            to[dim..].fill(0.0);
        }
        if padded > dim {
            tile.fill(0.0);
        }
        let [queries, sums, weights, tile] = [queries, sums, weights, tile].map(<[f32]>::as_mut_ptr);
        let (peaks, totals) = ([HIDDEN; MAX_ROWS], [0.0; MAX_ROWS]);
        Ok(Self { queries, sums, weights, tile, dim, padded, count, peaks, totals })
    }

    /// Adds the keys of a head at positions from `span`. `seen` is the half-open range of positions that a row sees.
    ///
    /// # Safety
    /// The instruction set is there, and the scratch of the thread is not used otherwise.
    #[inline(always)]
    pub(crate) unsafe fn add<I: Isa>(
        &mut self,
        kv: &KeysValues<'_>,
        head: usize,
        span: (usize, usize),
        scoring: Scoring,
        seen: impl Fn(usize) -> (usize, usize),
    ) -> Result<(), Fault> {
        if span.1.saturating_sub(span.0) > kv.positions() {
            return Err(Fault::OutOfBounds);
        }
        let mut start = span.0;
        while start < span.1 {
            let count = (KEYS - start % KEYS).min(span.1 - start);
            // SAFETY: As of this function; the tile has room for the keys of a page.
            unsafe {
                kv.widen::<I>(0, head, start, count, (self.tile, self.padded))?;
                self.score::<I>(count);
                for row in 0..self.count {
                    let (first, end) = seen(row);
                    let within = |position: usize| position.clamp(start, start + count) - start;
                    self.weigh::<I>(row, count, (within(first), within(end.max(first))), scoring);
                }
                kv.widen::<I>(1, head, start, count, (self.tile, self.padded))?;
                self.mix::<I>(count);
            }
            start += count;
        }
        Ok(())
    }

    /// Products of all queries and the keys of the tile.
    #[inline(always)]
    unsafe fn score<I: Isa>(&mut self, count: usize) {
        // SAFETY: As of `add`; all places are within the memory of `of`.
        unsafe {
            let mut key = 0;
            while key < count {
                if key + 4 <= count {
                    let mut row = 0;
                    while row + 2 <= self.count {
                        self.products::<I, 2, 4>(row, key);
                        row += 2;
                    }
                    if row < self.count {
                        self.products::<I, 1, 4>(row, key);
                    }
                    key += 4;
                } else {
                    for row in 0..self.count {
                        self.products::<I, 1, 1>(row, key);
                    }
                    key += 1;
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn products<I: Isa, const R: usize, const K: usize>(&mut self, row: usize, key: usize) {
        // SAFETY: As of `score`.
        unsafe {
            let padded = self.padded;
            let (queries, keys) = (self.queries.add(row * padded), self.tile.add(key * padded));
            let mut sums = [[I::splat(0.0); K]; R];
            let mut at = 0;
            while at < padded {
                let mut q = [I::splat(0.0); R];
                for row in 0..R {
                    q[row] = I::load(queries.add(row * padded + at));
                }
                for key in 0..K {
                    let k = I::load(keys.add(key * padded + at));
                    for row in 0..R {
                        sums[row][key] = I::fma(q[row], k, sums[row][key]);
                    }
                }
                at += I::LANES;
            }
            for of_row in 0..R {
                let to = self.weights.add((row + of_row) * KEYS + key);
                if let [a, b, c, d] = sums[of_row][..] {
                    to.cast::<[f32; 4]>().write(I::four_sums([a, b, c, d]));
                } else {
                    (0..K).for_each(|key| *to.add(key) = I::sum(sums[of_row][key]));
                }
            }
        }
    }

    /// Weights of the keys of a row from its scores, those that it does not see 0.
    #[inline(always)]
    unsafe fn weigh<I: Isa>(&mut self, row: usize, count: usize, (first, end): (usize, usize), scoring: Scoring) {
        // SAFETY: As of `score`; the row has room for KEYS weights, a multiple of every vector.
        unsafe {
            let weights = core::slice::from_raw_parts_mut(self.weights.add(row * KEYS), KEYS);
            if first >= end {
                return weights.fill(0.0);
            }
            if let Some(squash) = scoring.squash {
                weights[first..end].iter_mut().for_each(|score| *score = libm::tanhf(*score * squash));
            }
            weights[..first].fill(HIDDEN);
            weights[end..].fill(HIDDEN);
            let whole = &mut weights[..count.next_multiple_of(I::LANES)];
            let (scale, mut peaks) = (I::splat(scoring.scale), I::splat(self.peaks[row]));
            for chunk in whole.chunks_exact_mut(I::LANES) {
                let scores = I::mul(I::load(chunk.as_ptr()), scale);
                peaks = I::max(peaks, scores);
                I::store(chunk.as_mut_ptr(), scores);
            }
            let peak = I::largest(peaks);
            for chunk in whole.chunks_exact_mut(I::LANES) {
                let scores = I::sub(I::load(chunk.as_ptr()), I::splat(peak));
                I::store(chunk.as_mut_ptr(), exp::<I>(scores));
            }
            whole[..first].fill(0.0);
            whole[end..].fill(0.0);
            let mut total = I::splat(0.0);
            for chunk in whole.chunks_exact(I::LANES) {
                total = I::add(total, I::load(chunk.as_ptr()));
            }
            let fade = libm::expf(self.peaks[row] - peak);
            self.totals[row] = self.totals[row] * fade + I::sum(total);
            self.peaks[row] = peak;
            if fade != 1.0 {
                let sums = core::slice::from_raw_parts_mut(self.sums.add(row * self.padded), self.padded);
                sums.iter_mut().for_each(|sum| *sum *= fade);
            }
        }
    }

    /// Adds the weighted values of the tile.
    #[inline(always)]
    unsafe fn mix<I: Isa>(&mut self, count: usize) {
        // SAFETY: As of `score`.
        unsafe {
            let mut row = 0;
            while row + 4 <= self.count {
                self.mix_rows::<I, 4>(row, count);
                row += 4;
            }
            while row < self.count {
                self.mix_rows::<I, 1>(row, count);
                row += 1;
            }
        }
    }

    #[inline(always)]
    unsafe fn mix_rows<I: Isa, const R: usize>(&mut self, row: usize, count: usize) {
        // SAFETY: As of `score`.
        unsafe {
            let mut at = 0;
            while at + 2 * I::LANES <= self.padded {
                self.mix_columns::<I, R, 2>((row, at), count);
                at += 2 * I::LANES;
            }
            if at < self.padded {
                self.mix_columns::<I, R, 1>((row, at), count);
            }
        }
    }

    /// Adds the weighted values of some rows in `V` vectors of columns from a place on.
    #[inline(always)]
    unsafe fn mix_columns<I: Isa, const R: usize, const V: usize>(&mut self, (row, at): (usize, usize), count: usize) {
        // SAFETY: As of `score`.
        unsafe {
            let padded = self.padded;
            let to = self.sums.add(row * padded + at);
            let mut sums = [[I::splat(0.0); V]; R];
            for r in 0..R {
                for v in 0..V {
                    sums[r][v] = I::load(to.add(r * padded + v * I::LANES));
                }
            }
            for key in 0..count {
                let from = self.tile.add(key * padded + at);
                let mut values = [I::splat(0.0); V];
                for v in 0..V {
                    values[v] = I::load(from.add(v * I::LANES));
                }
                for r in 0..R {
                    let weight = I::splat(*self.weights.add((row + r) * KEYS + key));
                    for v in 0..V {
                        sums[r][v] = I::fma(weight, values[v], sums[r][v]);
                    }
                }
            }
            for r in 0..R {
                for v in 0..V {
                    I::store(to.add(r * padded + v * I::LANES), sums[r][v]);
                }
            }
        }
    }

    /// Weighted sums of a row. `// [dim]`
    ///
    /// # Safety
    /// The scratch of the thread is not used otherwise.
    pub(crate) unsafe fn sums(&self, row: usize) -> &[f32] {
        // SAFETY: As of this function; the row is below the count.
        unsafe { core::slice::from_raw_parts(self.sums.add(row.min(self.count - 1) * self.padded), self.dim) }
    }
}

/// The sigmoid of a gate.
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf((-x).min(80.0)))
}
