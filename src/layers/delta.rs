//! A gated delta net with its norm before and its residual behind.

use super::linear::{Norm, add, normed};
use super::pass::Pass;
use crate::config::DeltaConfig;
use crate::error::Result;
use crate::gpu::Slice;
use crate::kernels::delta_scan::{self, DeltaHeads, DeltaScan};
use crate::kernels::gated_head_norm::{self, GatedHeadNorm};
use crate::state::DeltaState;
use crate::weights::upload::Weight;

/// `x += out(norm(scan(silu(conv(qkv)), b, a)) * silu(z))`, where q, k and v, z, b and a are products of the normed x.
#[derive(Debug)]
pub struct DeltaNet {
    /// The norm before it.
    pub norm: Norm,
    /// Queries, keys, values and the gates z, then b and a, as matrices in this order. `// [config.width(), hidden]`
    pub in_proj: Vec<Weight>,
    /// Of the convolution, the newest token's last. `// [channels, 4]`
    pub conv: Slice,
    /// How fast each head forgets, and what is added to a before. `// [value_heads]` each
    pub rates: [Slice; 2],
    /// The norm of every head of the result. `// [head_dim]`
    pub head_norm: Slice,
    /// `// [hidden, value_heads * head_dim]`
    pub out_proj: Weight,
    /// Its sizes.
    pub config: DeltaConfig,
}

impl DeltaNet {
    /// Records the layer over the rows in `pass.work.x`.
    pub fn record(&self, pass: &mut Pass<'_>, state: &DeltaState) -> Result<()> {
        let (config, work, rows) = (&self.config, pass.work, pass.rows);
        let DeltaConfig { key_heads, value_heads, head_dim, tiled } = *config;
        let (x, all, out) = (work.x.all(), work.qkv.all(), work.attn.all());
        let (channels, width) = (config.channels(), config.width());
        let z_width = value_heads * head_dim;
        normed(pass, &self.in_proj, &self.norm, (&x, rows), &all)?; // [rows, q | k | v | z | b | a]
        let heads = DeltaHeads { keys: key_heads, values: value_heads, dim: head_dim, tiled };
        let scan = DeltaScan {
            rows: &all,
            place: (width, channels + z_width),
            before: &state.conv,
            conv: &self.conv,
            rates: self.rates.each_ref(),
            state: &state.memory,
            out: &out,
        };
        delta_scan::record(pass.recording, rows, heads, &scan)?; // [rows, value_heads, head_dim]
        let buffers =
            GatedHeadNorm { x: &out, rows: &all, place: (width, channels), weight: &self.head_norm, seen: &state.conv };
        let sizes = (rows, value_heads, head_dim);
        gated_head_norm::record(pass.recording, sizes, (self.norm.eps, channels), &buffers)?;
        add(pass, &self.out_proj, &out, &x)
    }

    /// The matrices that every token is multiplied by.
    pub(super) fn matrices(&self) -> impl Iterator<Item = &Weight> {
        self.in_proj.iter().chain([&self.out_proj])
    }
}
