//! Cases of attention.

use ocelli::config::KvPrecision;
use ocelli::gpu::Slice;
use ocelli::kernels::attention::{Attention, Heads, KeysValues};
use ocelli::kernels::cache::Cache;
use ocelli::reference::cache::{pack, unpack};
use ocelli::{kernels, reference};

use crate::bench::Bench;
use crate::cache::twin;
use crate::case::{Case, SUM, case};

/// How queries, keys and values lie in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// All in one matrix, as in the vision tower.
    Fused,
    /// Keys and values in a cache, as in the decoder.
    Cache(KvPrecision),
}

/// The scores an attention meets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scores {
    /// Within a few units.
    Mild,
    /// Exact in f32, up to a thousand either way.
    Steep,
    /// Exact in f32, all near minus a thousand.
    Sunken,
}

impl Scores {
    /// Queries or keys: whole numbers where scores should be exact.
    pub(crate) fn numbers(self, bench: &mut Bench<'_>, len: usize, sign: f32) -> Vec<f32> {
        let mut number = || match self {
            Self::Mild => bench.random.number(),
            Self::Steep => (bench.random.number() * 40.0).round(),
            Self::Sunken => sign * (bench.random.number() * 2.0 + 11.0).round(),
        };
        (0..len).map(|_| number()).collect()
    }
}

/// `(query, key-value)` tokens and heads, head width, position of the first query if causal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) tokens: (usize, usize),
    pub(crate) heads: (usize, usize),
    pub(crate) head_dim: usize,
    pub(crate) past: Option<usize>,
}

pub(crate) fn attention(shape: Shape, source: Source, scores: Scores) -> Case {
    let Shape { tokens: (q_tokens, kv_tokens), heads: (q_heads, kv_heads), head_dim, past } = shape;
    let sizes = format!("{shape:?} {source:?} {scores:?}").replace("Shape ", "");
    case("attention", SUM, sizes, move |bench| {
        let (q_width, kv_width) = (q_heads * head_dim, kv_heads * head_dim);
        let q = scores.numbers(bench, q_tokens * q_width, 1.0); // [q_tokens, q_width]
        let mut k = scores.numbers(bench, kv_tokens * kv_width, -1.0); // [kv_tokens, kv_width]
        let mut v = bench.random.numbers(kv_tokens * kv_width, 1.0); // [kv_tokens, kv_width]
        let mut out = bench.output(q_tokens * q_width)?;
        let rows = |buffer: &Slice, stride, offset| Heads { buffer: buffer.clone(), stride, offset };
        let (q_rows, k_rows, v_rows, cache);
        let kv = match source {
            Source::Fused => {
                let rows_of = q.chunks_exact(q_width).zip(k.chunks_exact(kv_width)).zip(v.chunks_exact(kv_width));
                let fused: Vec<f32> = rows_of.flat_map(|((q, k), v)| [q, k, v].concat()).collect();
                let (stride, buffer) = (q_width + 2 * kv_width, bench.input(&fused)?);
                [q_rows, k_rows, v_rows] = [0, q_width, q_width + kv_width].map(|offset| rows(&buffer, stride, offset));
                KeysValues::Rows { k: &k_rows, v: &v_rows }
            }
            Source::Cache(precision) => {
                q_rows = rows(&bench.input(&q)?, q_width, 0);
                cache = cached(bench, precision, head_dim, &mut k, &mut v)?;
                KeysValues::Cache(&cache)
            }
        };
        let attention = Attention {
            q: &q_rows,
            kv,
            out: &out.slice,
            q_tokens,
            kv_tokens,
            q_heads,
            kv_heads,
            head_dim,
            causal_past: past,
        };
        kernels::attention::record(&mut bench.recording, &attention)?;
        let shape = reference::attention::Shape { q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past: past };
        let heads = |values, stride| reference::attention::Heads { values, stride, offset: 0 };
        let (q, k, v) = (heads(&q[..], q_width), heads(&k[..], kv_width), heads(&v[..], kv_width));
        reference::attention::compute(shape, q, k, v, out.expected());
        bench.expect(out);
        Ok(())
    })
}

/// A cache that holds the keys and values, which become what the cache makes of them.
pub(crate) fn cached(
    bench: &mut Bench<'_>,
    precision: KvPrecision,
    head_dim: usize,
    k: &mut [f32],
    v: &mut [f32],
) -> ocelli::Result<Cache> {
    let twin = twin(precision);
    let hold = |numbers: &mut [f32]| {
        let (mut words, mut scales) = (Vec::new(), Vec::new());
        for head in numbers.chunks_exact_mut(head_dim) {
            let (packed, scale) = pack(twin, head);
            head.copy_from_slice(&unpack(twin, &packed, scale));
            words.extend(packed);
            scales.push(u32::from(scale));
        }
        (words, scales)
    };
    let ((k, k_scales), (v, v_scales)) = (hold(k), hold(v));
    let scales: Vec<u32> = k_scales.iter().zip(v_scales).map(|(k, v)| k | v << 16).collect();
    let planes = [bench.words(&k)?, bench.words(&v)?, bench.words(&scales)?];
    let count = precision.head_bytes(head_dim).len();
    Ok(Cache { precision, planes: planes.into_iter().take(count).collect() })
}
