//! Queries of a pass over a cache of keys and values, by the kernel for many rows or the one for few.

use super::pass::Pass;
use crate::config::{LayerKind, TextConfig};
use crate::error::Result;
use crate::gpu::Slice;
use crate::kernels::attention::{self, Attention, Heads, KeysValues, Shape};
use crate::kernels::attention_step::{self, AttentionStep, reach};
use crate::kernels::cache::Cache;
use crate::kernels::rope_append;
use crate::kernels::{LaneLayout, Scoring};

/// Queries of a layer, ready for attention.
pub(super) struct Queries<'a> {
    /// `// [rows, heads.q, heads.dim]`
    pub(super) q: &'a Heads,
    /// Lane layout of each query of a step.
    pub(super) q_layout: LaneLayout,
    /// Column of the first gate in a row of queries, if results are multiplied by gates.
    pub(super) gates: Option<usize>,
    pub(super) heads: rope_append::Heads,
    pub(super) scoring: Scoring,
    /// Keys and values.
    pub(super) cache: &'a Cache,
    /// The step buffer that holds the cache's page table.
    pub(super) step: &'a Slice,
}

/// Rows of a step that attend in one launch.
#[derive(Clone, Copy)]
pub(super) struct StepRows {
    pub(super) count: usize,
    /// Number of entries in sight, as [`reach`] rounds it.
    pub(super) reach: usize,
    /// True if each row belongs to another conversation.
    pub(super) apart: bool,
}

/// Scores of a layer of this kind.
pub(super) fn scoring(config: &TextConfig, kind: LayerKind) -> Scoring {
    let soft_cap = config.layer_options.attn_logit_softcapping;
    Scoring { scale: config.score_scale(kind), soft_cap, window: config.window(kind) }
}

impl Queries<'_> {
    /// Records attention of the rows of a chunk. Row `i` sees the keys up to `causal_past + i`, or all `kv_tokens` keys.
    /// `out`: `// [rows, heads.q * heads.dim]`
    pub(super) fn attend(
        &self,
        pass: &mut Pass<'_>,
        kv_tokens: usize,
        causal_past: Option<usize>,
        out: &Slice,
    ) -> Result<()> {
        let rope_append::Heads { q: q_heads, kv: kv_heads, dim: head_dim, .. } = self.heads;
        let shape = Shape { q_tokens: pass.rows, kv_tokens, q_heads, kv_heads, head_dim, causal_past };
        let (kv, scoring) = (KeysValues::Cache { cache: self.cache, step: self.step }, self.scoring);
        let tuning = attention::Tuning::of(pass.recording.kernel_config());
        let attention = Attention { q: self.q, gates: self.gates, kv, out, shape, scoring, tuning };
        attention::record(pass.recording, &attention)
    }

    /// Records causal attention of rows of a step. `out`: `// [rows, heads.q * heads.dim]`
    pub(super) fn attend_step(&self, pass: &mut Pass<'_>, rows: StepRows, out: &Slice) -> Result<()> {
        let rope_append::Heads { q: q_heads, kv: kv_heads, dim: head_dim, .. } = self.heads;
        let &Self { q, q_layout, gates, scoring, cache, step, .. } = self;
        let tuning = attention_step::Tuning::of(pass.recording.kernel_config());
        let most = scoring.window.map_or(usize::MAX, reach);
        let attention = AttentionStep {
            q,
            q_layout,
            gates,
            cache,
            step,
            m: rows.count,
            scoring,
            apart: rows.apart,
            q_heads,
            kv_heads,
            head_dim,
            splits: tuning.splits(rows.reach.min(most)),
            out,
            lane_layout: pass.lane_layout(q_heads * head_dim),
            partials: &pass.work.partials.all(),
            tuning,
        };
        attention_step::record(pass.recording, &attention)
    }
}
