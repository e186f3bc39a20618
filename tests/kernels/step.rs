//! Cases of the kernels that read their position from the GPU.

use ocelli::config::{KvPrecision, RopePairs};
use ocelli::gpu::Features;
use ocelli::kernels::TuningGroup;
use ocelli::kernels::attention_step::{AttentionStep, Tuning, partials_len};
use ocelli::kernels::cache::Cache;
use ocelli::kernels::rope_append::{Heads, RopeAppend, TABLE, table_stride};
use ocelli::{Result, kernels, reference};

use crate::attention::{Scores, cached};
use crate::bench::{Bench, Output};
use crate::cache::twin;
use crate::case::{Case, POINTWISE, SUM, case};
use crate::tiers::tiers;

/// Where a step stands, and what its table holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turning {
    pub(crate) position: usize,
    pub(crate) table_first: usize,
    /// Rows of the table.
    pub(crate) rows: usize,
    /// Only quarter turns, and queries are scaled by powers of two: nothing is rounded.
    pub(crate) exact: bool,
}

/// The step's words and table.
#[derive(Debug)]
pub(crate) struct Table {
    turning: Turning,
    table: Vec<f32>,
}

impl Table {
    pub(crate) fn new(bench: &mut Bench<'_>, head_dim: usize, turning: Turning) -> Self {
        let mut table = Vec::with_capacity(turning.rows * table_stride(head_dim));
        for _ in 0..turning.rows {
            for _ in 0..head_dim / 2 {
                let angle = bench.random.number() * 4.0;
                let quarter = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]][bench.random.bits() as usize % 4];
                table.extend(if turning.exact { quarter } else { [angle.cos(), angle.sin()] });
            }
            table.extend([if turning.exact { 2.0 } else { 1.5 + bench.random.number() }, f32::NAN, f32::NAN, f32::NAN]);
        }
        Self { turning, table }
    }

    /// What the kernels read.
    pub(crate) fn words(&self) -> Vec<u32> {
        let mut words = vec![u32::MAX; TABLE];
        (words[1], words[3]) = (self.turning.position as u32, self.turning.table_first as u32);
        words.extend(self.table.iter().map(|x| x.to_bits()));
        words
    }

    pub(crate) fn step(&self) -> reference::rope_append::Step<'_> {
        let Turning { position, table_first, .. } = self.turning;
        reference::rope_append::Step { position, table_first, table: &self.table }
    }
}

/// The reference's name for heads.
pub(crate) fn twin_heads(heads: Heads) -> reference::rope_append::Heads {
    let Heads { q, kv, dim, pairs } = heads;
    reference::rope_append::Heads { q, kv, dim, interleaved: pairs == RopePairs::Interleaved }
}

/// A cache to be written, with room for two tokens more.
#[derive(Debug)]
pub(crate) struct NewCache {
    precision: KvPrecision,
    planes: Vec<Output>,
}

impl NewCache {
    /// Every bit of which counts, or where only what the words are worth does.
    pub(crate) fn new(
        bench: &Bench<'_>,
        precision: KvPrecision,
        heads: Heads,
        tokens: usize,
        exact: bool,
    ) -> Result<Self> {
        let plane = |bytes: u64| {
            let words = ((tokens + 2) * heads.kv) as u64 * bytes / 4;
            match precision {
                _ if exact => bench.output_words(words as usize),
                KvPrecision::F16 => bench.output_halves(words as usize),
                _ => bench.output(words as usize),
            }
        };
        let planes = precision.head_bytes(heads.dim).into_iter().map(plane).collect::<Result<_>>()?;
        Ok(Self { precision, planes })
    }

    /// What the kernel binds.
    pub(crate) fn bound(&self) -> Cache {
        Cache { precision: self.precision, planes: self.planes.iter().map(|plane| plane.slice.clone()).collect() }
    }

    /// What the reference writes.
    pub(crate) fn words(&mut self) -> reference::cache::Cache<'_> {
        let mut words = self.planes.iter_mut().map(Output::expected_words);
        let mut plane = || words.next().unwrap_or_default();
        reference::cache::Cache { k: plane(), v: plane(), scales: plane() }
    }

    pub(crate) fn expect(self, bench: &mut Bench<'_>, magnitude: f32) {
        for mut plane in self.planes {
            plane.magnitude = magnitude;
            bench.expect(plane);
        }
    }
}

fn rope_append(tokens: usize, heads: Heads, precision: KvPrecision, turning: Turning) -> Case {
    let sizes = format!("tokens={tokens} {heads:?} {precision} {turning:?}").replace("Turning ", "");
    case("rope_append", POINTWISE, sizes, move |bench| {
        let stride = (heads.q + 2 * heads.kv) * heads.dim;
        // 128ths, the largest of every head 127 of them: every precision holds them exactly.
        let number = |i: usize, bits: u32| if i.is_multiple_of(heads.dim) { 127 } else { (bits % 255) as i32 - 127 };
        let mut qkv: Vec<f32> =
            (0..tokens * stride).map(|i| number(i, bench.random.bits() >> 8) as f32 / 128.0).collect();
        let table = Table::new(bench, heads.dim, turning);
        let step = bench.words(&table.words())?;
        let mut out = bench.in_place(&qkv)?;
        let mut cache = NewCache::new(bench, precision, heads, turning.position + tokens, turning.exact)?;
        let launch = RopeAppend { qkv: &out.slice, tokens, heads, step: &step, cache: &cache.bound() };
        kernels::rope_append::record(&mut bench.recording, &launch)?;
        reference::rope_append::compute(twin_heads(heads), table.step(), &mut qkv, twin(precision), cache.words());
        out.expected().copy_from_slice(&qkv);
        bench.expect(out);
        cache.expect(bench, 2.0);
        Ok(())
    })
}

/// `(last tokens, pieces of the context)`, their position, heads, head width.
#[derive(Debug, Clone, Copy)]
struct Attending {
    m: usize,
    splits: usize,
    position: usize,
    heads: (usize, usize),
    head_dim: usize,
    tuning: Tuning,
}

fn attention_step(shape: Attending, precision: KvPrecision, scores: Scores) -> Case {
    let sizes = format!("{shape:?} {precision} {scores:?}").replace("Attending ", "").replace("Tuning ", "");
    case("attention_step", SUM, sizes, move |bench| {
        let Attending { m, splits, position, heads: (q_heads, kv_heads), head_dim, tuning } = shape;
        let (q_width, kv_width, tokens) = (q_heads * head_dim, kv_heads * head_dim, position + m);
        let (stride, offset) = (q_width + 8, 4);
        let q = scores.numbers(bench, m * stride, 1.0); // [m, stride]
        let mut k = scores.numbers(bench, tokens * kv_width, -1.0); // [tokens, kv_width]
        let mut v = bench.random.numbers(tokens * kv_width, 1.0); // [tokens, kv_width]
        let cache = cached(bench, precision, head_dim, &mut k, &mut v)?;
        let step = bench.words(&[u32::MAX, position as u32, u32::MAX, u32::MAX])?;
        let mut out = bench.output(m * q_width)?;
        let mut partials = bench.output(partials_len(m, q_heads, head_dim, splits).max(1))?;
        let queries = kernels::attention::Heads { buffer: bench.input(&q)?, stride, offset };
        let launch = AttentionStep {
            q: &queries,
            cache: &cache,
            step: &step,
            m,
            q_heads,
            kv_heads,
            head_dim,
            splits,
            out: &out.slice,
            partials: &partials.slice,
            tuning,
        };
        kernels::attention_step::record_pieces(&mut bench.recording, &launch)?;
        let heads = |values, stride, offset| reference::attention::Heads { values, stride, offset };
        let (q, k, v) = (heads(&q[..], stride, offset), heads(&k[..], kv_width, 0), heads(&v[..], kv_width, 0));
        if splits == 1 {
            let causal_past = Some(position);
            let shape = reference::attention::Shape {
                q_tokens: m,
                kv_tokens: tokens,
                q_heads,
                kv_heads,
                head_dim,
                causal_past,
            };
            reference::attention::compute(shape, q, k, v, out.expected());
        } else {
            let tile = tuning.tile();
            let shape = reference::attention_step::Shape { m, position, q_heads, kv_heads, head_dim, splits, tile };
            reference::attention_step::compute(shape, q, k, v, partials.expected());
        }
        bench.expect(out);
        bench.expect(partials);
        Ok(())
    })
    .using(shape.tuning.uses)
}

fn attention_join(rows: usize, splits: usize, head_dim: usize) -> Case {
    case("attention_join", SUM, format!("rows={rows} splits={splits} dim={head_dim}"), move |bench| {
        let mut partials = bench.random.numbers(splits * rows * (head_dim + 4), 1.0); // [splits, rows, head_dim + 4]
        for (index, piece) in partials.chunks_exact_mut(head_dim + 4).enumerate() {
            // All pieces but the first may be empty.
            let is_empty = index >= rows && bench.random.bits().is_multiple_of(3);
            let (peak, total) = (bench.random.number() * 20.0, 1.5 + bench.random.number());
            piece[head_dim..].copy_from_slice(&[peak, total, 0.0, 0.0]);
            if is_empty {
                piece.fill(0.0);
                piece[head_dim] = reference::attention_step::HIDDEN;
            }
        }
        let mut out = bench.output(rows * head_dim)?;
        let slice = bench.input(&partials)?;
        kernels::attention_join::record(&mut bench.recording, (rows, splits, head_dim), &slice, &out.slice)?;
        reference::attention_join::compute((rows, head_dim), &partials, out.expected());
        bench.expect(out);
        Ok(())
    })
}

pub(crate) fn rows() -> Vec<Case> {
    let mut rows = append_rows();
    rows.extend(attention_rows());
    for (row, splits, dim) in [(1, 1, 4), (3, 2, 12), (32, 7, 128), (5, 32, 256), (9, 3, 80), (17, 5, 64)] {
        rows.push(attention_join(row, splits, dim));
    }
    rows
}

fn append_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for precision in KvPrecision::ALL {
        for (index, dim) in [4, 12, 64, 80, 128, 256].into_iter().enumerate() {
            let pairs = [RopePairs::Half, RopePairs::Interleaved][index % 2];
            let heads = Heads { q: [1, 4, 3][index % 3], kv: [1, 2][index / 2 % 2], dim, pairs };
            for (tokens, position) in [(1, 0), (1, 31), (5, 7), (33, 128)] {
                let turning = Turning { position, table_first: position / 2, rows: 33 + position, exact: true };
                rows.push(rope_append(tokens, heads, precision, turning));
                if precision != KvPrecision::Int8 {
                    rows.push(rope_append(tokens, heads, precision, Turning { exact: false, ..turning }));
                }
            }
        }
        // More heads than one dimension of a grid takes here.
        let heads = Heads { q: 4, kv: 2, dim: 12, pairs: RopePairs::Interleaved };
        let turning = Turning { position: 1, table_first: 0, rows: 5600, exact: true };
        rows.push(rope_append(32_768 / 6 + 7, heads, precision, turning));
    }
    rows
}

/// Positions around the borders of tiles and pieces, which one pipeline serves.
const POSITIONS: [usize; 10] = [0, 5, 31, 63, 64, 65, 127, 128, 143, 300];

fn attention_rows() -> Vec<Case> {
    const HEADS: [(usize, usize); 7] = [(1, 1), (4, 1), (4, 2), (5, 1), (3, 3), (8, 2), (16, 1)];
    let odd = Tuning { threads: 48, positions: 3, uses: Features::NONE, emulated: 0 };
    let tunings = [Tuning::HARDWARE, Tuning::SOFTWARE, odd];
    let mut rows = Vec::new();
    for (turn, precision) in KvPrecision::ALL.into_iter().enumerate() {
        for (index, head_dim) in [4, 12, 40, 64, 96, 128, 160, 256].into_iter().enumerate() {
            let (heads, m) = (HEADS[(3 * index + turn) % 7], [1, 2, 4, 8, 1, 3, 1, 5][(index + turn) % 8]);
            let (tuning, splits) = (tunings[(index + turn) % 3], [1, 3, 1, 8][(index + 2 * turn) % 4]);
            let shape = |position| Attending { m, splits, position, heads, head_dim, tuning };
            rows.extend(POSITIONS.map(|position| attention_step(shape(position), precision, Scores::Mild)));
        }
    }
    // Widths whose scale, head_dim^-0.5, is exact: so are the scores.
    for (index, head_dim) in [4, 16, 64, 256].into_iter().enumerate() {
        let (m, splits, tuning) = ([1, 8, 3, 1][index], 1 + index % 2, tunings[index % 2]);
        for position in [0, 65, 200] {
            let shape = Attending { m, splits, position, heads: (4, 2), head_dim, tuning };
            rows.extend([Scores::Steep, Scores::Sunken].map(|scores| attention_step(shape, KvPrecision::F32, scores)));
        }
    }
    rows.extend(lane_rows());
    rows
}

/// Subgroups of the device's own size and emulated ones, smaller and larger than the workgroup and with a last one that is not full.
fn lane_rows() -> Vec<Case> {
    let emulated = |threads, positions, emulated| Tuning { threads, positions, uses: Features::NONE, emulated };
    let emulated = [
        emulated(64, 1, 4),
        emulated(32, 2, 8),
        emulated(64, 1, 16),
        emulated(64, 2, 32),
        emulated(128, 1, 64),
        emulated(48, 1, 32),
        emulated(32, 1, 128),
    ];
    let tunings = tiers(TuningGroup::AttentionStep).into_iter().map(Tuning::of).chain(emulated);
    let mut rows = Vec::new();
    for (index, tuning) in tunings.enumerate() {
        let (head_dim, precision) = ([64, 12, 128, 40][index % 4], KvPrecision::ALL[index % 3]);
        let (m, splits, heads) = ([1, 2, 5][index % 3], [1, 3][index % 2], [(4, 2), (5, 1), (3, 3), (8, 1)][index % 4]);
        let shape = |position| Attending { m, splits, position, heads, head_dim, tuning };
        rows.extend([0, 63, 64, 300].map(|position| attention_step(shape(position), precision, Scores::Mild)));
    }
    let shape = Attending { m: 2, splits: 1, position: 200, heads: (4, 2), head_dim: 64, tuning: Tuning::SUBGROUPS };
    rows.extend([Scores::Steep, Scores::Sunken].map(|scores| attention_step(shape, KvPrecision::F32, scores)));
    rows
}
