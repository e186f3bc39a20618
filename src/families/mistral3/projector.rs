//! Patches to features the decoder reads: norm, patch merger, two linear layers (`transformers` `modeling_mistral3.py`).

use super::config::{Config, VisionConfig};
use crate::config::Activation;
use crate::error::Result;
use crate::gpu::Recording;
use crate::kernels::activation;
use crate::kernels::patch_merge::{self, Squares};
use crate::layers::vision::{Affine, FeatureRows, Output, PatchNorm, Stage, TowerOptions, Workspace};
use crate::weights::WeightStore;

/// The projector's weights.
#[derive(Debug)]
pub(super) struct Projector {
    norm: PatchNorm,
    merging_layer: Affine,
    linear_1: Affine,
    linear_2: Affine,
    /// Side of the square of patches that becomes one token.
    merge: usize,
    activation: Activation,
}

impl Projector {
    /// Takes the projector's weights.
    pub(super) fn new(
        config: &Config,
        vision: &VisionConfig,
        options: &TowerOptions,
        weights: &mut WeightStore,
    ) -> Result<Self> {
        let norm = PatchNorm::new(weights, "projector.norm", options.hidden, options)?;
        Ok(Self {
            // The decoder's epsilon, not the tower's.
            norm: norm.with_eps(config.text.rms_norm_eps),
            merging_layer: Affine::new(weights, "projector.merging_layer", false)?,
            linear_1: Affine::new(weights, "projector.linear_1", vision.projector_bias)?,
            linear_2: Affine::new(weights, "projector.linear_2", vision.projector_bias)?,
            merge: vision.spatial_merge_size,
            activation: vision.projector_act,
        })
    }
}

impl Stage for Projector {
    fn record(&self, recording: &mut Recording, work: &Workspace, features: FeatureRows<'_>) -> Result<()> {
        for range in work.chunks() {
            self.norm.record(recording, range.len(), &work.residual(&range), &work.in_keys(&range))?;
        }
        let normed = work.in_keys(&(0..work.rows.all)); // [patches, hidden]
        let (merged, narrow, wide, y) = (work.wide.all(), work.h.all(), work.act.all(), &features.buffer.all());
        let (columns, text_hidden) = (work.patches.columns() / self.merge, self.linear_2.width());
        let squares = Squares { columns, merge: self.merge, channels: work.options.hidden };
        for range in work.chunks_of(work.rows.all / (self.merge * self.merge)) {
            let (tokens, offset) = (range.len(), (features.first + range.start) * text_hidden);
            patch_merge::record(recording, squares, range, &normed, &merged)?; // [tokens, hidden * merge^2]
            self.merging_layer.record(recording, &merged, tokens, &narrow)?; // [tokens, hidden]
            self.linear_1.record(recording, &narrow, tokens, &wide)?; // [tokens, text hidden]
            activation::record(recording, tokens * text_hidden, self.activation, &wide)?;
            let output = Output { y, stride: text_hidden, offset, accumulate: false };
            self.linear_2.record_into(recording, &wide, tokens, output)?;
        }
        Ok(())
    }
}
