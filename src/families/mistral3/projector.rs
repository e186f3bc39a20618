//! Patches to features the decoder reads: norm, patch merger, two linear layers (`transformers` `modeling_mistral3.py`).

use super::config::{Config, VisionConfig};
use super::vision_work::Workspace;
use crate::error::Result;
use crate::gpu::{Buffer, Recording, Slice};
use crate::kernels::patch_merge::{self, Squares};
use crate::kernels::{Linear, activation};
use crate::layers::{Norm, project};
use crate::weights::{Weight, WeightStore};

/// The projector's weights.
#[derive(Debug)]
pub(super) struct Projector {
    vision: VisionConfig,
    norm: Norm,
    merging_layer: Weight,
    linear_1: Biased,
    linear_2: Biased,
}

#[derive(Debug)]
struct Biased {
    weight: Weight,
    bias: Option<Slice>,
}

impl Biased {
    fn new(weights: &mut WeightStore, name: &str, has_bias: bool) -> Result<Self> {
        let bias = if has_bias { Some(weights.vector(&format!("{name}.bias"))?) } else { None };
        Ok(Self { weight: weights.matrix(name)?, bias })
    }

    /// Records the product into the rows of `y` from `first` on.
    fn record(&self, recording: &mut Recording, x: &Slice, m: usize, y: &Slice, first: usize) -> Result<()> {
        let (weight, bias) = (&self.weight, self.bias.as_ref());
        let y_stride = weight.shape.rows;
        Linear { x, m, weight, bias, y, y_stride, y_offset: first * y_stride, accumulate: false }.record(recording)
    }
}

impl Projector {
    /// Takes the projector's weights.
    pub(super) fn new(config: &Config, vision: &VisionConfig, weights: &mut WeightStore) -> Result<Self> {
        Ok(Self {
            vision: vision.clone(),
            // The decoder's epsilon, not the tower's.
            norm: Norm::new(weights, "projector.norm", (vision.hidden_size, config.text.rms_norm_eps))?,
            merging_layer: weights.matrix("projector.merging_layer")?,
            linear_1: Biased::new(weights, "projector.linear_1", vision.projector_bias)?,
            linear_2: Biased::new(weights, "projector.linear_2", vision.projector_bias)?,
        })
    }

    /// Records the tower's output in `work.x` to the features of a grid of `rows x columns` tokens, from row `first` of
    /// `features` on.
    pub(super) fn record(
        &self,
        recording: &mut Recording,
        work: &Workspace,
        [rows, columns]: [usize; 2],
        (features, first): (&Buffer, usize),
    ) -> Result<()> {
        let VisionConfig { hidden_size, spatial_merge_size: merge, .. } = self.vision;
        let text_hidden = self.linear_2.weight.shape.rows;
        for range in work.chunks() {
            // The keys are no longer needed: their buffer takes the normalised patches.
            let (x, y) = (work.rows(&work.x, &range, hidden_size), work.rows(&work.keys.buffer, &range, hidden_size));
            self.norm.record(recording, range.len(), &x, &y)?;
        }
        let normalised = work.rows(&work.keys.buffer, &(0..work.patches), hidden_size); // [patches, hidden]
        let (merged, narrow, wide) = (work.wide.all(), work.h.all(), work.act.all());
        let squares = Squares { columns, merge, channels: hidden_size };
        for range in work.chunks_of(rows * columns) {
            let tokens = range.len();
            patch_merge::record(recording, squares, range.clone(), &normalised, &merged)?; // [tokens, hidden * merge^2]
            project(recording, &self.merging_layer, &merged, tokens, &narrow, false)?; // [tokens, hidden]
            self.linear_1.record(recording, &narrow, tokens, &wide, 0)?; // [tokens, text hidden]
            activation::record(recording, tokens * text_hidden, self.vision.projector_act, &wide)?;
            self.linear_2.record(recording, &wide, tokens, &features.all(), first + range.start)?;
        }
        Ok(())
    }
}
