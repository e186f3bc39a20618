//! Cases of attention.

use ocelli::{kernels, reference};

use crate::bench::Bench;
use crate::case::{Case, SUM, case};

/// How queries, keys and values lie in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// All in one matrix, as in the vision tower.
    Fused,
    /// Keys and values in a cache with room left, as in the decoder.
    Cache,
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
    fn numbers(self, bench: &mut Bench<'_>, len: usize, sign: f32) -> Vec<f32> {
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
        let k = scores.numbers(bench, kv_tokens * kv_width, -1.0); // [kv_tokens, kv_width]
        let v = bench.random.numbers(kv_tokens * kv_width, 1.0); // [kv_tokens, kv_width]
        let mut out = bench.output(q_tokens * q_width)?;
        let heads = |buffer: &ocelli::gpu::Slice, stride, offset| kernels::attention::Heads {
            buffer: buffer.clone(),
            stride,
            offset,
        };
        let [q_heads_gpu, k_heads_gpu, v_heads_gpu] = match source {
            Source::Fused => {
                let rows = q.chunks_exact(q_width).zip(k.chunks_exact(kv_width)).zip(v.chunks_exact(kv_width));
                let fused: Vec<f32> = rows.flat_map(|((q, k), v)| [q, k, v].concat()).collect();
                let (stride, buffer) = (q_width + 2 * kv_width, bench.input(&fused)?);
                [0, q_width, q_width + kv_width].map(|offset| heads(&buffer, stride, offset))
            }
            Source::Cache => {
                let mut caches = [&k, &v].into_iter().map(|cache| bench.input(cache));
                let [k, v] = [caches.next(), caches.next()].map(|cache| cache.expect("two caches"));
                [heads(&bench.input(&q)?, q_width, 0), heads(&k?, kv_width, 0), heads(&v?, kv_width, 0)]
            }
        };
        let attention = kernels::attention::Attention {
            q: &q_heads_gpu,
            k: &k_heads_gpu,
            v: &v_heads_gpu,
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
