//! What the kernels that multiply a few rows by a weight matrix share: the loop over blocks, how threads divide the work, and the
//! norm that is folded in.

use std::borrow::Cow;

use super::unroll::{declared, unrolled};
use super::{Family, folded_grid, offset};
use crate::gpu::{Access, DeviceClass, Features, Kernel, Slice, Ways};
use crate::weights::layout::{BLOCK, Layout, MatrixShape, PlaneKind, ROW_GROUP};

/// Most rows of inputs that a workgroup sees at a time; more rows take the weights' way through memory again.
pub const MAX_ROWS: usize = 8;
/// Workgroup memory that every device has.
const WORKGROUP_BYTES: usize = 16 << 10;

/// A root-mean-square norm (<https://arxiv.org/abs/1910.07467>) folded into a product: inputs are multiplied by the weight, results
/// by the reciprocal of the inputs' root mean square.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// What the normed inputs are multiplied by. `// [k]`
    pub weight: &'a Slice,
    /// Added to the mean square.
    pub eps: f32,
}

/// How threads divide a product of a few rows. Part of a kernel's text: each choice is a pipeline of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Threads that share the inputs of a row of weights: neighbours read neighbouring blocks.
    pub lanes: usize,
    /// Such teams in a workgroup.
    pub teams: usize,
    /// Groups of four rows of weights that a thread multiplies its inputs by.
    pub groups: usize,
    /// Optional features that it makes use of.
    pub uses: Features,
}

impl Tuning {
    /// All that a device is offered. Places in it are remembered: what is added goes to the end.
    pub const ALL: [Self; 2] = [Self::HARDWARE, Self::SOFTWARE];

    /// What suits a device.
    pub fn of(ways: Ways) -> Self {
        let suits = match ways.class {
            DeviceClass::Hardware => Self::HARDWARE,
            DeviceClass::Software | DeviceClass::SlowCompiler => Self::SOFTWARE,
        };
        ways.pick(Family::FewRows as usize, &Self::ALL, |tuning| tuning.uses).unwrap_or(suits)
    }

    /// For hardware: a team's loads are 256 bytes in a row, and there are threads enough to hide what memory takes.
    pub const HARDWARE: Self = Self { lanes: 16, teams: 4, groups: 1, uses: Features::NONE };
    /// For devices that run on a processor: no barrier, and every input that is loaded meets eight rows.
    pub const SOFTWARE: Self = Self { lanes: 1, teams: 16, groups: 2, uses: Features::NONE };
}

/// A product of a few rows as its kernel sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FewRows {
    layout: Layout,
    /// Rows of inputs a workgroup sees.
    rows: usize,
    /// Groups of four rows of weights of which one result is made.
    parts: usize,
    norm: bool,
    /// Whether the last block goes beyond the inputs.
    ragged: bool,
    lanes: usize,
    teams: usize,
    slots: usize,
    uses: Features,
}

/// What is a kernel's own, beside the loop.
pub(super) struct Own<'a> {
    pub(super) name: &'static str,
    /// What its name says besides.
    pub(super) detail: String,
    /// Snippets and the shader.
    pub(super) wgsl: &'a [&'static str],
    /// Its bindings from 1 on, each with the name of the constant that is its number, if its number depends on the others.
    pub(super) bindings: &'a [(&'static str, Access)],
    pub(super) constants: &'a [(&'static str, usize)],
}

impl FewRows {
    /// Of `m` rows, with as much of the `tuning` as workgroup memory has room for.
    pub(super) fn new(weight: (Layout, MatrixShape), m: usize, parts: usize, norm: bool, tuning: Tuning) -> Self {
        let (layout, shape) = weight;
        let rows = m.div_ceil(m.div_ceil(MAX_ROWS).max(1)).max(1);
        let (lanes, mut teams, mut slots) = (tuning.lanes.max(1), tuning.teams.max(1), (tuning.groups / parts).max(1));
        let bytes = |teams: usize, slots: usize| rows * lanes * teams * (slots * parts * 16 + 4);
        // Registers are as scarce: what serves more rows of inputs serves fewer of weights.
        if rows > MAX_ROWS / 2 {
            slots = 1;
        }
        while lanes > 1 && bytes(teams, slots) > WORKGROUP_BYTES && teams > 1 {
            (teams, slots) = if slots > 1 { (teams, slots / 2) } else { (teams / 2, slots) };
        }
        let ragged = !shape.cols.is_multiple_of(BLOCK);
        Self { layout, rows, parts, norm, ragged, lanes, teams, slots, uses: tuning.uses }
    }

    /// Workgroups for `m` rows and `groups` groups of four rows of each part of the weights.
    pub(super) fn grid(&self, m: usize, groups: usize) -> [u32; 3] {
        let [x, y, _] = folded_grid(groups.div_ceil(self.teams * self.slots));
        [x, y, m.div_ceil(self.rows) as u32]
    }

    /// The kernel: its own bindings, then the norm's weight, then the planes.
    pub(super) fn kernel(&self, own: &Own<'_>) -> Kernel {
        let norm = self.norm.then_some(("GAIN", Access::Read));
        let planes = self.layout.plane_units().iter().map(|unit| (plane_name(unit.kind), Access::Read));
        let bindings: Vec<_> = own.bindings.iter().copied().chain(norm).chain(planes).collect();
        let (offset, wide) = offset(self.layout);
        let mut constants = vec![
            ("M", self.rows),
            ("LANES", self.lanes),
            ("TEAMS", self.teams),
            ("SLOTS", self.slots),
            ("PARTS", self.parts),
            ("THREADS", self.lanes * self.teams),
            ("OFFSET", offset),
        ];
        constants.extend(own.constants);
        let declared = declared(&constants);
        let flags = [("NORM", self.norm), ("RAGGED", self.ragged), ("REDUCE", self.lanes > 1), ("WIDE", wide)];
        constants.extend(flags.map(|(name, set)| (name, usize::from(set))));
        constants.extend(bindings.iter().enumerate().map(|(index, (name, _))| (*name, index + 1)));
        let (quads, scaled) = block_snippets(self.layout);
        let texts = [quads, scaled, include_str!("../../../shaders/shared/few_rows.wgsl")];
        let texts = own.wgsl.iter().copied().chain(texts).map(|text| unrolled(text, &constants));
        Kernel {
            name: self.name(own),
            wgsl: [declared].into_iter().chain(texts).collect(),
            needs: self.uses,
            bindings: bindings.into_iter().map(|(_, access)| access).collect(),
        }
    }

    fn name(&self, own: &Own<'_>) -> Cow<'static, str> {
        let norm = if self.norm { ",norm" } else { "" };
        format!("{}<{},{}{norm}{}>", own.name, self.layout, self.rows, own.detail).into()
    }
}

/// Storage bindings of a kernel with `own` bindings beside the norm's weight and the planes.
pub(super) fn bindings(own: usize, norm: bool, layout: Layout) -> usize {
    own + usize::from(norm) + layout.plane_units().len()
}

/// The name of the constant that holds a plane's binding.
fn plane_name(kind: PlaneKind) -> &'static str {
    match kind {
        PlaneKind::Values | PlaneKind::Quants => "VALUES",
        PlaneKind::Tops => "TOPS",
        PlaneKind::Scales => "SCALES",
        PlaneKind::Supers => "SUPERS",
    }
}

/// The WGSL that reads blocks of a layout, and the WGSL that scales their products.
fn block_snippets(layout: Layout) -> (&'static str, &'static str) {
    let floats = include_str!("../../../shaders/shared/scaled_floats.wgsl");
    let blocks = include_str!("../../../shaders/shared/scaled_blocks.wgsl");
    let supers = include_str!("../../../shaders/shared/scaled_q4_k.wgsl");
    let q4 = include_str!("../../../shaders/shared/quads_q4.wgsl");
    match layout {
        Layout::F32 => (include_str!("../../../shaders/shared/quads_f32.wgsl"), floats),
        Layout::F16 => (include_str!("../../../shaders/shared/quads_f16.wgsl"), floats),
        Layout::Q8_0 => (include_str!("../../../shaders/shared/quads_q8_0.wgsl"), blocks),
        Layout::Q4_0 | Layout::Q4_64 => (q4, blocks),
        Layout::Q4K => (q4, supers),
        Layout::Q5K => (include_str!("../../../shaders/shared/quads_q5_k.wgsl"), supers),
        Layout::Q6K => {
            let scaled = include_str!("../../../shaders/shared/scaled_q6_k.wgsl");
            (include_str!("../../../shaders/shared/quads_q6_k.wgsl"), scaled)
        }
    }
}

/// Groups of four rows that hold `rows` rows.
pub(super) fn groups(rows: usize) -> usize {
    rows.div_ceil(ROW_GROUP)
}
