//! Cross-attention to the visible pictures, with the norm before it and the residual sum after it.

use std::slice::from_ref;

use super::linear::{FusedLinear, Norm, add, normed};
use super::pass::{Form, Pass};
use crate::error::{Error, Result};
use crate::gpu::Slice;
use crate::kernels::LaneLayout;
use crate::kernels::attention::{self as flash, Heads, KeysValues, Shape};
use crate::kernels::attention_step::{self, AttentionStep, reach};
use crate::kernels::rms_norm;
use crate::kernels::rope_append::{self, HeadNorms, RopeAppend};
use crate::state::PictureState;
use crate::weights::Weight;

/// `x += o(attention(norm(q), norm(k), v))`, where q is a product of the normed x, k and v of pictures' features. Nothing is rotated and
/// every row attends to all rows of the pictures. The gate of the published models is folded into `o_proj`.
#[derive(Debug)]
pub struct CrossAttention {
    /// The norm before it.
    pub norm: Norm,
    /// `// [q * dim, hidden]`
    pub q_proj: Weight,
    /// Keys and values side by side. `// [2 * kv * dim, hidden]`
    pub kv_proj: FusedLinear,
    /// `// [hidden, q * dim]`
    pub o_proj: Weight,
    /// Number and width of the heads.
    pub heads: rope_append::Heads,
    /// Norms of the queries and keys of every head.
    pub head_norms: HeadNorms,
}

impl CrossAttention {
    /// Records the layer over the rows in `pass.work.x`.
    pub fn record(&self, pass: &mut Pass<'_>, seen: &PictureState) -> Result<()> {
        self.keys_values(pass, seen)?;
        let (x, work, m, rope_append::Heads { q, dim, .. }) = (pass.x(), pass.work, pass.rows, self.heads);
        let (product, queries) = (work.qkv.all(), work.attn.all()); // [rows, q * dim] each
        normed(pass, from_ref(&self.q_proj), &self.norm, (&x, m), &product)?;
        let tuning = rms_norm::Tuning::of(pass.recording.kernel_config());
        let (sizes, eps) = ((m * q, dim), self.head_norms.eps);
        rms_norm::record(
            pass.recording,
            tuning,
            sizes,
            eps,
            &product,
            (&self.head_norms.q, LaneLayout::NATURAL),
            &queries,
        )?;
        self.attend(pass, seen, queries, &product)?;
        add(pass, &self.o_proj, (&product, pass.lane_layout(q * dim)), &x)
    }

    /// Records keys and values of the picture that the pass begins with, if there is one, into the picture's cache.
    fn keys_values(&self, pass: &mut Pass<'_>, seen: &PictureState) -> Result<()> {
        // No step begins with a picture.
        if pass.is_step() {
            return Ok(());
        }
        let no_features = || Error::Internal { detail: "a picture without features".into() };
        let kv = pass.work.qkv.all(); // [rows, k | v]
        let width = self.kv_proj.matrices.first().map_or(0, |weight| weight.shape.cols);
        for fresh in seen.fresh.iter() {
            let features = pass.features.as_ref().ok_or_else(no_features)?.skip_rows(fresh.features.start, width);
            let (tokens, heads) = (fresh.features.len(), rope_append::Heads { q: 0, ..self.heads });
            self.kv_proj.record(pass.recording, &features, tokens, &kv)?;
            let (stride, norms) = (self.kv_proj.width(), Some(&self.head_norms));
            let append = RopeAppend {
                qkv: &kv,
                stride,
                tokens,
                heads,
                q_layout: LaneLayout::NATURAL,
                norms,
                step: &fresh.words,
                cache: &seen.cache,
            };
            rope_append::record(pass.recording, &append)?;
        }
        Ok(())
    }

    fn attend(&self, pass: &mut Pass<'_>, seen: &PictureState, queries: Slice, out: &Slice) -> Result<()> {
        let rope_append::Heads { q: q_heads, kv: kv_heads, dim: head_dim, .. } = self.heads;
        let (rows, stride, cache, step) = (seen.rows, q_heads * head_dim, &seen.cache, &seen.view);
        let (kernel_config, lane_layout) = (pass.recording.kernel_config(), pass.lane_layout(stride));
        match pass.form {
            Form::Chunk { .. } => {
                let shape =
                    Shape { q_tokens: pass.rows, kv_tokens: rows, q_heads, kv_heads, head_dim, causal_past: None };
                let (kv, tuning) = (KeysValues::Cache { cache, step }, flash::Tuning::of(kernel_config));
                let q = &Heads { buffer: queries, stride, offset: 0 }; // [rows, q_heads, head_dim]
                flash::record(pass.recording, &flash::Attention { q, gates: None, kv, out, shape, tuning })
            }
            // Rows do not attend to one another, so each is recorded as the only row of a step.
            Form::Step { .. } => (0..pass.rows).try_for_each(|row| {
                let q = &Heads { buffer: queries.skip_rows(row, stride), stride, offset: 0 };
                let (out, partials) = (&out.skip_rows(row, stride), &pass.work.partials.all());
                let (m, tuning, apart) = (1, attention_step::Tuning::of(kernel_config), false);
                let splits = tuning.splits(reach(rows));
                let attention = AttentionStep {
                    q,
                    q_layout: LaneLayout::NATURAL,
                    gates: None,
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
                attention_step::record(pass.recording, &attention)
            }),
        }
    }

    /// The matrices that every token is multiplied by.
    pub(super) fn matrices(&self) -> impl Iterator<Item = &Weight> {
        [&self.q_proj, &self.o_proj].into_iter()
    }
}
