//! A gated delta net, with the norm before it.

use super::linear::{Norm, Residual, normed};
use super::pass::Pass;
use crate::config::DeltaConfig;
use crate::error::{Error, Result};
use crate::gpu::{Recording, Slice};
use crate::kernels::LaneLayout;
use crate::kernels::delta_scan::{self, DeltaHeads, DeltaScan};
use crate::kernels::gated_head_norm::{self, GatedHeadNorm, NormMode};
use crate::state::DeltaState;
use crate::weights::Weight;

/// `x += out(norm(scan(silu(conv(qkv)), b, a)) * silu(z))`, where q, k and v, z, b and a are products of the normed x.
#[derive(Debug)]
pub struct DeltaNet {
    /// The norm before the products.
    pub norm: Norm,
    /// Queries, keys, values and the gates z, then b and a, as matrices in this order. `// [config.width(), hidden]`
    pub in_proj: Vec<Weight>,
    /// Weights of the convolution, that of the newest token last. `// [channels, 4]`
    pub conv: Slice,
    /// Decay rate of each head, and the bias of a. `// [value_heads]` each
    pub rates: [Slice; 2],
    /// The norm of every head of the result. `// [head_dim]`
    pub head_norm: Slice,
    /// `// [hidden, value_heads * head_dim]`
    pub out_proj: Residual,
    /// Its sizes.
    pub config: DeltaConfig,
}

impl DeltaNet {
    /// Records the layer over the rows in `pass.x`. After a pass over drafts the recurrent state is unchanged and only the products of
    /// the rows are saved, for `replay`.
    pub fn record(&self, pass: &mut Pass<'_>, state: &DeltaState) -> Result<()> {
        let no_room = || Error::Internal { detail: "drafts in a recurrent state that has no room for them".into() };
        let (x, out, count) = (pass.x(), pass.work.attn.all(), pass.rows);
        let has_drafts = pass.is_step() && count > 1;
        let (rows, mode) = if has_drafts {
            (state.drafts.clone().ok_or_else(no_room)?, NormMode::Norm)
        } else {
            (pass.work.qkv.all(), NormMode::All)
        };
        normed(pass, &self.in_proj, &self.norm, (&x, count), &rows)?; // [rows, q | k | v | z | b | a]
        // Heads are normed in place, each by one workgroup: groups of a lane layout stay within heads.
        let lane_layout = pass.lane_layout(self.config.head_dim);
        self.scan(pass.recording, (&rows, count), state, (&out, lane_layout), mode)?; // [rows, value_heads, head_dim]
        self.out_proj.add(pass, (&out, lane_layout))
    }

    /// Replays the first `count` saved rows into the recurrent state, one step each. `out`: scratch memory.
    /// `// [count, value_heads, head_dim]`
    pub(super) fn replay(
        &self,
        recording: &mut Recording,
        count: usize,
        state: &DeltaState,
        out: &Slice,
    ) -> Result<()> {
        let Some(rows) = &state.drafts else { return Ok(()) };
        self.scan(recording, (rows, count), state, (out, LaneLayout::NATURAL), NormMode::Keep)
    }

    /// Records everything between the products. The state changes unless `mode` is [`NormMode::Norm`].
    fn scan(
        &self,
        recording: &mut Recording,
        (rows, count): (&Slice, usize),
        state: &DeltaState,
        (out, lane_layout): (&Slice, LaneLayout),
        mode: NormMode,
    ) -> Result<()> {
        let DeltaConfig { key_heads, value_heads, head_dim, tiled } = self.config;
        let (channels, width) = (self.config.channels(), self.config.width());
        let heads = DeltaHeads { keys: key_heads, values: value_heads, dim: head_dim, tiled };
        let scan = DeltaScan {
            rows,
            stride: width,
            gate_offset: channels + value_heads * head_dim,
            before: &state.conv,
            conv: &self.conv,
            rates: self.rates.each_ref(),
            state: &state.memory,
            keeps: mode != NormMode::Norm,
            out,
        };
        delta_scan::record(recording, count, heads, &scan)?;
        let norm = GatedHeadNorm {
            tokens: count,
            heads: value_heads,
            dim: head_dim,
            x: out,
            lane_layout,
            rows,
            stride: width,
            gate_offset: channels,
            weight: &self.head_norm,
            eps: self.norm.eps,
            channels,
            seen: &state.conv,
        };
        gated_head_norm::record(recording, mode, &norm)
    }

    /// Matrices that every token is multiplied by.
    pub(super) fn matrices(&self) -> impl Iterator<Item = &Weight> {
        self.in_proj.iter().chain([&self.out_proj.weight])
    }
}
