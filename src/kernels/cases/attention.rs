//! Cases of attention over prompts and in steps.

use super::cache::{pages_of, plane_words, rows_of, step_words, words_apart};
use super::harness::{Harness, Holds, Random};
use super::products::arrange;
use super::{Case, SUM, label};
use crate::config::KvPrecision;
use crate::error::Result;
use crate::gpu::Slice;
use crate::kernels::LaneLayout;
use crate::kernels::Scoring;
use crate::kernels::attention::{self as prompt, Heads, KeysValues, Shape, Source};
use crate::kernels::attention_join as join;
use crate::kernels::attention_step::{self as step, AttentionStep, partials_len};
use crate::kernels::cache::Cache;
use crate::reference;
use crate::reference::cache::{pack, row, scales_at, unpack};

/// Distribution of scores.
#[derive(Clone, Copy)]
pub struct Scores {
    /// Name of the distribution.
    pub name: &'static str,
    /// Draws a number of a query, or with -1 of a key.
    pub number: fn(&mut Random, f32) -> f32,
}

impl Scores {
    /// Scores within a few units.
    pub const MILD: Self = Self { name: "mild", number: |random, _| random.number() };

    fn numbers(self, harness: &mut Harness<'_>, len: usize, sign: f32) -> Vec<f32> {
        (0..len).map(|_| (self.number)(&mut harness.random, sign)).collect()
    }
}

/// Attention over keys and values in a cache, or in one matrix with the queries; with or without gates.
pub fn attention(
    shape: Shape,
    scoring: Scoring,
    tuning: prompt::Tuning,
    (source, is_gated): (Source, bool),
    scores: Scores,
) -> Case {
    let Shape { q_tokens, kv_tokens, q_heads, kv_heads, head_dim, .. } = shape;
    let sizes = label(format_args!("{shape:?} {scoring:?} {tuning:?} {source:?} {}", scores.name));
    let kernel = prompt::kernel(head_dim, source, is_gated, scoring.options(), tuning);
    Case::new(kernel, SUM, sizes, move |harness| {
        let (q_width, kv_width) = (q_heads * head_dim, kv_heads * head_dim);
        let q = scores.numbers(harness, q_tokens * q_width, 1.0); // [q_tokens, q_width]
        let mut k = scores.numbers(harness, kv_tokens * kv_width, -1.0); // [kv_tokens, kv_width]
        let mut v = harness.random.numbers(kv_tokens * kv_width, 1.0); // [kv_tokens, kv_width]
        // [q_tokens, q_width], if there are gates
        let gates_width = if is_gated { q_width } else { 0 };
        let gates = harness.random.numbers(q_tokens * gates_width, 8.0);
        let mut out = harness.output(q_tokens * q_width, Holds::Numbers)?;
        let rows = |buffer: &Slice, stride, offset| Heads { buffer: buffer.clone(), stride, offset };
        let (q_rows, k_rows, v_rows, cache, step);
        let kv = match source {
            Source::Rows(precision @ KvPrecision::F32) => {
                let buffer = harness.input(&fused([&q, &k, &v, &gates], q_tokens))?;
                let stride = q_width + 2 * kv_width + gates_width;
                [q_rows, k_rows, v_rows] = [0, q_width, q_width + kv_width].map(|offset| rows(&buffer, stride, offset));
                KeysValues::Rows { k: &k_rows, v: &v_rows, precision }
            }
            Source::Rows(precision) => {
                q_rows = rows(&harness.input(&fused([&q, &gates], q_tokens))?, q_width + gates_width, 0);
                let [k_words, v_words] = [&mut k, &mut v].map(|numbers| held(precision, head_dim, numbers).0);
                let side_by_side =
                    k_words.chunks(k_words.len() / kv_tokens).zip(v_words.chunks(v_words.len() / kv_tokens));
                let words: Vec<u32> = side_by_side.flat_map(|(k, v)| [k, v]).flatten().copied().collect();
                let buffer = harness.words(&words)?;
                [k_rows, v_rows] = [0, kv_width].map(|offset| rows(&buffer, 2 * kv_width, offset));
                KeysValues::Rows { k: &k_rows, v: &v_rows, precision }
            }
            Source::Cache(precision) => {
                q_rows = rows(&harness.input(&fused([&q, &gates], q_tokens))?, q_width + gates_width, 0);
                let pages = pages_of(harness, kv_tokens);
                cache = cached(harness, (precision, kv_heads, head_dim), &pages, [&mut k, &mut v])?;
                step = harness.words(&step_words(0, 0, &pages, &[]))?;
                KeysValues::Cache { cache: &cache, step: &step }
            }
        };
        let gates_of = is_gated.then_some(q_rows.stride - q_width);
        let attention = prompt::Attention { q: &q_rows, gates: gates_of, kv, out: &out.slice, shape, scoring, tuning };
        prompt::record(&mut harness.recording, &attention)?;
        let heads = |values, stride| reference::attention::Heads { values, stride, offset: 0 };
        let (q, k, v) = (heads(&q[..], q_width), heads(&k[..], kv_width), heads(&v[..], kv_width));
        reference::attention::compute(shape, scoring, q, k, v, out.expected());
        if is_gated {
            reference::attention::gate(q_width, heads(&gates, q_width), out.expected());
        }
        Ok(vec![out])
    })
}

/// Joins matrices of `rows` rows side by side.
fn fused<const N: usize>(matrices: [&[f32]; N], rows: usize) -> Vec<f32> {
    let row = |row: usize| {
        matrices.into_iter().flat_map(move |matrix| {
            let width = matrix.len() / rows;
            matrix[row * width..][..width].iter().copied()
        })
    };
    (0..rows).flat_map(row).collect()
}

/// The words and scales of heads; `numbers` become the values that the precision can hold.
fn held(precision: KvPrecision, head_dim: usize, numbers: &mut [f32]) -> (Vec<u32>, Vec<u32>) {
    let (mut words, mut scales) = (Vec::new(), Vec::new());
    for head in numbers.chunks_exact_mut(head_dim) {
        let (packed, scale) = pack(precision, head);
        head.copy_from_slice(&unpack(precision, &packed, scale));
        words.extend(packed);
        scales.push(u32::from(scale));
    }
    (words, scales)
}

/// A cache with the keys and values in some pages, and NaN elsewhere. They become the values that the cache can hold.
fn cached(
    harness: &mut Harness<'_>,
    (precision, kv_heads, head_dim): (KvPrecision, usize, usize),
    pages: &[u32],
    [k, v]: [&mut [f32]; 2],
) -> Result<Cache> {
    let tokens = k.len() / head_dim / kv_heads;
    let (k, v) = (held(precision, head_dim, k), held(precision, head_dim, v));
    let mut planes: Vec<Vec<u32>> = plane_words(precision, kv_heads, head_dim, rows_of(pages, tokens))
        .into_iter()
        .map(|words| vec![u32::MAX; words])
        .collect();
    for (plane, (words, _)) in planes.iter_mut().zip([&k, &v]) {
        let width = words.len() / tokens;
        for (token, words) in words.chunks_exact(width).enumerate() {
            plane[row(pages, token) * width..][..width].copy_from_slice(words);
        }
    }
    for (index, (k, v)) in k.1.iter().zip(&v.1).enumerate() {
        if let Some(scales) = planes.get_mut(2) {
            scales[scales_at(row(pages, index / kv_heads), index % kv_heads, kv_heads)] = k | v << 16;
        }
    }
    let planes = planes.iter().map(|plane| harness.words(plane)).collect::<Result<_>>()?;
    Ok(Cache { precision, planes })
}

/// Sizes and options of an attention of a step.
#[derive(Debug, Clone, Copy)]
pub struct Attending {
    /// Last tokens.
    pub m: usize,
    /// Splits of the context.
    pub splits: usize,
    /// Position of the first token.
    pub position: usize,
    /// Query heads, and key and value heads.
    pub heads: (usize, usize),
    /// Width of a head.
    pub head_dim: usize,
    /// How scores are computed.
    pub scoring: Scoring,
    /// Lane layout of the queries.
    pub q_layout: LaneLayout,
    /// Division among threads.
    pub tuning: step::Tuning,
    /// Each token is the last one of another conversation.
    pub apart: bool,
    /// Results are multiplied by the sigmoid of gates, which are stored between the queries of two tokens; never with several splits.
    pub gated: bool,
}

impl Attending {
    /// The first token of a conversation, without any option.
    pub fn of(heads: (usize, usize), head_dim: usize, tuning: step::Tuning) -> Self {
        let (scoring, q_layout) = (Scoring::of_heads(head_dim), LaneLayout::NATURAL);
        Self { m: 1, splits: 1, position: 0, heads, head_dim, scoring, q_layout, tuning, apart: false, gated: false }
    }
}

/// Attention of the last tokens over a cache, without the join of splits.
pub fn attention_step(shape: Attending, precision: KvPrecision, scores: Scores) -> Case {
    let Attending { m, splits, position, heads: (q_heads, kv_heads), head_dim, scoring, .. } = shape;
    let Attending { q_layout, tuning, apart, gated, .. } = shape;
    let rows = if apart { q_heads / kv_heads } else { m * (q_heads / kv_heads) };
    let sizes = label(format_args!("{shape:?} {precision} {}", scores.name));
    let results = match gated {
        _ if splits > 1 => step::Results::Partial,
        true => step::Results::Gated,
        false => step::Results::Plain,
    };
    let kernel = step::kernel(head_dim, precision, rows, q_layout, results, scoring.options(), tuning);
    Case::new(kernel, SUM, sizes, move |harness| {
        let (q_width, kv_width, tokens) = (q_heads * head_dim, kv_heads * head_dim, position + m);
        let (stride, offset, first_gate) = (if gated { 2 * q_width + 12 } else { q_width + 8 }, 4, q_width + 8);
        let mut q = scores.numbers(harness, m * stride, 1.0); // [m, stride]
        if gated {
            let gates = harness.random.numbers(m * q_width, 8.0); // [m, q_width]
            for (row, gates) in q.chunks_exact_mut(stride).zip(gates.chunks_exact(q_width)) {
                row[first_gate..][..q_width].copy_from_slice(gates);
            }
        }
        let mut k = scores.numbers(harness, tokens * kv_width, -1.0); // [tokens, kv_width]
        let mut v = harness.random.numbers(tokens * kv_width, 1.0); // [tokens, kv_width]
        let pages = pages_of(harness, tokens);
        let cache = cached(harness, (precision, kv_heads, head_dim), &pages, [&mut k, &mut v])?;
        // Some conversations have fewer splits.
        let splits_of = |row: usize| if apart { splits.div_ceil(1 + row % 3) } else { splits };
        let words = match apart {
            false => step_words(position, 0, &pages, &[]),
            true => (0..m).flat_map(|row| words_apart(position + row, splits_of(row), &pages, &[])).collect(),
        };
        let step_words = harness.words(&words)?;
        let mut out = harness.output(m * q_width, Holds::Numbers)?;
        let mut partials = harness.output(partials_len(m, q_heads, head_dim, splits).max(1), Holds::Numbers)?;
        let mut placed = q.clone(); // [m, stride]
        for row in placed.chunks_exact_mut(stride) {
            arrange(q_layout, &mut row[offset..][..q_width]);
        }
        let queries = Heads { buffer: harness.input(&placed)?, stride, offset };
        let launch = AttentionStep {
            q: &queries,
            q_layout,
            gates: gated.then_some(first_gate),
            cache: &cache,
            step: &step_words,
            m,
            scoring,
            apart,
            q_heads,
            kv_heads,
            head_dim,
            splits,
            out: &out.slice,
            lane_layout: harness.lane_layout,
            partials: &partials.slice,
            tuning,
        };
        step::record_pieces(&mut harness.recording, &launch)?;
        let heads = |values, stride, offset| reference::attention::Heads { values, stride, offset };
        let (q, k, v) = (heads(&q[..], stride, offset), heads(&k[..], kv_width, 0), heads(&v[..], kv_width, 0));
        if splits == 1 {
            let (q_tokens, kv_tokens, causal_past) = (m, tokens, Some(position));
            let shape = Shape { q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past };
            reference::attention::compute(shape, scoring, q, k, v, out.expected());
            if gated {
                reference::attention::gate(q_width, heads(q.values, stride, first_gate), out.expected());
            }
            arrange(harness.lane_layout, out.expected());
        } else if !apart {
            let tile = tuning.tile();
            let shape = reference::attention_step::Shape { m, position, q_heads, kv_heads, head_dim, splits, tile };
            reference::attention_step::compute(shape, scoring, q, k, v, partials.expected());
        } else {
            let (tile, width) = (tuning.tile(), q_heads * (head_dim + 4));
            for row in 0..m {
                let (position, splits) = (position + row, splits_of(row));
                let shape =
                    reference::attention_step::Shape { m: 1, position, q_heads, kv_heads, head_dim, splits, tile };
                let query = reference::attention::Heads { values: &q.values[row * stride..], ..q };
                let mut own = vec![0.0; splits * width]; // [splits, q_heads, head_dim + 4]
                reference::attention_step::compute(shape, scoring, query, k, v, &mut own);
                let mut nothing = vec![0.0; head_dim + 4];
                nothing[head_dim] = reference::attention_step::HIDDEN;
                let of_row = partials.expected().chunks_exact_mut(width).skip(row).step_by(m);
                for (split, to) in of_row.enumerate() {
                    match own.chunks_exact(width).nth(split) {
                        Some(piece) => to.copy_from_slice(piece),
                        None => to.chunks_exact_mut(head_dim + 4).for_each(|to| to.copy_from_slice(&nothing)),
                    }
                }
            }
        }
        Ok(vec![out, partials])
    })
}

/// The join of splits; with gates, two rows a token.
pub fn attention_join(rows: usize, splits: usize, head_dim: usize, is_gated: bool) -> Case {
    let sizes = label(format_args!("rows={rows} splits={splits}"));
    Case::new(join::kernel(head_dim, is_gated), SUM, sizes, move |harness| {
        let mut partials = harness.random.numbers(splits * rows * (head_dim + 4), 1.0); // [splits, rows, head_dim + 4]
        for (index, piece) in partials.chunks_exact_mut(head_dim + 4).enumerate() {
            // All splits but the first may be empty.
            let is_empty = index >= rows && harness.random.bits().is_multiple_of(3);
            let (peak, total) = (harness.random.number() * 20.0, 1.5 + harness.random.number());
            piece[head_dim..].copy_from_slice(&[peak, total, 0.0, 0.0]);
            if is_empty {
                piece.fill(0.0);
                piece[head_dim] = reference::attention_step::HIDDEN;
            }
        }
        let mut out = harness.output(rows * head_dim, Holds::Numbers)?;
        let slice = harness.input(&partials)?;
        let (heads, tokens) = (2, rows.div_ceil(2));
        let (stride, offset) = (heads * head_dim + 8, 4);
        let gates = harness.random.numbers(if is_gated { tokens * stride } else { 0 }, 8.0); // [tokens, stride]
        let of = match is_gated {
            true => Some((Heads { buffer: harness.input(&gates)?, stride, offset }, heads)),
            false => None,
        };
        join::record(
            &mut harness.recording,
            rows,
            splits,
            head_dim,
            &slice,
            of.as_ref(),
            (&out.slice, harness.lane_layout),
        )?;
        reference::attention_join::compute(rows, head_dim, &partials, out.expected());
        if is_gated {
            let gates = reference::attention::Heads { values: &gates, stride, offset };
            reference::attention::gate(heads * head_dim, gates, out.expected());
        }
        arrange(harness.lane_layout, out.expected());
        Ok(vec![out])
    })
}
