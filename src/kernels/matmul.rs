//! Many rows times a weight matrix, by tiles in registers.

use std::borrow::Cow;

use super::unroll::{declared, unrolled};
use super::{Family, Linear, offset};
use crate::error::Result;
use crate::gpu::{Access, DeviceClass, Features, Kernel, Recording, Ways};
use crate::weights::layout::{BLOCK, Layout, ROW_GROUP};

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
    /// Optional features that it makes use of.
    pub uses: Features,
}

impl Tuning {
    /// All that a device is offered. Places in it are remembered: what is added goes to the end.
    pub const ALL: [Self; 2] = [Self::HARDWARE, Self::SOFTWARE];

    /// What suits a device.
    pub fn of(ways: Ways) -> Self {
        let suits = match ways.class {
            DeviceClass::Hardware | DeviceClass::SlowCompiler => Self::HARDWARE,
            DeviceClass::Software => Self::SOFTWARE,
        };
        ways.pick(Family::Matmul as usize, &Self::ALL, |tuning| tuning.uses).unwrap_or(suits)
    }

    /// For hardware.
    pub const HARDWARE: Self = Self { threads: 64, rows: 8, groups: 1, words: 2, uses: Features::NONE };
    /// For devices that run on a processor.
    pub const SOFTWARE: Self = Self { threads: 16, rows: 8, groups: 4, words: 1, uses: Features::NONE };
}

/// The WGSL that reads two quads of a row, and the scales of four rows.
fn snippets(layout: Layout) -> Vec<&'static str> {
    let blocks = include_str!("../../shaders/shared/scales_blocks.wgsl");
    let supers = include_str!("../../shaders/shared/scales_q4_k.wgsl");
    let q4 = include_str!("../../shaders/shared/pairs_q4.wgsl");
    match layout {
        Layout::F32 => vec![include_str!("../../shaders/shared/pairs_f32.wgsl")],
        Layout::F16 => vec![include_str!("../../shaders/shared/pairs_f16.wgsl")],
        Layout::Q8_0 => vec![include_str!("../../shaders/shared/pairs_q8_0.wgsl"), blocks],
        Layout::Q4_0 | Layout::Q4_64 => vec![q4, blocks],
        Layout::Q4K => vec![q4, supers],
        Layout::Q5K => vec![include_str!("../../shaders/shared/pairs_q5_k.wgsl"), supers],
        Layout::Q6K => {
            let scales = include_str!("../../shaders/shared/scales_q6_k.wgsl");
            vec![include_str!("../../shaders/shared/pairs_q6_k.wgsl"), scales]
        }
    }
}

/// The kernel for a layout; `ragged` if the last block of a row goes beyond its inputs.
pub fn kernel(layout: Layout, ragged: bool, tuning: Tuning) -> Kernel {
    let Tuning { threads, rows, groups, words, uses } = tuning;
    let planes = layout.plane_units().len();
    let (offset, wide) = offset(layout);
    let sizes = [("THREADS", threads), ("ROWS", rows), ("GROUPS", groups), ("WORDS", words), ("OFFSET", offset)];
    // The last planes of a K-quant, of which one more comes before where there are top bits.
    let flags = [("RAGGED", ragged.into()), ("WIDE", wide.into()), ("SCALES", planes + 2), ("SUPERS", planes + 3)];
    let constants: Vec<_> = sizes.into_iter().chain(flags).collect();
    let shader = include_str!("../../shaders/matmul.wgsl");
    let texts = snippets(layout).into_iter().chain([shader]).map(|text| unrolled(text, &constants));
    let own = [Access::Read, Access::ReadWrite, Access::Read];
    Kernel {
        name: format!("matmul<{layout}>").into(),
        wgsl: [declared(&sizes)].into_iter().chain(texts).collect::<Vec<Cow<'static, str>>>(),
        needs: uses,
        bindings: own.into_iter().chain(std::iter::repeat_n(Access::Read, planes)).collect(),
    }
}

/// Records the product.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, linear: &Linear<'_>) -> Result<()> {
    let tuning = Tuning::of(recording.ways());
    let ragged = !linear.weight.shape.cols.is_multiple_of(BLOCK);
    let tiles = linear.m.div_ceil(tuning.rows) as u32;
    let columns = tuning.threads * tuning.groups * ROW_GROUP;
    let grid = |rows: usize| [rows.div_ceil(columns) as u32, tiles, 1];
    linear.record_parts(recording, &kernel(linear.weight.layout, ragged, tuning), grid)
}
