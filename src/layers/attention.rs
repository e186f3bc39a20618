//! Causal grouped-query self-attention over the KV cache, with its norm before and its residual behind.

use super::linear::{FusedLinear, Norm, add, gemv, normed};
use super::pass::{Form, Pass};
use crate::error::Result;
use crate::gpu::Slice;
use crate::kernels::LaneLayout;
use crate::kernels::attention::{self as flash, Heads, KeysValues, Shape};
use crate::kernels::attention_step::{self, AttentionStep};
use crate::kernels::cache::Cache;
use crate::kernels::qkv_matvec::{self, QkvMatvec};
use crate::kernels::rope_append::{self, HeadNorms, RopeAppend};
use crate::weights::Weight;

/// `x += o(attention(rope(q), rope(k), v))`, where q, k and v are products of the normed x.
#[derive(Debug)]
pub struct Attention {
    /// The norm before it.
    pub norm: Norm,
    /// Queries, keys and values side by side, and behind them gates of the results if there are any. `// [(q + 2 * kv) * dim, hidden]`
    pub qkv_proj: FusedLinear,
    /// `// [hidden, q * dim]`
    pub o_proj: Weight,
    /// How rows of the product divide into heads, and which lanes of a head rotate together.
    pub heads: rope_append::Heads,
    /// Norms of the queries and keys of every head, if there are any.
    pub head_norms: Option<HeadNorms>,
}

impl Attention {
    /// Records the layer over the rows in `pass.work.x`.
    pub fn record(&self, pass: &mut Pass<'_>, cache: &Cache) -> Result<()> {
        let work = pass.work;
        let (x, qkv, attn) = (work.x.all(), work.qkv.all(), work.attn.all());
        let (q_heads, kv_heads, head_dim, m) = (self.heads.q, self.heads.kv, self.heads.dim, pass.rows);
        let (lane_layout, q_layout) = (pass.lane_layout(q_heads * head_dim), self.query_layout(pass, cache));
        let stride = self.queries_keys_values(pass, cache, (&qkv, q_layout))?;
        let q = Heads { buffer: qkv.clone(), stride, offset: 0 }; // [rows, q_heads, head_dim]
        let first_gate = (q_heads + 2 * kv_heads) * head_dim;
        let gates = (self.qkv_proj.width() > first_gate).then_some(first_gate);
        match pass.form {
            Form::Chunk { first_entry: past } => {
                let shape =
                    Shape { q_tokens: m, kv_tokens: past + m, q_heads, kv_heads, head_dim, causal_past: Some(past) };
                let (kv, tuning) = (
                    KeysValues::Cache { cache, step: &work.step.all() },
                    flash::Tuning::of(pass.recording.kernel_config()),
                );
                let attention = flash::Attention { q: &q, gates, kv, out: &attn, shape, tuning }; // [rows, q_heads * head_dim]
                flash::record(pass.recording, &attention)?;
            }
            Form::Step { reach, apart } => {
                let (step, partials, q, out) = (&work.step.all(), &work.partials.all(), &q, &attn); // [rows, q_heads * head_dim]
                let tuning = attention_step::Tuning::of(pass.recording.kernel_config());
                let splits = tuning.splits(reach);
                let attention = AttentionStep {
                    q,
                    q_layout,
                    gates,
                    cache,
                    step,
                    m,
                    apart,
                    q_heads,
                    kv_heads,
                    head_dim,
                    splits,
                    out,
                    lane_layout,
                    partials,
                    tuning,
                };
                attention_step::record(pass.recording, &attention)?;
            }
        }
        add(pass, &self.o_proj, (&attn, lane_layout), &x)
    }

    /// How queries lie in memory: of a step as the lanes read them that share a key.
    fn query_layout(&self, pass: &Pass<'_>, cache: &Cache) -> LaneLayout {
        let Form::Step { apart, .. } = pass.form else { return LaneLayout::NATURAL };
        let tuning = attention_step::Tuning::of(pass.recording.kernel_config());
        let rows = self.heads.q / self.heads.kv * if apart { 1 } else { pass.rows };
        attention_step::query_layout(self.heads.dim, cache.precision, rows, tuning)
    }

    /// Norm, product, rotation, and keys and values into the cache. Returns the width of a row of `out`, which begins with the queries.
    fn queries_keys_values(
        &self,
        pass: &mut Pass<'_>,
        cache: &Cache,
        (out, q_layout): (&Slice, LaneLayout),
    ) -> Result<usize> {
        let (heads, x, step) = (self.heads, pass.x(), pass.work.step.all());
        let norms = self.head_norms.as_ref();
        let fuses = |weight: &&Weight| {
            let limit = pass.work.max_bindings;
            norms.is_none() && qkv_matvec::can_fuse(weight, heads, cache.precision, false, limit)
        };
        if let Some(weight) = self.qkv_proj.single().filter(|_| pass.is_step()).filter(fuses) {
            let (m, norm) = (pass.rows, self.norm.folded());
            let gemv = gemv(pass, weight, m, 2, Some(&self.norm));
            let qkv = QkvMatvec { x: &x, m, norm, weight, bias: None, heads, step: &step, q: out, q_layout, cache };
            qkv_matvec::record(pass.recording, &gemv, &qkv)?; // [rows, q_heads * head_dim]
            return Ok(heads.q * heads.dim);
        }
        normed(pass, &self.qkv_proj.matrices, &self.norm, (&x, pass.rows), out)?; // [rows, q | k | v]
        let append = RopeAppend {
            qkv: out,
            stride: self.qkv_proj.width(),
            tokens: pass.rows,
            heads,
            q_layout,
            norms,
            step: &step,
            cache,
        };
        rope_append::record(pass.recording, &append)?;
        Ok(self.qkv_proj.width())
    }
}
