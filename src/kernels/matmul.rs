//! Many rows times a weight matrix, by tiles in registers.

use std::borrow::Cow;

use super::gemv::snippets;
use super::unroll::{declared, unrolled};
use super::{Linear, TuningGroup, offset};
use crate::error::Result;
use crate::gpu::{Access, DeviceClass, Features, Kernel, KernelConfig, Recording};
use crate::weights::layout::{BLOCK, Layout, ROW_GROUP};

/// Blocks of inputs that a workgroup holds of each of its rows, rounded.
const PIECE: usize = 8;

/// How threads divide a product. Part of the kernel's text: each choice is a pipeline of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Threads of a workgroup, each with its own columns.
    pub threads: usize,
    /// Rows of a thread, and of a workgroup.
    pub rows: usize,
    /// Columns of a thread, in groups of four.
    pub groups: usize,
    /// Pairs of quads, of the four in a block of 32 inputs, that a turn of the loop takes: 1, 2 or 4.
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
    /// Floats are multiplied by floats: what has no integers has no products of them.
    fn of(layout: Layout, uses: Features) -> Self {
        match uses {
            Features { dot: true, .. } if layout.is_quantised() => Self::Integers,
            Features { f16: true, .. } => Self::Halves,
            _ => Self::Floats,
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

/// The WGSL that reads the scales of four rows.
fn scales(layout: Layout) -> Option<&'static str> {
    match layout {
        Layout::F32 | Layout::F16 => None,
        Layout::Q8_0 | Layout::Q4_0 | Layout::Q4_64 => Some(include_str!("../../shaders/shared/scales_blocks.wgsl")),
        Layout::Q4K | Layout::Q5K => Some(include_str!("../../shaders/shared/scales_q4_k.wgsl")),
        Layout::Q6K => Some(include_str!("../../shaders/shared/scales_q6_k.wgsl")),
    }
}

/// The WGSL that reads two quads of a row.
fn pairs(layout: Layout) -> &'static str {
    match layout {
        Layout::F32 => include_str!("../../shaders/shared/pairs_f32.wgsl"),
        Layout::F16 => include_str!("../../shaders/shared/pairs_f16.wgsl"),
        Layout::Q8_0 => include_str!("../../shaders/shared/pairs_q8_0.wgsl"),
        Layout::Q4_0 | Layout::Q4_64 | Layout::Q4K => include_str!("../../shaders/shared/pairs_q4.wgsl"),
        Layout::Q5K => include_str!("../../shaders/shared/pairs_q5_k.wgsl"),
        Layout::Q6K => include_str!("../../shaders/shared/pairs_q6_k.wgsl"),
    }
}

/// What reads weights, and the shader.
fn texts(layout: Layout, form: Form) -> Vec<&'static str> {
    let shared = scales(layout).into_iter().chain([include_str!("../../shaders/shared/linear.wgsl")]);
    match form {
        Form::Floats => {
            let multiply_add = include_str!("../../shaders/shared/multiply_add.wgsl");
            shared.chain([pairs(layout), multiply_add, include_str!("../../shaders/matmul.wgsl")]).collect()
        }
        Form::Halves => shared.chain([pairs(layout), include_str!("../../shaders/matmul_f16.wgsl")]).collect(),
        Form::Integers => {
            let integers = snippets::blocks(layout).into_iter().chain(snippets::words(layout));
            let quantised = include_str!("../../shaders/shared/quantised.wgsl");
            shared.chain(integers).chain([quantised, include_str!("../../shaders/matmul_dp4a.wgsl")]).collect()
        }
    }
}

/// The kernel for a layout; `ragged` if the last block of a row goes beyond its inputs.
pub fn kernel(layout: Layout, ragged: bool, tuning: Tuning) -> Kernel {
    let Tuning { threads, rows, groups, words, chained, uses } = tuning;
    let form = Form::of(layout, uses);
    let planes = layout.plane_units().len();
    let (offset, wide) = offset(layout);
    // What is stored with a sign is multiplied with it.
    let offset = if form == Form::Integers && layout == Layout::Q8_0 { 0 } else { offset };
    let sizes = [("THREADS", threads), ("ROWS", rows), ("GROUPS", groups), ("WORDS", words), ("OFFSET", offset)];
    let held = if form == Form::Floats { vec![] } else { vec![("PIECE", PIECE), ("HELD", rows * PIECE)] };
    let sizes: Vec<_> = sizes.into_iter().chain(held).collect();
    // The last planes of a K-quant, of which one more comes before where there are top bits.
    let bindings = [("VALUES", 4), ("TOPS", 5), ("SCALES", planes + 2), ("SUPERS", planes + 3)];
    let flags = [("RAGGED", ragged.into()), ("WIDE", wide.into()), ("CHAINED", chained.into())];
    let constants: Vec<_> = sizes.iter().copied().chain(flags).chain(bindings).collect();
    let texts = texts(layout, form).into_iter().map(|text| unrolled(text, &constants));
    let own = [Access::Read, Access::ReadWrite, Access::Read];
    Kernel {
        name: format!("matmul<{layout}>").into(),
        wgsl: [declared(&sizes)].into_iter().chain(texts).collect::<Vec<Cow<'static, str>>>(),
        needs: form.needs(),
        bindings: own.into_iter().chain(std::iter::repeat_n(Access::Read, planes)).collect(),
    }
}

/// Records the product.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, linear: &Linear<'_>) -> Result<()> {
    let tuning = Tuning::of(recording.kernel_config());
    let ragged = !linear.weight.shape.cols.is_multiple_of(BLOCK);
    let tiles = linear.m.div_ceil(tuning.rows) as u32;
    let columns = tuning.threads * tuning.groups * ROW_GROUP;
    // Neighbours in x share columns, whose weights then come from memory once for all rows.
    let grid = |rows: usize| [tiles, rows.div_ceil(columns) as u32, 1];
    linear.record_parts(recording, &kernel(linear.weight.layout, ragged, tuning), grid)
}
