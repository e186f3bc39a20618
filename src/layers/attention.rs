//! Causal grouped-query self-attention over the KV cache, with the norm before it.

use super::attend::{Queries, StepRows};
use super::linear::{FusedLinear, Norm, Residual, gemv, normed};
use super::pass::{Form, Pass};
use crate::error::Result;
use crate::gpu::Slice;
use crate::kernels::attention::Heads;
use crate::kernels::attention_step;
use crate::kernels::cache::Cache;
use crate::kernels::qkv_matvec::{self, QkvMatvec};
use crate::kernels::rope_append::{self, HeadNorms, RopeAppend, RopeChoice};
use crate::kernels::{LaneLayout, Scoring};

/// `x += o(attention(rope(q), rope(k), v))`, where q, k and v are products of the normed x.
#[derive(Debug)]
pub struct Attention {
    /// The norm before it.
    pub norm: Norm,
    /// Queries, keys and values side by side, then gates of the results if there are any. Without values where these are the keys, and without
    /// both where [`Self::shares_kv`]. `// [(q + 2 * kv) * dim, hidden]`
    pub qkv_proj: FusedLinear,
    /// `// [hidden, q * dim]`
    pub o_proj: Residual,
    /// Division of a row of the product into heads, and the lanes of a head that rotate together.
    pub heads: rope_append::Heads,
    /// Norms of the queries and keys of every head, if any.
    pub head_norms: Option<HeadNorms>,
    /// The rope of the layer.
    pub rope: RopeChoice,
    /// Scale, soft cap and window of the scores.
    pub scoring: Scoring,
    /// True if the layer reads keys and values of an earlier one.
    pub shares_kv: bool,
}

impl Attention {
    /// Records the layer over the rows in `pass.x`.
    pub fn record(&self, pass: &mut Pass<'_>, cache: &Cache) -> Result<()> {
        let (qkv, attn, step) = (pass.work.qkv.all(), pass.work.attn.all(), pass.work.step.all());
        let (heads, q_layout) = (self.heads, self.query_layout(pass, cache));
        let stride = self.queries_keys_values(pass, cache, (&qkv, q_layout))?;
        let first_gate = (heads.q + 2 * heads.kv) * heads.dim;
        let queries = Queries {
            q: &Heads { buffer: qkv, stride, offset: 0 }, // [rows, q_heads, head_dim]
            q_layout,
            gates: (self.qkv_proj.width() > first_gate).then_some(first_gate),
            heads,
            scoring: self.scoring,
            cache,
            step: &step,
        };
        match pass.form {
            Form::Chunk { first_entry: past } => queries.attend(pass, past + pass.rows, Some(past), &attn)?,
            Form::Step { reach, apart } => {
                queries.attend_step(pass, StepRows { count: pass.rows, reach, apart }, &attn)?;
            }
        }
        self.o_proj.add(pass, (&attn, pass.lane_layout(heads.q * heads.dim)))
    }

    /// Lane layout of queries: that of lanes which share a key in a step.
    fn query_layout(&self, pass: &Pass<'_>, cache: &Cache) -> LaneLayout {
        let Form::Step { apart, .. } = pass.form else { return LaneLayout::NATURAL };
        let tuning = attention_step::Tuning::of(pass.recording.kernel_config());
        let rows = self.heads.q / self.heads.kv * if apart { 1 } else { pass.rows };
        attention_step::query_layout(self.heads.dim, cache.precision, rows, tuning)
    }

    /// Records norm, product and rotation, and appends keys and values to the cache. Returns the width of a row of `out`, which starts with
    /// the queries.
    fn queries_keys_values(
        &self,
        pass: &mut Pass<'_>,
        cache: &Cache,
        (out, q_layout): (&Slice, LaneLayout),
    ) -> Result<usize> {
        let (heads, rope, x, step) = (self.heads, self.rope, pass.x(), pass.work.step.all());
        let (norms, shares_kv) = (self.head_norms.as_ref(), self.shares_kv);
        let is_plain = norms.is_none() && rope == RopeChoice::ONLY && !shares_kv;
        let fuses = |weight: &&_| {
            is_plain && qkv_matvec::can_fuse(weight, heads, cache.precision, false, pass.work.max_bindings)
        };
        if let Some(weight) = self.qkv_proj.single().filter(|_| pass.is_step()).filter(fuses) {
            let (m, norm) = (pass.rows, self.norm.folded());
            let gemv = gemv(pass, weight, m, 2, Some(&self.norm));
            let qkv = QkvMatvec { x: &x, m, norm, weight, bias: None, heads, step: &step, q: out, q_layout, cache };
            qkv_matvec::record(pass.recording, &gemv, &qkv)?; // [rows, q_heads * head_dim]
            return Ok(heads.q * heads.dim);
        }
        normed(pass, &self.qkv_proj.matrices, &self.norm, (&x, pass.rows), out)?; // [rows, q | k | v]
        let (stride, tokens) = (self.qkv_proj.width(), pass.rows);
        let heads = rope_append::Heads { kv: if shares_kv { 0 } else { heads.kv }, ..heads };
        let append = RopeAppend { qkv: out, stride, tokens, heads, q_layout, norms, rope, step: &step, cache };
        rope_append::record(pass.recording, &append)?;
        Ok(stride)
    }
}
