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
            DeviceClass::Software | DeviceClass::SlowCompiler | DeviceClass::Processor => Features::NONE,
        };
        Self { uses, emulated: 0 }
    }
}

/// A norm of rows.
#[derive(Debug)]
pub struct RmsNorm<'a> {
    /// Inputs. `// [rows, width]`
    pub x: &'a Slice,
    /// Rows of `x`.
    pub rows: usize,
    /// Numbers in a row, a multiple of 4.
    pub width: usize,
    /// Added to the mean square.
    pub eps: f32,
    /// The weight. `// [width]`
    pub weight: &'a Slice,
    /// Lane layout of the weight relative to that of the rows.
    pub lane_layout: LaneLayout,
    /// Results. `// [rows, width]`
    pub y: &'a Slice,
    /// True if they are added to `y`.
    pub adds: bool,
    /// A factor of the sums, if they are added. `// [1]`
    pub factor: Option<&'a Slice>,
}

/// The use of the results. Part of the kernel's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Results {
    /// They are stored.
    Stored,
    /// They are added to what is there.
    Added,
    /// They are added, and the sums are multiplied by a factor.
    Scaled,
}

/// The kernel.
pub fn kernel(tuning: Tuning, results: Results) -> Kernel {
    let Tuning { uses, emulated } = tuning;
    let (adds, scales) = (results != Results::Stored, results == Results::Scaled);
    let shader = Shader::new("rms_norm").set("THREADS", 64).set("ADD", adds.into()).set("SCALED", scales.into());
    let name = match results {
        Results::Stored => "rms_norm",
        Results::Added => "rms_norm<add>",
        Results::Scaled => "rms_norm<add,scaled>",
    };
    Kernel::new(name, uses, lanes::with(shader, uses, emulated), Variant::RmsNorm { tuning, results })
}

/// Records `y = x / sqrt(mean(x^2) + eps) * weight`, or `y +=` the same and then `y *= factor`.
pub fn record(recording: &mut Recording, tuning: Tuning, norm: &RmsNorm<'_>) -> Result<()> {
    let &RmsNorm { x, rows, width, eps, weight, lane_layout, y, adds, factor } = norm;
    let results = match (adds, factor) {
        (false, _) => Results::Stored,
        (true, None) => Results::Added,
        (true, Some(_)) => Results::Scaled,
    };
    recording.dispatch(Dispatch {
        kernel: kernel(tuning, results),
        params: params!(width4 = width / 4, eps, weight_layout = lane_layout.word()),
        buffers: [x, y, weight].into_iter().chain(factor.filter(|_| adds)).cloned().collect(),
        grid: [rows as u32, 1, 1],
        note: format!("rows={rows} width={width}"),
    })
}
