//! The kernels around the cache of keys and values, in every precision that is needed.

use super::bench::{Bench, UNWRITTEN};
use super::cases::attend;
use crate::config::KvPrecision;
use crate::error::Result;
use crate::gpu::Slice;
use crate::kernels::attention::{Heads, KeysValues};
use crate::kernels::cache::Cache;
use crate::reference;
use crate::reference::cache::{Precision, pack, unpack};

/// Words that no kernel writes.
const UNTOUCHED: u32 = 0x7fc0_dead;

/// The reference's name for it: that room imports nothing.
pub(super) fn by_reference(precision: KvPrecision) -> Precision {
    match precision {
        KvPrecision::F32 => Precision::F32,
        KvPrecision::F16 => Precision::F16,
        KvPrecision::Int8 => Precision::Int8,
    }
}

/// Heads whose numbers every precision holds exactly: 128ths, the largest of them 127.
pub(super) fn heads(bench: &mut Bench<'_>, count: usize, head_dim: usize) -> Vec<f32> {
    let number = |i: usize, bits: u32| if i.is_multiple_of(head_dim) { 127 } else { (bits % 255) as i32 - 127 };
    (0..count * head_dim).map(|i| number(i, bench.bits()) as f32 / 128.0).collect()
}

/// The planes of a cache with room for so many heads, and the same on the GPU.
pub(super) fn planes(
    bench: &Bench<'_>,
    precision: KvPrecision,
    head_dim: usize,
    room: usize,
) -> Result<(Vec<Vec<u32>>, Vec<Slice>)> {
    let words = |bytes: u64| vec![UNTOUCHED; room * bytes as usize / size_of::<u32>()];
    let planes: Vec<Vec<u32>> = precision.head_bytes(head_dim).into_iter().map(words).collect();
    let slices = planes.iter().map(|plane| bench.upload(plane)).collect::<Result<_>>()?;
    Ok((planes, slices))
}

/// Nine new tokens behind 31, keys and values in a cache.
pub(super) fn attention(bench: &mut Bench<'_>, head_dim: usize, precision: KvPrecision) -> Result<()> {
    let (q_heads, kv_heads, past, q_tokens) = (4, 2, 31, 9);
    let kv_tokens = past + q_tokens;
    let q = bench.numbers(q_tokens * q_heads * head_dim); // [q_tokens, q_heads, head_dim]
    let (cache, k, v) = cached(bench, kv_tokens * kv_heads, head_dim, precision)?;
    let (q_stride, kv_stride) = (q_heads * head_dim, kv_heads * head_dim);
    let q_rows = Heads { buffer: bench.upload(&q)?, stride: q_stride, offset: 0 };
    let shape =
        reference::attention::Shape { q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past: Some(past) };
    let by_reference = |values, stride| reference::attention::Heads { values, stride, offset: 0 };
    let parts = [by_reference(&q, q_stride), by_reference(&k, kv_stride), by_reference(&v, kv_stride)];
    let out = vec![UNWRITTEN; q_tokens * q_stride];
    attend(bench, shape, &q_rows, KeysValues::Cache(&cache), parts, out)
}

/// A cache of so many random heads, and the keys and values it holds.
pub(super) fn cached(
    bench: &mut Bench<'_>,
    count: usize,
    head_dim: usize,
    precision: KvPrecision,
) -> Result<(Cache, Vec<f32>, Vec<f32>)> {
    let (k, k_words, k_scales) = held(bench, count, head_dim, precision);
    let (v, v_words, v_scales) = held(bench, count, head_dim, precision);
    let scales: Vec<u32> = k_scales.iter().zip(v_scales).map(|(k, v)| k | v << 16).collect();
    let mut planes = vec![bench.upload(&k_words)?, bench.upload(&v_words)?, bench.upload(&scales)?];
    planes.truncate(precision.head_bytes(head_dim).len());
    Ok((Cache { precision, planes }, k, v))
}

/// Random heads as a cache holds them: their numbers, words and scales.
fn held(
    bench: &mut Bench<'_>,
    count: usize,
    head_dim: usize,
    precision: KvPrecision,
) -> (Vec<f32>, Vec<u32>, Vec<u32>) {
    let (precision, mut numbers) = (by_reference(precision), bench.numbers(count * head_dim));
    let (mut words, mut scales) = (Vec::new(), Vec::new());
    for head in numbers.chunks_exact_mut(head_dim) {
        let (packed, scale) = pack(precision, head);
        head.copy_from_slice(&unpack(precision, &packed, scale));
        words.extend(packed);
        scales.push(u32::from(scale));
    }
    (numbers, words, scales)
}
