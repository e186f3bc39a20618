//! Root-mean-square norm of rows (<https://arxiv.org/abs/1910.07467>).

use super::{Variant, lanes, params};
use crate::error::Result;
use crate::gpu::{DeviceClass, Dispatch, Features, Kernel, KernelConfig, Recording, Slice};
use crate::layout::LaneLayout;
use crate::shader::Shader;

/// Reduction across threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Optional features that the tuning needs.
    pub uses: Features,
    /// Lanes of emulated subgroups; 0 for none.
    pub emulated: usize,
}

impl Tuning {
    /// The tuning for a device.
    pub fn of(kernel_config: KernelConfig) -> Self {
        let uses = match kernel_config.class {
            DeviceClass::Hardware => kernel_config.features & Features::SUBGROUPS,
            DeviceClass::Software | DeviceClass::SlowCompiler => Features::NONE,
        };
        Self { uses, emulated: 0 }
    }
}

/// The kernel.
pub fn kernel(tuning: Tuning) -> Kernel {
    let Tuning { uses, emulated } = tuning;
    let shader = lanes::with(Shader::new("rms_norm").set("THREADS", 64), uses, emulated);
    Kernel::new("rms_norm", uses, shader, Variant::RmsNorm(tuning))
}

/// Records `y = x / sqrt(mean(x^2) + eps) * weight` for rows whose width is a multiple of 4.
///
/// `x`, `y`: `// [rows, width]`; `weight`: `// [width]`, in `lane_layout`.
pub fn record(
    recording: &mut Recording,
    tuning: Tuning,
    (rows, width): (usize, usize),
    eps: f32,
    x: &Slice,
    (weight, lane_layout): (&Slice, LaneLayout),
    y: &Slice,
) -> Result<()> {
    recording.dispatch(Dispatch {
        kernel: kernel(tuning),
        params: params!(width4 = width / 4, eps, weight_layout = lane_layout.word()),
        buffers: vec![x.clone(), y.clone(), weight.clone()],
        grid: [rows as u32, 1, 1],
        note: format!("rows={rows} width={width}"),
    })
}
