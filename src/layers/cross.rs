//! Attention to the visible pictures, with the norm before it.

use std::slice::from_ref;

use super::attend::{Queries, StepRows};
use super::linear::{FusedLinear, Norm, Residual, normed};
use super::pass::{Form, Pass};
use crate::error::{Error, Result};
use crate::gpu::Slice;
use crate::kernels::attention::Heads;
use crate::kernels::attention_step::reach;
use crate::kernels::rms_norm::{self, RmsNorm};
use crate::kernels::rope_append::{self, HeadNorms, RopeAppend, RopeChoice};
use crate::kernels::{LaneLayout, Scoring};
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
    pub o_proj: Residual,
    /// Number and width of heads.
    pub heads: rope_append::Heads,
    /// Norms of the queries and keys of every head.
    pub head_norms: HeadNorms,
    /// Scale and soft cap of the scores.
    pub scoring: Scoring,
}

impl CrossAttention {
    /// Records the layer over the rows in `pass.x`.
    pub fn record(&self, pass: &mut Pass<'_>, seen: &PictureState) -> Result<()> {
        self.keys_values(pass, seen)?;
        let (x, work, m, rope_append::Heads { q, dim, .. }) = (pass.x(), pass.work, pass.rows, self.heads);
        let (product, queries) = (work.qkv.all(), work.attn.all()); // [rows, q * dim] each
        normed(pass, from_ref(&self.q_proj), &self.norm, (&x, m), &product)?;
        let tuning = rms_norm::Tuning::of(pass.recording.kernel_config());
        let (weight, lane_layout, eps) = (&self.head_norms.q, LaneLayout::NATURAL, self.head_norms.eps);
        let norm = RmsNorm {
            x: &product,
            rows: m * q,
            width: dim,
            eps,
            weight,
            lane_layout,
            y: &queries,
            adds: false,
            factor: None,
        };
        rms_norm::record(pass.recording, tuning, &norm)?;
        self.attend(pass, seen, &queries, &product)?;
        self.o_proj.add(pass, (&product, pass.lane_layout(q * dim)))
    }

    /// Records keys and values of the picture at the start of the pass, if there is one, and appends them to the pictures' cache.
    fn keys_values(&self, pass: &mut Pass<'_>, seen: &PictureState) -> Result<()> {
        // Steps never start with a picture.
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
                rope: RopeChoice::ONLY,
                step: &fresh.words,
                cache: &seen.cache,
            };
            rope_append::record(pass.recording, &append)?;
        }
        Ok(())
    }

    fn attend(&self, pass: &mut Pass<'_>, seen: &PictureState, queries: &Slice, out: &Slice) -> Result<()> {
        let stride = self.heads.q * self.heads.dim;
        match pass.form {
            Form::Chunk { .. } => {
                let q = Heads { buffer: queries.clone(), stride, offset: 0 }; // [rows, q_heads, head_dim]
                self.queries(&q, seen).attend(pass, seen.rows, None, out)
            }
            // Every row sees all keys, as the last row of a step does: one launch for each row.
            Form::Step { .. } => (0..pass.rows).try_for_each(|row| {
                let q = Heads { buffer: queries.skip_rows(row, stride), stride, offset: 0 };
                let rows = StepRows { count: 1, reach: reach(seen.rows), apart: false };
                self.queries(&q, seen).attend_step(pass, rows, &out.skip_rows(row, stride))
            }),
        }
    }

    fn queries<'a>(&'a self, q: &'a Heads, seen: &'a PictureState) -> Queries<'a> {
        let (q_layout, cache, step) = (LaneLayout::NATURAL, &seen.cache, &seen.view);
        Queries { q, q_layout, gates: None, heads: self.heads, scoring: self.scoring, cache, step }
    }

    /// Matrices that every token is multiplied by.
    pub(super) fn matrices(&self) -> impl Iterator<Item = &Weight> {
        [&self.q_proj, &self.o_proj.weight].into_iter()
    }
}
