//! What the kernels that multiply a few rows by a weight matrix share: the loop over blocks, how threads divide the work, and the
//! norm that is folded in.

use super::{TuningGroup, Variant, folded_grid, lanes};
use crate::gpu::{DeviceClass, Features, Kernel, KernelConfig, Slice};
use crate::shader::Shader;
use crate::weights::layout::{BLOCK, LaneLayout, Layout, MatrixShape, ROW_GROUP};
use crate::weights::upload::Weight;

/// Most rows of inputs that a workgroup takes at a time; for more, the weights are read again.
pub const MAX_ROWS: usize = 8;
/// Workgroup memory that every device has.
const WORKGROUP_BYTES: usize = 16 << 10;
/// A block of inputs in 8-bit integers, with its scale, its squares and its sums.
const STAGED_BYTES: usize = BLOCK + 16;

/// A root-mean-square norm (<https://arxiv.org/abs/1910.07467>) folded into a product: inputs are multiplied by the weight, results
/// by the reciprocal of the inputs' root mean square.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// What the normed inputs are multiplied by. `// [k]`
    pub weight: &'a Slice,
    /// Added to the mean square.
    pub eps: f32,
    /// How the weight lies in memory.
    pub lane_layout: LaneLayout,
}

/// How the rows that a product reads and writes lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LaneLayouts {
    /// Rows of inputs.
    pub x: LaneLayout,
    /// The norm's weight.
    pub gain: LaneLayout,
    /// Rows of outputs; no part of a kernel's text.
    pub y: LaneLayout,
}

/// How threads divide a product of a few rows. Part of a kernel's text: each choice is a pipeline of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Threads that share the inputs of a row of weights: neighbours read neighbouring blocks. Where subgroups share them, what
    /// a subgroup is thought to have; it may have more or fewer.
    pub lanes: usize,
    /// Such groups of lanes in a workgroup, which has as many threads as all of them.
    pub lane_groups: usize,
    /// Groups of four rows of weights that a thread multiplies its inputs by.
    pub row_groups: usize,
    /// Optional features that it makes use of. With subgroups, each is a group of lanes.
    pub uses: Features,
    /// Lanes of the subgroups that are emulated; 0 for none.
    pub emulated: usize,
}

impl Tuning {
    /// All that a device is offered. Places in it are remembered: what is added goes to the end.
    pub const ALL: [Self; 14] = [
        Self::HARDWARE,
        Self::SOFTWARE,
        Self::SUBGROUPS,
        Self { row_groups: 2, ..Self::SUBGROUPS },
        Self { lane_groups: 1, ..Self::SUBGROUPS },
        Self { lane_groups: 1, row_groups: 2, ..Self::SUBGROUPS },
        Self { lane_groups: 4, ..Self::SUBGROUPS },
        Self { lane_groups: 4, row_groups: 2, ..Self::SUBGROUPS },
        Self { lanes: 16, lane_groups: 16, row_groups: 2, ..Self::SUBGROUPS },
        Self { lanes: 4, lane_groups: 4, row_groups: 4, ..Self::SUBGROUPS },
        Self::DOT,
        Self { lane_groups: 8, ..Self::DOT },
        Self::DOT_SOFTWARE,
        Self::WIDE,
    ];

    /// What suits a device.
    pub fn of(kernel_config: KernelConfig) -> Self {
        let suits = match kernel_config.class {
            DeviceClass::Hardware if kernel_config.features.contains(Features::SUBGROUPS) => Self::SUBGROUPS,
            DeviceClass::Hardware => Self::HARDWARE,
            DeviceClass::Software | DeviceClass::SlowCompiler => Self::SOFTWARE,
        };
        kernel_config.pick(TuningGroup::Gemv as usize, &Self::ALL, |tuning| tuning.uses).unwrap_or(suits)
    }

    /// For hardware: the loads of a group of lanes are 256 bytes in a row, and there are threads enough to hide what memory takes.
    pub const HARDWARE: Self = Self { lanes: 16, lane_groups: 4, row_groups: 1, uses: Features::NONE, emulated: 0 };
    /// For hardware with subgroups, mostly of 32 lanes: neither barriers nor workgroup memory.
    pub const SUBGROUPS: Self =
        Self { lanes: 32, lane_groups: 2, row_groups: 1, uses: Features::SUBGROUPS, emulated: 0 };
    /// For hardware with subgroups of 64 lanes, of which two share a block where rows have too few for all of them.
    pub const WIDE: Self = Self { lanes: 64, lane_groups: 1, ..Self::SUBGROUPS };
    /// For devices that run on a processor: no barrier, and every input that is loaded meets eight rows.
    pub const SOFTWARE: Self = Self { lanes: 1, lane_groups: 16, row_groups: 2, uses: Features::NONE, emulated: 0 };
    /// Inputs in 8-bit integers, where weights are: 64 rows of weights share what a workgroup rounds.
    pub const DOT: Self = Self { lanes: 16, lane_groups: 16, row_groups: 1, uses: Features::DOT, emulated: 0 };
    /// The same for devices that run on a processor.
    pub const DOT_SOFTWARE: Self = Self { uses: Features::DOT, ..Self::SOFTWARE };
}

/// A product of a few rows as its kernel sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gemv {
    pub(super) layout: Layout,
    /// Rows of inputs of a workgroup.
    pub(super) rows: usize,
    /// Groups of four rows of weights that make an output tile.
    fused_outputs: usize,
    /// Whether inputs are normed first.
    pub(super) norm: bool,
    /// Whether the last block goes beyond the inputs.
    pub(super) ragged: bool,
    lanes: usize,
    lane_groups: usize,
    /// Output tiles of a thread.
    tiles: usize,
    /// Blocks of a row of inputs that workgroup memory holds as integers at a time; 0 where inputs stay floats.
    pub(super) k_tile: usize,
    uses: Features,
    emulated: usize,
    /// Pieces of a block that lanes read apart; 0 where a lane takes whole blocks.
    pieces: usize,
    /// Whether two lanes share a block otherwise.
    halved: bool,
    /// Of rows of whole blocks.
    pub(super) lane_layouts: LaneLayouts,
}

impl Gemv {
    /// Of `m` rows by a matrix, as the kernels of a recording are computed.
    pub fn of(kernel_config: KernelConfig, weight: &Weight, m: usize, fused_outputs: usize, norm: bool) -> Self {
        Self::new((weight.layout, weight.shape), m, fused_outputs, norm, Tuning::of(kernel_config))
    }

    /// Of `m` rows, with as much of the `tuning` as workgroup memory has room for.
    pub fn new(
        (layout, shape): (Layout, MatrixShape),
        m: usize,
        fused_outputs: usize,
        norm: bool,
        tuning: Tuning,
    ) -> Self {
        let rows = m.div_ceil(m.div_ceil(MAX_ROWS).max(1)).max(1);
        let (lanes, mut lane_groups) = (tuning.lanes.max(1), tuning.lane_groups.max(1));
        let mut tiles = (tuning.row_groups / fused_outputs).max(1);
        let Tuning { uses, emulated, .. } = tuning;
        let reduces = lanes > 1 && !lanes::has_subgroups(uses, emulated);
        // Matrices of floats are multiplied in floats, and subgroups share no inputs in workgroup memory.
        let is_dot = uses.contains(Features::DOT) && !lanes::has_subgroups(uses, emulated) && layout.is_quantised();
        let staged_bytes = if is_dot { rows * lanes * STAGED_BYTES } else { 0 };
        let sum_bytes =
            |lane_groups: usize, tiles: usize| rows * lanes * lane_groups * (tiles * fused_outputs * 16 + 4);
        // Registers are scarce: a thread that has more rows of inputs takes fewer of weights.
        if rows > MAX_ROWS / 2 {
            tiles = 1;
        }
        while reduces && sum_bytes(lane_groups, tiles) + staged_bytes > WORKGROUP_BYTES && lane_groups > 1 {
            (lane_groups, tiles) = if tiles > 1 { (lane_groups, tiles / 2) } else { (lane_groups / 2, tiles) };
        }
        let k_tile = if is_dot {
            let room = WORKGROUP_BYTES.saturating_sub(if reduces { sum_bytes(lane_groups, tiles) } else { 0 });
            // Whole turns of the lanes, so that each takes the same blocks whatever a tile is.
            let fits = room / (rows * STAGED_BYTES) / lanes * lanes;
            fits.min(shape.blocks().next_multiple_of(lanes))
        } else {
            0
        };
        let uses = if k_tile > 0 { uses } else { uses - Features::DOT };
        let ragged = !shape.cols.is_multiple_of(BLOCK);
        let (pieces, lane_layouts) = (pieces(layout, lanes), LaneLayouts::default());
        // Of 96 blocks, 64 lanes take two turns, the second of which half of them sit out; of halves they take three.
        let turns = |of_block: usize| (of_block * shape.blocks()).div_ceil(lanes);
        let is_wide = lanes >= WIDE_LANES && lanes::has_subgroups(uses, emulated);
        let halved = is_wide && pieces == 0 && turns(2) < 2 * turns(1);
        Self {
            layout,
            rows,
            fused_outputs,
            norm,
            ragged,
            lanes,
            lane_groups,
            tiles,
            k_tile,
            uses,
            emulated,
            pieces,
            halved,
            lane_layouts,
        }
    }

    /// With rows in orders of their own.
    #[must_use]
    pub fn with_lane_layouts(self, lane_layouts: LaneLayouts) -> Self {
        Self { lane_layouts, ..self }
    }

    /// With rows of outputs in that order.
    #[must_use]
    pub fn with_output_layout(mut self, y: LaneLayout) -> Self {
        self.lane_layouts.y = y;
        self
    }

    /// Inputs that a lane takes at a time.
    pub fn inputs_at_once(&self) -> usize {
        BLOCK / if self.halved { 2 } else { self.pieces.max(1) }
    }

    /// Workgroups for `m` rows and `tiles` output tiles.
    pub(super) fn grid(&self, m: usize, tiles: usize) -> [u32; 3] {
        let [x, y, _] = folded_grid(tiles.div_ceil(self.lane_groups * self.tiles));
        [x, y, m.div_ceil(self.rows) as u32]
    }

    /// The shader whose kernel's own file is `file`. Its bindings are the kernel's own, the norm's weight, the planes.
    pub(super) fn shader(&self, file: &'static str) -> Shader {
        let is_dot = self.k_tile > 0;
        let reduces = self.lanes > 1 && !lanes::has_subgroups(self.uses, self.emulated);
        let shader = Shader::new(file)
            .choose("GEMV", if is_dot { "gemv_dp4a" } else { "gemv" })
            .choose("LAYOUT", self.layout.name())
            .set_all([
                ("M", self.rows),
                ("TILES", self.tiles),
                ("LANES", self.lanes),
                ("LANE_GROUPS", self.lane_groups),
                ("THREADS", self.lanes * self.lane_groups),
                ("NORM", self.norm.into()),
                ("RAGGED", self.ragged.into()),
                ("X_LAYOUT", self.lane_layouts.x.word()),
                ("PIECES", self.pieces),
                ("HALVED", self.halved.into()),
                ("HALF_LOADS", if self.halved { 2 } else { 4 }),
                ("REDUCE", reduces.into()),
                ("WHOLE_BLOCKS", 1),
                ("PACKED", is_dot.into()),
                ("TILED", 0),
            ]);
        let halves = if self.pieces > 0 { 1 } else { 2 };
        let shader = if is_dot {
            shader.set("K_TILE", self.k_tile)
        } else {
            shader.set_all([("HALVES", halves), ("LOADS", self.inputs_at_once() / 4 / halves)])
        };
        let shader = if self.norm { shader.set("GAIN_LAYOUT", self.lane_layouts.gain.word()) } else { shader };
        lanes::with(shader, self.uses, self.emulated)
    }

    /// What the kernels' text depends on.
    pub(super) fn of_text(self) -> Self {
        self.with_output_layout(LaneLayout::NATURAL)
    }

    /// A kernel of that name; `detail` is what its name says besides.
    pub(super) fn kernel(&self, name: &str, detail: &str, shader: Shader, variant: Variant) -> Kernel {
        let norm = if self.norm { ",norm" } else { "" };
        let name = format!("{name}<{},{}{norm}{detail}>", self.layout, self.rows);
        Kernel::new(name, self.uses, shader, variant)
    }
}

/// Lanes of a subgroup from which on a row may have too few blocks for them.
const WIDE_LANES: usize = 64;

/// Bytes that a lane loads at a time.
const LOAD_BYTES: usize = 16;

/// Pieces of a block of a layout that lanes which share a row take apart, so that neighbours load neighbouring bytes; 0 for whole blocks.
fn pieces(layout: Layout, lanes: usize) -> usize {
    let bytes = layout.plane_units().first().map_or(0, |plane| plane.bytes * BLOCK / plane.cols);
    if lanes > 1 && bytes > LOAD_BYTES { bytes / LOAD_BYTES } else { 0 }
}

/// Storage bindings of a kernel with `own` bindings beside the norm's weight and the planes.
pub(super) fn bindings(own: usize, norm: bool, layout: Layout) -> usize {
    own + usize::from(norm) + layout.plane_units().len()
}

/// Groups of four rows that hold `rows` rows.
pub(super) fn groups(rows: usize) -> usize {
    rows.div_ceil(ROW_GROUP)
}
