//! Patches to features the decoder reads: norm, patch merger, two linear layers (`transformers` `modeling_mistral3.py`).

use super::linear::project;
use super::vision;
use crate::config::{ModelConfig, VisionConfig};
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, Purpose, Recording, Slice};
use crate::kernels::{Linear, activation, patch_merge, rms_norm};
use crate::weights::upload::{Weight, WeightStore};

/// A picture as the decoder sees it. `// [rows, text hidden]`
#[derive(Debug, Clone)]
pub struct Features {
    /// The rows, one a picture token.
    pub buffer: Buffer,
    /// How many there are.
    pub rows: usize,
}

/// The projector's weights.
#[derive(Debug)]
pub struct Projector {
    vision: VisionConfig,
    eps: f32,
    norm: Slice,
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

    fn record(&self, recording: &mut Recording, x: &Slice, m: usize, y: &Slice) -> Result<()> {
        let (weight, bias) = (&self.weight, self.bias.as_ref());
        let y_stride = weight.shape.rows;
        Linear { x, m, weight, bias, y, y_stride, y_offset: 0, accumulate: false }.record(recording)
    }
}

impl Projector {
    /// Takes the projector's weights.
    ///
    /// # Errors
    /// [`crate::Error::InvalidPackage`] if one is missing.
    pub fn new(config: &ModelConfig, vision: &VisionConfig, weights: &mut WeightStore) -> Result<Self> {
        Ok(Self {
            vision: vision.clone(),
            // The projector's norm goes by the decoder's epsilon.
            eps: config.text.rms_norm_eps,
            norm: weights.vector("projector.norm")?,
            merging_layer: weights.matrix("projector.merging_layer")?,
            linear_1: Biased::new(weights, "projector.linear_1", vision.projector_bias)?,
            linear_2: Biased::new(weights, "projector.linear_2", vision.projector_bias)?,
        })
    }

    /// Records the tower's output in `work.x` to features, for a grid of `rows x columns` tokens.
    pub(super) fn record(
        &self,
        gpu: &Gpu,
        recording: &mut Recording,
        work: &vision::Workspace,
        (rows, columns): (usize, usize),
    ) -> Result<Features> {
        let VisionConfig { hidden_size, spatial_merge_size: merge, .. } = self.vision;
        let tokens = rows * columns;
        let alloc =
            |label, width: usize| gpu.alloc(label, Purpose::Activations, (tokens * width * size_of::<f32>()) as u64);
        let text_hidden = self.linear_2.weight.shape.rows;
        let merged = alloc("merged", hidden_size * merge * merge)?.all(); // [tokens, hidden * merge^2]
        let narrow = alloc("merging_layer", hidden_size)?.all(); // [tokens, hidden]
        let wide = alloc("linear_1", text_hidden)?.all(); // [tokens, text hidden]
        let features = alloc("features", text_hidden)?; // [tokens, text hidden]
        let (x, h) = (work.x.all(), work.h.all());
        rms_norm::record(recording, (work.patches, hidden_size), self.eps, &x, &self.norm, &h)?;
        patch_merge::record(recording, (rows, columns), merge, hidden_size, &h, &merged)?;
        project(recording, &self.merging_layer, &merged, tokens, &narrow, false)?;
        self.linear_1.record(recording, &narrow, tokens, &wide)?;
        activation::record(recording, tokens * text_hidden, self.vision.projector_act, &wide)?;
        self.linear_2.record(recording, &wide, tokens, &features.all())?;
        Ok(Features { buffer: features, rows: tokens })
    }
}
