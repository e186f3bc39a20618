//! Per-layer embeddings: a row of numbers for each token and layer beside the residual stream, which a gate at the end of each layer reads
//! (`transformers` `modeling_gemma4.py`). The table of rows stays in storage; rows of the tokens of a pass are written to the workspace before it.

use super::linear::{Norm, Residual, product};
use super::pass::Pass;
use crate::config::{Activation, TextConfig};
use crate::error::Result;
use crate::kernels::RowShape;
use crate::kernels::gate_rows::{self, RowPart};
use crate::weights::{Weight, WeightStore};

/// Name of the table, whose rows stay in storage.
pub const TABLE: &str = "embed_tokens_per_layer";

/// `inputs = embeddings + norm(x * w^T)`, where x is the input of the first layer. Those of `transformers` are smaller by the root of 2, a factor
/// that the norm after the gate's projection undoes.
#[derive(Debug)]
pub struct PerLayerInputs {
    /// `// [layers * width, hidden]`
    projection: Weight,
    /// The norm of each layer's part of a row. `// [width]`
    norm: Norm,
    layers: usize,
}

impl PerLayerInputs {
    /// Takes the weights; `None` for models without per-layer inputs. Fails with [`crate::Error::InvalidPackage`] if one is missing.
    pub fn new(config: &TextConfig, weights: &mut WeightStore) -> Result<Option<Self>> {
        let Some(width) = config.layer_options.per_layer_inputs else { return Ok(None) };
        // `transformers` multiplies the product by hidden^-0.5 first.
        let eps = config.rms_norm_eps * config.hidden_size as f32;
        Ok(Some(Self {
            projection: weights.matrix("per_layer_model_projection")?,
            norm: Norm::new(weights, "per_layer_projection_norm", width, eps)?,
            layers: config.layers.len(),
        }))
    }

    /// Records the sum over the embeddings that were written to the workspace.
    pub fn record(&self, pass: &mut Pass<'_>) -> Result<()> {
        let (context, inputs, x) = (pass.work.gate_up.all(), pass.work.per_layer.all(), pass.x()); // inputs: [rows, layers * width]
        product(pass, &self.projection, &x, &context)?; // [rows, layers * width]
        self.norm.add_natural(pass.recording, pass.rows * self.layers, &context, &inputs)
    }
}

/// `x += norm(projection(act(gate(x)) * inputs))`, and a factor of the sum.
#[derive(Debug)]
pub struct PerLayerGate {
    /// `// [width, hidden]`
    pub gate: Weight,
    /// `// [hidden, width]`
    pub projection: Residual,
    /// The layer's part of a row of inputs.
    pub part: RowPart,
    /// Activation of the gate.
    pub activation: Activation,
}

impl PerLayerGate {
    /// Records the gate over the rows in `pass.x`.
    pub fn record(&self, pass: &mut Pass<'_>) -> Result<()> {
        let (gate, act, inputs, x) =
            (pass.work.gate_up.all(), pass.work.act.all(), pass.work.per_layer.all(), pass.x());
        let shape = RowShape { rows: pass.rows, width: self.gate.shape.rows };
        let lane_layout = pass.lane_layout(shape.width);
        product(pass, &self.gate, &x, &gate)?; // [rows, width]
        let part = RowPart { offset: self.part.offset + pass.first_input * self.part.stride, ..self.part };
        gate_rows::record(pass.recording, shape, self.activation, &gate, (&inputs, part), (&act, lane_layout))?;
        self.projection.add(pass, (&act, lane_layout))
    }
}
