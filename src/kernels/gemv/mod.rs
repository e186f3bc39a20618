//! What the kernels that multiply a few rows by a weight matrix share: the loop over blocks, how threads divide the work, and the
//! norm that is folded in.

pub(super) mod snippets;

use std::borrow::Cow;

use super::unroll::{declared, unrolled};
use super::{TuningGroup, folded_grid, lanes, offset};
use crate::gpu::{Access, DeviceClass, Features, Kernel, KernelConfig, Slice};
use crate::weights::layout::{BLOCK, Layout, MatrixShape, PlaneKind, ROW_GROUP};

/// Most rows of inputs that a workgroup sees at a time; more rows take the weights' way through memory again.
pub const MAX_ROWS: usize = 8;
/// Workgroup memory that every device has.
const WORKGROUP_BYTES: usize = 16 << 10;
/// A block of inputs in 8-bit integers, with its scale, its squares and its sums.
const HELD_BYTES: usize = BLOCK + 16;

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
    /// Threads that share the inputs of a row of weights: neighbours read neighbouring blocks. Where subgroups share them, what
    /// a subgroup is thought to have; it may have more or fewer.
    pub lanes: usize,
    /// Such teams in a workgroup, which has as many threads as all of them.
    pub teams: usize,
    /// Groups of four rows of weights that a thread multiplies its inputs by.
    pub groups: usize,
    /// Optional features that it makes use of. With subgroups, each is a team.
    pub uses: Features,
    /// Lanes of the subgroups that are emulated; 0 for none.
    pub emulated: usize,
}

impl Tuning {
    /// All that a device is offered. Places in it are remembered: what is added goes to the end.
    pub const ALL: [Self; 13] = [
        Self::HARDWARE,
        Self::SOFTWARE,
        Self::SUBGROUPS,
        Self { groups: 2, ..Self::SUBGROUPS },
        Self { teams: 1, ..Self::SUBGROUPS },
        Self { teams: 1, groups: 2, ..Self::SUBGROUPS },
        Self { teams: 4, ..Self::SUBGROUPS },
        Self { teams: 4, groups: 2, ..Self::SUBGROUPS },
        Self { lanes: 16, teams: 16, groups: 2, ..Self::SUBGROUPS },
        Self { lanes: 4, teams: 4, groups: 4, ..Self::SUBGROUPS },
        Self::DOT,
        Self { teams: 8, ..Self::DOT },
        Self::DOT_SOFTWARE,
    ];

    /// What suits a device.
    pub fn of(kernel_config: KernelConfig) -> Self {
        let suits = match kernel_config.class {
            DeviceClass::Hardware if kernel_config.features.subgroups => Self::SUBGROUPS,
            DeviceClass::Hardware => Self::HARDWARE,
            DeviceClass::Software | DeviceClass::SlowCompiler => Self::SOFTWARE,
        };
        kernel_config.pick(TuningGroup::Gemv as usize, &Self::ALL, |tuning| tuning.uses).unwrap_or(suits)
    }

    /// For hardware: a team's loads are 256 bytes in a row, and there are threads enough to hide what memory takes.
    pub const HARDWARE: Self = Self { lanes: 16, teams: 4, groups: 1, uses: Features::NONE, emulated: 0 };
    /// For hardware with subgroups, mostly of 32 lanes: neither barriers nor workgroup memory.
    pub const SUBGROUPS: Self = Self { lanes: 32, teams: 2, groups: 1, uses: Features::SUBGROUPS, emulated: 0 };
    /// For devices that run on a processor: no barrier, and every input that is loaded meets eight rows.
    pub const SOFTWARE: Self = Self { lanes: 1, teams: 16, groups: 2, uses: Features::NONE, emulated: 0 };
    /// Inputs in 8-bit integers, where weights are: 64 rows of weights share what a workgroup rounds.
    pub const DOT: Self = Self { lanes: 16, teams: 16, groups: 1, uses: Features::DOT, emulated: 0 };
    /// The same for devices that run on a processor.
    pub const DOT_SOFTWARE: Self = Self { uses: Features::DOT, ..Self::SOFTWARE };
}

/// A product of a few rows as its kernel sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gemv {
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
    /// Blocks of a row of inputs that workgroup memory holds as integers at a time; 0 where inputs stay floats.
    piece: usize,
    uses: Features,
    emulated: usize,
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

impl Gemv {
    /// Of `m` rows, with as much of the `tuning` as workgroup memory has room for.
    pub(super) fn new(weight: (Layout, MatrixShape), m: usize, parts: usize, norm: bool, tuning: Tuning) -> Self {
        let (layout, shape) = weight;
        let rows = m.div_ceil(m.div_ceil(MAX_ROWS).max(1)).max(1);
        let (lanes, mut teams, mut slots) = (tuning.lanes.max(1), tuning.teams.max(1), (tuning.groups / parts).max(1));
        let Tuning { uses, emulated, .. } = tuning;
        let meet = lanes > 1 && lanes::snippet(uses, emulated).is_none();
        // Floats are multiplied by floats, and the lanes of subgroups hold no inputs together.
        let is_dot = uses.dot && !uses.subgroups && emulated == 0 && layout.is_quantised();
        let least = if is_dot { rows * lanes * HELD_BYTES } else { 0 };
        let sums = |teams: usize, slots: usize| rows * lanes * teams * (slots * parts * 16 + 4);
        // Registers are as scarce: what serves more rows of inputs serves fewer of weights.
        if rows > MAX_ROWS / 2 {
            slots = 1;
        }
        while meet && sums(teams, slots) + least > WORKGROUP_BYTES && teams > 1 {
            (teams, slots) = if slots > 1 { (teams, slots / 2) } else { (teams / 2, slots) };
        }
        let piece = if is_dot {
            let room = WORKGROUP_BYTES.saturating_sub(if meet { sums(teams, slots) } else { 0 });
            // Whole turns of the lanes, so that each takes the same blocks whatever a piece is.
            let fits = room / (rows * HELD_BYTES) / lanes * lanes;
            fits.min(shape.blocks().next_multiple_of(lanes))
        } else {
            0
        };
        let uses = if piece > 0 { uses } else { uses.without(Features::DOT) };
        let ragged = !shape.cols.is_multiple_of(BLOCK);
        Self { layout, rows, parts, norm, ragged, lanes, teams, slots, piece, uses, emulated }
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
        // What is stored with a sign is multiplied with it.
        let offset = if self.piece > 0 && self.layout == Layout::Q8_0 { 0 } else { offset };
        let mut constants = vec![
            ("M", self.rows),
            ("LANES", self.lanes),
            ("TEAMS", self.teams),
            ("SLOTS", self.slots),
            ("PARTS", self.parts),
            ("THREADS", self.lanes * self.teams),
            ("OFFSET", offset),
        ];
        if self.piece > 0 {
            constants.extend([("PIECE", self.piece), ("HELD", self.rows * self.piece)]);
        }
        constants.extend(own.constants);
        let declared = declared(&constants);
        let lanes = lanes::snippet(self.uses, self.emulated);
        let (subgroups, reduce) = (lanes.is_some(), self.lanes > 1 && lanes.is_none());
        let flags =
            [("NORM", self.norm), ("RAGGED", self.ragged), ("WIDE", wide), ("HALVES", self.layout == Layout::Q6K)];
        let flags = flags.into_iter().chain([("SUBGROUPS", subgroups), ("REDUCE", reduce)]);
        constants.extend(flags.map(|(name, set)| (name, usize::from(set))));
        constants.extend(bindings.iter().enumerate().map(|(index, (name, _))| (*name, index + 1)));
        let texts = own.wgsl.iter().copied().chain(self.texts()).map(|text| unrolled(text, &constants));
        Kernel {
            name: self.name(own),
            wgsl: [declared].into_iter().chain(lanes).chain(texts).collect(),
            needs: self.uses,
            bindings: bindings.into_iter().map(|(_, access)| access).collect(),
        }
    }

    /// What reads the weights, and the loop.
    fn texts(&self) -> Vec<&'static str> {
        let start = include_str!("../../../shaders/shared/gemv_start.wgsl");
        let sums = include_str!("../../../shaders/shared/gemv_sums.wgsl");
        let multiply_add = include_str!("../../../shaders/shared/multiply_add.wgsl");
        let gemv = include_str!("../../../shaders/shared/gemv.wgsl");
        let floats = [snippets::quads(self.layout), multiply_add, start, gemv, sums];
        let quantised = include_str!("../../../shaders/shared/quantised.wgsl");
        let gemv_dp4a = include_str!("../../../shaders/shared/gemv_dp4a.wgsl");
        let read = snippets::blocks(self.layout).into_iter().chain([snippets::scaled(self.layout)]);
        match snippets::words(self.layout) {
            Some(words) if self.piece > 0 => read.chain([words, quantised, start, gemv_dp4a, sums]).collect(),
            _ => read.chain(floats).collect(),
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

/// Groups of four rows that hold `rows` rows.
pub(super) fn groups(rows: usize) -> usize {
    rows.div_ceil(ROW_GROUP)
}
