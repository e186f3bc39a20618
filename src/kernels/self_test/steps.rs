//! The kernels of a decode step: what they do in one launch, beside what the reference does one after the other.

use super::Heads;
use super::bench::{Bench, UNWRITTEN};
use super::cases::{STEP_INPUTS, by_reference, inputs, matrix, unit};
use super::decoder::{by_reference as precision_by_reference, cached, heads as exact_heads, planes};
use crate::config::{Activation, KvPrecision, RopePairs};
use crate::error::Result;
use crate::gpu::Features;
use crate::kernels::attention::Heads as Rows;
use crate::kernels::attention_step::{self, AttentionStep, Tuning as StepTuning};
use crate::kernels::cache::Cache;
use crate::kernels::gemv::{Norm, Tuning};
use crate::kernels::matvec::Matvec;
use crate::kernels::rope_append::{self, RopeAppend, TABLE, table_stride};
use crate::kernels::{attention_join, gated_matvec, qkv_matvec};
use crate::reference;
use crate::reference::rope_append::Step;
use crate::weights::layout::{Layout, MatrixShape};

const EPS: f32 = 1e-5;
const POSITION: usize = 3;
const TABLE_FIRST: usize = 2;

/// Storage bindings that the device allows a kernel.
fn limit(bench: &Bench<'_>) -> usize {
    bench.gpu.limits().max_storage_buffers_per_shader_stage as usize
}

/// Inputs, the norm's weight and what the norm makes of the inputs. `// [m, k]`, `// [k]`, `// [m, k]`
/// Where they become 8-bit integers, none is rounded.
fn normed(bench: &mut Bench<'_>, (m, k): (usize, usize), uses: Features) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (mut x, mut weight) = (inputs(bench, m * k, uses), bench.numbers(k));
    if uses.dot {
        weight.iter_mut().for_each(|w| *w = if w.abs() < 0.5 { 1.0 } else { 2.0f32.copysign(*w) });
        x.chunks_exact_mut(k).for_each(|x| x.iter_mut().zip(&weight).for_each(|(x, w)| *x /= w));
    }
    let mut h = vec![0.0; m * k];
    reference::rms_norm::compute(EPS, &x, &weight, &mut h);
    (x, weight, h)
}

/// Rows through a gate.
pub(super) fn gated(bench: &mut Bench<'_>, (layout, m): (Layout, usize), tuning: Tuning) -> Result<()> {
    let (n, k) = (4, STEP_INPUTS);
    let (x, gain, h) = normed(bench, (m, k), tuning.uses);
    let (weight, w) = matrix(bench, layout, MatrixShape { rows: 2 * n, cols: k })?; // [2 * n, k]
    if !gated_matvec::can_fuse(&weight, true, limit(bench)) {
        return Ok(());
    }
    let mut y = vec![UNWRITTEN; m * n];
    let (x_slice, gain, y_slice) = (bench.upload(&x)?, bench.upload(&gain)?, bench.upload(&y)?);
    let norm = Some(Norm { weight: &gain, eps: EPS });
    let activation = Activation::Silu;
    let launch = gated_matvec::GatedMatvec { x: &x_slice, m, norm, weight: &weight, activation, y: &y_slice, tuning };
    gated_matvec::record(&mut bench.recording, &launch)?;
    reference::gated_matvec::compute((n, k), by_reference(activation), &h, &w, &mut y);
    bench.expect(&y_slice, y);
    Ok(())
}

/// Normed rows through a matrix.
pub(super) fn normed_product(bench: &mut Bench<'_>, (layout, m): (Layout, usize), tuning: Tuning) -> Result<()> {
    let (n, k) = (4, STEP_INPUTS);
    let (x, gain, h) = normed(bench, (m, k), tuning.uses);
    let (weight, w) = matrix(bench, layout, MatrixShape { rows: n, cols: k })?; // [n, k]
    let mut y = vec![UNWRITTEN; m * n];
    let (x_slice, gain, y_slice) = (bench.upload(&x)?, bench.upload(&gain)?, bench.upload(&y)?);
    let norm = Some(Norm { weight: &gain, eps: EPS });
    let launch = Matvec {
        x: &x_slice,
        m,
        norm,
        weight: &weight,
        bias: None,
        y: &y_slice,
        y_stride: n,
        y_offset: 0,
        accumulate: false,
        tuning,
    };
    launch.record(&mut bench.recording)?;
    let shape = reference::matmul::Shape { m, n, k, y_stride: n, y_offset: 0, accumulate: false };
    reference::matmul::compute(shape, &h, &w, None, &mut y);
    bench.expect(&y_slice, y);
    Ok(())
}

/// The step's table, and its words. Where `exact`, all pairs take quarter turns and queries are doubled.
fn step(bench: &mut Bench<'_>, head_dim: usize, rows: usize, exact: bool) -> (Vec<f32>, Vec<u32>) {
    let mut table = Vec::with_capacity(rows * table_stride(head_dim));
    for _ in 0..rows {
        for _ in 0..head_dim / 2 {
            let angle = (bench.bits() >> 8) as f32 / (1 << 21) as f32;
            let quarter = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]][(bench.bits() >> 30) as usize];
            table.extend(if exact { quarter } else { [angle.cos(), angle.sin()] });
        }
        table.extend([2.0, 0.0, 0.0, 0.0]);
    }
    let mut words = vec![0; TABLE];
    (words[1], words[3]) = (POSITION as u32, TABLE_FIRST as u32);
    words.extend(table.iter().map(|x| x.to_bits()));
    (table, words)
}

/// Three query heads and a key-value head.
fn heads_of(heads: Heads) -> (rope_append::Heads, reference::rope_append::Heads) {
    let (q, kv, dim, pairs) = (3, 1, heads.head_dim, heads.pairs);
    let interleaved = pairs == RopePairs::Interleaved;
    (rope_append::Heads { q, kv, dim, pairs }, reference::rope_append::Heads { q, kv, dim, interleaved })
}

/// Queries, keys and values of tokens, where one launch can make them; whether it can.
pub(super) fn qkv(
    bench: &mut Bench<'_>,
    (layout, m, tuning): (Layout, usize, Tuning),
    heads: Heads,
    precision: KvPrecision,
) -> Result<bool> {
    let (k, (heads, twins)) = (unit(layout), heads_of(heads));
    let width = (heads.q + 2 * heads.kv) * heads.dim;
    let (x, gain, h) = normed(bench, (m, k), tuning.uses);
    let (weight, w) = matrix(bench, layout, MatrixShape { rows: width, cols: k })?; // [width, k]
    if !qkv_matvec::can_fuse(&weight, heads, precision, false, limit(bench)) {
        return Ok(false);
    }
    let (table, words) = step(bench, heads.dim, m + 2, false);
    let mut q = vec![UNWRITTEN; m * heads.q * heads.dim];
    let (mut words_of, slices) = planes(bench, precision, heads.dim, (POSITION + m + 1) * heads.kv)?;
    let cache = Cache { precision, planes: slices.clone() };
    let (x_slice, gain, step, q_slice) =
        (bench.upload(&x)?, bench.upload(&gain)?, bench.upload(&words)?, bench.upload(&q)?);
    let launch = qkv_matvec::QkvMatvec {
        x: &x_slice,
        m,
        norm: Norm { weight: &gain, eps: EPS },
        weight: &weight,
        bias: None,
        heads,
        step: &step,
        q: &q_slice,
        cache: &cache,
        tuning,
    };
    qkv_matvec::record(&mut bench.recording, &launch)?;
    let at = Step { position: POSITION, table_first: TABLE_FIRST, table: &table };
    if let [k_words, v_words, ..] = &mut words_of[..] {
        let held = reference::cache::Cache { k: k_words, v: v_words, scales: &mut [] };
        let held = (precision_by_reference(precision), held);
        reference::qkv_matvec::compute(twins, (&h, k), (&w, None), at, &mut q, held);
    }
    bench.expect(&q_slice, q);
    for (slice, words) in slices.iter().zip(words_of) {
        match precision {
            KvPrecision::F16 => bench.expect_halves(slice, words),
            _ => bench.expect(slice, words.into_iter().map(f32::from_bits).collect()),
        }
    }
    Ok(true)
}

/// Three new tokens, of numbers that are rounded nowhere.
pub(super) fn append(bench: &mut Bench<'_>, heads: Heads, precision: KvPrecision) -> Result<()> {
    let (tokens, (heads, twins)) = (3, heads_of(heads));
    let mut qkv = exact_heads(bench, tokens * (heads.q + 2 * heads.kv), heads.dim); // [tokens, q | k | v]
    let (table, words) = step(bench, heads.dim, tokens + 2, true);
    let (mut words_of, slices) = planes(bench, precision, heads.dim, (POSITION + tokens + 1) * heads.kv)?;
    let cache = Cache { precision, planes: slices.clone() };
    let (qkv_slice, step) = (bench.upload(&qkv)?, bench.upload(&words)?);
    let launch = RopeAppend { qkv: &qkv_slice, tokens, heads, step: &step, cache: &cache };
    rope_append::record(&mut bench.recording, &launch)?;
    let at = Step { position: POSITION, table_first: TABLE_FIRST, table: &table };
    if let [k, v, scales @ ..] = &mut words_of[..] {
        let scales = scales.first_mut().map_or(&mut [][..], |scales| &mut scales[..]);
        let held = reference::cache::Cache { k, v, scales };
        reference::rope_append::compute(twins, at, &mut qkv, precision_by_reference(precision), held);
    }
    bench.expect(&qkv_slice, qkv);
    slices.iter().zip(words_of).for_each(|(slice, words)| bench.expect_words(slice, words));
    Ok(())
}

/// The last tokens behind 129, at once and in two pieces.
pub(super) fn attention(
    bench: &mut Bench<'_>,
    (head_dim, group, m): (usize, usize, usize),
    precision: KvPrecision,
    tuning: StepTuning,
) -> Result<()> {
    let (position, q_heads, kv_heads) = (129, 2 * group, 2);
    let q_width = q_heads * head_dim;
    let q = bench.numbers(m * q_width); // [m, q_heads, head_dim]
    let (cache, k, v) = cached(bench, (position + m) * kv_heads, head_dim, precision)?;
    let heads = |values, stride| reference::attention::Heads { values, stride, offset: 0 };
    let shape = reference::attention::Shape {
        q_tokens: m,
        kv_tokens: position + m,
        q_heads,
        kv_heads,
        head_dim,
        causal_past: Some(position),
    };
    let mut right = vec![UNWRITTEN; m * q_width];
    let kv_width = kv_heads * head_dim;
    let (by_q, by_k, by_v) = (heads(&q, q_width), heads(&k, kv_width), heads(&v, kv_width));
    reference::attention::compute(shape, by_q, by_k, by_v, &mut right);
    let rows = Rows { buffer: bench.upload(&q)?, stride: q_width, offset: 0 };
    let step = bench.upload(&[0, position as u32, 0, 0])?;
    for splits in [1, 2] {
        let out = bench.upload(&vec![UNWRITTEN; m * q_width])?;
        let mut pieces = vec![UNWRITTEN; attention_step::partials_len(m, q_heads, head_dim, splits)];
        let partials = bench.upload(if splits > 1 { &pieces } else { &[UNWRITTEN] })?;
        let launch = AttentionStep {
            q: &rows,
            cache: &cache,
            step: &step,
            m,
            q_heads,
            kv_heads,
            head_dim,
            splits,
            out: &out,
            partials: &partials,
            tuning,
        };
        attention_step::record_pieces(&mut bench.recording, &launch)?;
        if splits == 1 {
            bench.expect(&out, right.clone());
            continue;
        }
        let tile = tuning.tile();
        let shape = reference::attention_step::Shape { m, position, q_heads, kv_heads, head_dim, splits, tile };
        reference::attention_step::compute(shape, by_q, by_k, by_v, &mut pieces);
        bench.expect(&partials, pieces.clone());
        // Joined are the right ones: what is wrong in the first launch is no fault of the second.
        let partials = bench.upload(&pieces)?;
        attention_join::record(&mut bench.recording, (m * q_heads, splits, head_dim), &partials, &out)?;
        bench.expect(&out, right.clone());
    }
    Ok(())
}
