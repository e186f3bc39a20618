//! Norms of towers.

use super::options::{NormKind, TowerOptions};
use crate::error::Result;
use crate::gpu::{Recording, Slice};
use crate::kernels::rms_norm::RmsNorm;
use crate::kernels::{LaneLayout, RowShape, layer_norm, rms_norm};
use crate::weights::WeightStore;

/// A norm of the kind that a tower has.
#[derive(Debug)]
pub struct PatchNorm {
    /// `// [width]`
    weight: Slice,
    /// Present in layer norms. `// [width]`
    bias: Option<Slice>,
    /// Numbers in a row.
    width: usize,
    eps: f32,
}

impl PatchNorm {
    /// Takes the weights of a norm over rows of `width` numbers; [`crate::Error::InvalidPackage`] if one is missing.
    pub fn new(weights: &mut WeightStore, name: &str, width: usize, options: &TowerOptions) -> Result<Self> {
        let bias = (options.norm == NormKind::Layer).then(|| weights.vector(&format!("{name}.bias"))).transpose()?;
        Ok(Self { weight: weights.vector(name)?, bias, width, eps: options.eps })
    }

    /// The same norm with another epsilon.
    #[must_use]
    pub fn with_eps(self, eps: f32) -> Self {
        Self { eps, ..self }
    }

    /// Records `y = norm(x)`. `x`, `y`: `// [rows, width]`.
    pub fn record(&self, recording: &mut Recording, rows: usize, x: &Slice, y: &Slice) -> Result<()> {
        let (shape, eps, weight) = (RowShape { rows, width: self.width }, self.eps, &self.weight);
        if let Some(bias) = &self.bias {
            return layer_norm::record(recording, shape, eps, x, [weight, bias], y);
        }
        self.root_mean_square(recording, rows, x, y, false)
    }

    /// Records `y += norm(x)` for a root-mean-square norm. `x`, `y`: `// [rows, width]`.
    pub(super) fn add(&self, recording: &mut Recording, rows: usize, x: &Slice, y: &Slice) -> Result<()> {
        self.root_mean_square(recording, rows, x, y, true)
    }

    fn root_mean_square(&self, recording: &mut Recording, rows: usize, x: &Slice, y: &Slice, adds: bool) -> Result<()> {
        let tuning = rms_norm::Tuning::of(recording.kernel_config());
        let (width, eps, weight, lane_layout) = (self.width, self.eps, &self.weight, LaneLayout::NATURAL);
        rms_norm::record(
            recording,
            tuning,
            &RmsNorm { x, rows, width, eps, weight, lane_layout, y, adds, factor: None },
        )
    }
}
