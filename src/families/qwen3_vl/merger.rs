//! Squares of patches to rows of features: a norm and two layers (`transformers` `modeling_qwen3_vl.py`).

use std::ops::Range;

use super::config::VisionConfig;
use super::work::{EPS, Workspace};
use crate::config::Activation;
use crate::error::Result;
use crate::gpu::{Buffer, Recording};
use crate::kernels::{Linear, activation};
use crate::layers::{Biased, LayerNorm};
use crate::weights::WeightStore;

/// Where features go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Into<'a> {
    /// Rows of features. `// [rows, text hidden]`
    pub(super) features: &'a Buffer,
    /// The row of the first token.
    pub(super) first: usize,
    /// Rows from a token to the next.
    pub(super) step: usize,
}

/// One merger.
#[derive(Debug)]
pub(super) struct Merger {
    /// Over patches, or over squares of them.
    norm: LayerNorm,
    norm_is_of_squares: bool,
    linear_fc1: Biased,
    linear_fc2: Biased,
}

impl Merger {
    /// The one behind the tower.
    pub(super) fn last(config: &VisionConfig, weights: &mut WeightStore) -> Result<Self> {
        Self::new("merger", config.hidden_size, false, weights)
    }

    /// The one of index `index` within the tower, whose norm is over whole squares.
    pub(super) fn deepstack(config: &VisionConfig, weights: &mut WeightStore, index: usize) -> Result<Self> {
        Self::new(&format!("deepstack.{index}"), config.hidden_size * config.merged(), true, weights)
    }

    fn new(name: &str, normed: usize, norm_is_of_squares: bool, weights: &mut WeightStore) -> Result<Self> {
        let at = |part: &str| format!("{name}.{part}");
        Ok(Self {
            norm: LayerNorm::new(weights, &at("norm"), (normed, EPS))?,
            norm_is_of_squares,
            linear_fc1: Biased::new(weights, &at("linear_fc1"))?,
            linear_fc2: Biased::new(weights, &at("linear_fc2"))?,
        })
    }

    /// Records the rows in `work.x` to features. The patches of a square lie one after another: side by side, they are its row.
    pub(super) fn record(&self, recording: &mut Recording, work: &Workspace, into: Into<'_>) -> Result<()> {
        let (normed, inner, hidden) = (work.h.all(), work.act.all(), self.linear_fc2.width());
        for range in work.chunks() {
            let Range { start, end } = range;
            let (first, tokens) = (start / work.config.merged(), (end - start) / work.config.merged());
            let x = work.rows(&work.x, &range, work.config.hidden_size); // [range, hidden]
            let rows = if self.norm_is_of_squares { tokens } else { range.len() };
            self.norm.record(recording, rows, &x, &normed)?; // [tokens, hidden * merged]
            self.linear_fc1.record(recording, &normed, tokens, &inner, false)?; // [tokens, hidden * merged]
            activation::record(recording, tokens * self.linear_fc1.width(), Activation::Gelu, &inner)?;
            let features = into.features.all();
            let product = self.linear_fc2.product(&inner, tokens, &features);
            let y_offset = (into.first + first * into.step) * hidden;
            Linear { y_stride: into.step * hidden, y_offset, ..product }.record(recording)?;
        }
        Ok(())
    }
}
