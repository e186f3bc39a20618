//! Many rows times a weight matrix, by tiles in registers.

use super::{Linear, TuningGroup, Variant};
use crate::error::Result;
use crate::gpu::{DeviceClass, Features, Kernel, KernelConfig, Recording};
use crate::shader::Shader;
use crate::weights::layout::{BLOCK, Layout, ROW_GROUP};

/// Blocks of inputs that a workgroup stages of each of its rows, rounded.
const K_TILE: usize = 8;

/// How threads divide a product. Part of the kernel's text: each choice is a pipeline of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Threads of a workgroup, each with its own columns.
    pub threads: usize,
    /// Rows of a thread, and of a workgroup.
    pub rows: usize,
    /// Columns of a thread, in groups of four.
    pub groups: usize,
    /// Inputs that an iteration of the loop takes, in eights: 1, 2 or 4 of the four in a block.
    pub words: usize,
    /// Whether each product is added to the sum before it, which is one instruction where a device fuses them; else four products
    /// are summed first, which depend less on one another.
    pub chained: bool,
    /// Optional features that it makes use of.
    pub uses: Features,
}

impl Tuning {
    /// All that a device is offered. Places in it are remembered: what is added goes to the end.
    pub const ALL: [Self; 6] = [
        Self::HARDWARE,
        Self::SOFTWARE,
        Self::DOT,
        Self { rows: 16, ..Self::DOT },
        Self::F16,
        Self { rows: 16, ..Self::F16 },
    ];

    /// What suits a device.
    pub fn of(kernel_config: KernelConfig) -> Self {
        let suits = match kernel_config.class {
            DeviceClass::Hardware | DeviceClass::SlowCompiler => Self::HARDWARE,
            DeviceClass::Software => Self::SOFTWARE,
        };
        kernel_config.pick(TuningGroup::Matmul as usize, &Self::ALL, |tuning| tuning.uses).unwrap_or(suits)
    }

    /// For hardware.
    pub const HARDWARE: Self = Self { threads: 64, rows: 8, groups: 1, words: 2, chained: true, uses: Features::NONE };
    /// For devices that run on a processor.
    pub const SOFTWARE: Self = Self { threads: 16, rows: 8, groups: 4, words: 1, chained: false, uses: Features::NONE };
    /// Inputs in 8-bit integers, where weights are.
    pub const DOT: Self = Self { uses: Features::DOT, ..Self::HARDWARE };
    /// Products in 16-bit floats.
    pub const F16: Self = Self { uses: Features::F16, ..Self::HARDWARE };
}

/// How a product is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Floats,
    Halves,
    Integers,
}

impl Form {
    /// Matrices of floats have no integer products: they are multiplied in floats.
    fn of(layout: Layout, uses: Features) -> Self {
        match uses {
            _ if uses.contains(Features::DOT) && layout.is_quantised() => Self::Integers,
            _ if uses.contains(Features::F16) => Self::Halves,
            _ => Self::Floats,
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Floats => "matmul",
            Self::Halves => "matmul_f16",
            Self::Integers => "matmul_dp4a",
        }
    }

    fn needs(self) -> Features {
        match self {
            Self::Floats => Features::NONE,
            Self::Halves => Features::F16,
            Self::Integers => Features::DOT,
        }
    }
}

/// The kernel for a layout; `ragged` if the last block of a row goes beyond its inputs.
pub fn kernel(layout: Layout, ragged: bool, tuning: Tuning) -> Kernel {
    let Tuning { threads, rows, groups, words, chained, uses } = tuning;
    let form = Form::of(layout, uses);
    let shader = Shader::new(form.file()).choose("LAYOUT", layout.name()).set_all([
        ("THREADS", threads),
        ("ROWS", rows),
        ("GROUPS", groups),
        ("RAGGED", ragged.into()),
        ("K_TILE", if form == Form::Floats { 0 } else { K_TILE }),
        ("WHOLE_BLOCKS", (form == Form::Integers).into()),
        ("PACKED", (form == Form::Integers).into()),
    ]);
    let shader = match form {
        Form::Floats => shader.set("WORDS", words).set("CHAINED", chained.into()),
        Form::Halves | Form::Integers => shader,
    };
    Kernel::new(format!("matmul<{layout}>"), form.needs(), shader, Variant::Matmul { layout, ragged, tuning })
}

/// Records the product.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, linear: &Linear<'_>) -> Result<()> {
    record_as(Tuning::of(recording.kernel_config()), recording, linear)
}

/// As [`record`], with a tuning.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record_as(tuning: Tuning, recording: &mut Recording, linear: &Linear<'_>) -> Result<()> {
    let ragged = !linear.weight.shape.cols.is_multiple_of(BLOCK);
    let tiles = linear.m.div_ceil(tuning.rows) as u32;
    let columns = tuning.threads * tuning.groups * ROW_GROUP;
    // Neighbours in x share columns, whose weights then come from memory once for all rows.
    let grid = |rows: usize| [tiles, rows.div_ceil(columns) as u32, 1];
    linear.record_parts(recording, &kernel(linear.weight.layout, ragged, tuning), grid)
}
