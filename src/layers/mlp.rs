//! The gated feed-forward (<https://arxiv.org/abs/2002.05202>), with the norm before it.

use super::linear::{FusedLinear, Norm, Residual, gemv, normed};
use super::pass::Pass;
use crate::config::Activation;
use crate::error::Result;
use crate::kernels::gated_matvec::{self, GatedMatvec};
use crate::kernels::{RowShape, glu};

/// `x += down(act(gate(h)) * up(h))`, where h is the normed x.
#[derive(Debug)]
pub struct Mlp {
    /// The norm before it.
    pub norm: Norm,
    /// Gate and up side by side. `// [2 * intermediate, hidden]`
    pub gate_up_proj: FusedLinear,
    /// `// [hidden, intermediate]`
    pub down_proj: Residual,
    /// Activation of the gate.
    pub activation: Activation,
}

impl Mlp {
    /// Records the layer over the rows in `pass.x`.
    pub fn record(&self, pass: &mut Pass<'_>) -> Result<()> {
        let (x, gate_up, act) = (pass.x(), pass.work.gate_up.all(), pass.work.act.all());
        let (m, activation) = (pass.rows, self.activation);
        let lane_layout = pass.lane_layout(self.down_proj.weight.shape.cols);
        let fuses = |weight: &&_| gated_matvec::can_fuse(weight, true, pass.work.max_bindings);
        match self.gate_up_proj.single().filter(|_| pass.is_step()).filter(fuses) {
            Some(weight) => {
                let gemv = gemv(pass, weight, m, 2, Some(&self.norm)).with_output_layout(lane_layout);
                let gated = GatedMatvec { x: &x, m, norm: Some(self.norm.folded()), weight, activation, y: &act };
                gated_matvec::record(pass.recording, &gemv, &gated)?; // [rows, intermediate]
            }
            None => {
                normed(pass, &self.gate_up_proj.matrices, &self.norm, (&x, m), &gate_up)?; // [rows, gate | up]
                let shape = RowShape { rows: m, width: self.gate_up_proj.width() / 2 };
                glu::record(pass.recording, shape, activation, &gate_up, (&act, lane_layout))?;
            }
        }
        self.down_proj.add(pass, (&act, lane_layout))
    }
}
