//! Squares of patches to rows of features: a norm and two layers (`transformers` `modeling_qwen3_vl.py`).

use super::config::VisionConfig;
use crate::config::Activation;
use crate::error::Result;
use crate::gpu::Recording;
use crate::kernels::activation;
use crate::layers::vision::{Affine, FeatureRows, Output, PatchNorm, Stage, TowerOptions, Workspace};
use crate::weights::WeightStore;

/// One merger.
#[derive(Debug)]
pub(super) struct Merger {
    /// Over patches, or over squares of them.
    norm: PatchNorm,
    norm_is_of_squares: bool,
    linear_fc1: Affine,
    linear_fc2: Affine,
    /// Which of a token's rows of features it makes.
    row: usize,
    /// Rows of features of a token.
    rows_of_token: usize,
}

impl Merger {
    /// Takes the weights of the merger after the last layer, or of the one of that index within the tower, whose norm is over whole squares.
    pub(super) fn new(
        vision: &VisionConfig,
        options: &TowerOptions,
        weights: &mut WeightStore,
        deepstack: Option<usize>,
    ) -> Result<Self> {
        let name = deepstack.map_or("merger".into(), |index| format!("deepstack.{index}"));
        let patches = if deepstack.is_some() { options.rows_per_token } else { 1 };
        Ok(Self {
            norm: PatchNorm::new(weights, &format!("{name}.norm"), options.hidden * patches, options)?,
            norm_is_of_squares: deepstack.is_some(),
            linear_fc1: Affine::new(weights, &format!("{name}.linear_fc1"), true)?,
            linear_fc2: Affine::new(weights, &format!("{name}.linear_fc2"), true)?,
            row: deepstack.map_or(0, |index| 1 + index),
            rows_of_token: vision.rows_of_token(),
        })
    }
}

impl Stage for Merger {
    /// Records the residual stream to features. The patches of a square are consecutive: side by side, they are its row.
    fn record(&self, recording: &mut Recording, work: &Workspace, features: FeatureRows<'_>) -> Result<()> {
        let (normed, inner, width) = (work.h.all(), work.act.all(), self.linear_fc2.width());
        let (patches, y, stride) = (work.options.rows_per_token, &features.buffer.all(), self.rows_of_token * width);
        for range in work.chunks() {
            let (first, tokens) = (range.start / patches, range.len() / patches);
            let rows = if self.norm_is_of_squares { tokens } else { range.len() };
            self.norm.record(recording, rows, &work.residual(&range), &normed)?; // [tokens, hidden * patches]
            self.linear_fc1.record(recording, &normed, tokens, &inner)?; // [tokens, hidden * patches]
            activation::record(recording, tokens * self.linear_fc1.width(), Activation::Gelu, &inner)?;
            let offset = (features.first + self.row) * width + first * stride;
            let output = Output { y, stride, offset, accumulate: false };
            self.linear_fc2.record_into(recording, &inner, tokens, output)?;
        }
        Ok(())
    }
}
