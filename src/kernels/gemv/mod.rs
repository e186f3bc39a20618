//! Common part of the kernels that multiply a few rows by a weight matrix: the loop over blocks, the division of work among threads, and
//! the folded norm.

use super::{TuningGroup, Variant, folded_grid, lanes};
use crate::gpu::{DeviceClass, Features, Kernel, KernelConfig, Slice};
use crate::layout::{BLOCK, LaneLayout, Layout, MatrixShape, ROW_GROUP};
use crate::shader::Shader;
use crate::weights::Weight;

/// Most rows of inputs that a workgroup computes at a time. More rows read the weights again.
pub const MAX_ROWS: usize = 8;
/// Workgroup memory that every device has.
const WORKGROUP_BYTES: usize = 16 << 10;
/// Bytes of a staged block of inputs: 8-bit integers, scale, sum of squares, sums.
const STAGED_BYTES: usize = BLOCK + 16;

/// A root-mean-square norm (<https://arxiv.org/abs/1910.07467>) folded into a product: inputs are multiplied by the weight, results by the
/// reciprocal of the inputs' root mean square.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// Weight of the norm. `// [k]`
    pub weight: &'a Slice,
    /// Added to the mean square.
    pub eps: f32,
    /// Lane layout of the weight.
    pub lane_layout: LaneLayout,
}

/// Lane layouts of the rows that a product reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LaneLayouts {
    /// Rows of inputs.
    pub x: LaneLayout,
    /// The norm's weight.
    pub gain: LaneLayout,
    /// Rows of outputs. Not part of a kernel's text.
    pub y: LaneLayout,
}

/// Division of a product of a few rows among threads. Part of a kernel's text: each choice is a pipeline of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Threads that share the inputs of a row of weights; neighbours read neighbouring blocks. With subgroups, the expected subgroup size;
    /// the device may have another one.
    pub lanes: usize,
    /// Groups of lanes in a workgroup.
    pub lane_groups: usize,
    /// Groups of four rows of weights of a thread.
    pub row_groups: usize,
    /// Optional features that the tuning needs. With subgroups, each subgroup is a group of lanes.
    pub uses: Features,
    /// Lanes of emulated subgroups; 0 for none.
    pub emulated: usize,
}

impl Tuning {
    /// All tunings that a device may choose from. Saved choices are indices, so new tunings are appended.
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
        Self::FOUR_LANES,
        Self::DOT,
        Self { lane_groups: 8, ..Self::DOT },
        Self::DOT_SOFTWARE,
        Self::WIDE,
    ];

    /// Returns true if the tuning may be the fastest of a device. Those for CPUs are not on a GPU.
    pub fn suits(&self, kernel_config: KernelConfig) -> bool {
        let of_cpus = [Self::SOFTWARE, Self::FOUR_LANES, Self::DOT_SOFTWARE];
        kernel_config.class != DeviceClass::Hardware || !of_cpus.contains(self)
    }

    /// The tuning for a device: the autotuned one, or the default of its class.
    pub fn of(kernel_config: KernelConfig) -> Self {
        let suits = match kernel_config.class {
            DeviceClass::Hardware if kernel_config.features.contains(Features::SUBGROUPS) => Self::SUBGROUPS,
            DeviceClass::Hardware => Self::HARDWARE,
            DeviceClass::Processor if kernel_config.features.contains(Features::DOT) => Self::DOT_SOFTWARE,
            DeviceClass::Software | DeviceClass::SlowCompiler | DeviceClass::Processor => Self::SOFTWARE,
        };
        kernel_config.pick(TuningGroup::Gemv as usize, &Self::ALL, |tuning| tuning.uses).unwrap_or(suits)
    }

    /// For hardware: a group of lanes loads 256 consecutive bytes, and enough threads run to hide memory latency.
    pub const HARDWARE: Self = Self { lanes: 16, lane_groups: 4, row_groups: 1, uses: Features::NONE, emulated: 0 };
    /// For hardware with subgroups, usually of 32 lanes: neither barriers nor workgroup memory.
    pub const SUBGROUPS: Self =
        Self { lanes: 32, lane_groups: 2, row_groups: 1, uses: Features::SUBGROUPS, emulated: 0 };
    /// For hardware with subgroups of 64 lanes. Two lanes share a block if rows have too few blocks for all lanes.
    pub const WIDE: Self = Self { lanes: 64, lane_groups: 1, ..Self::SUBGROUPS };
    /// For software devices: no barrier, and every loaded input is used for eight rows.
    pub const SOFTWARE: Self = Self { lanes: 1, lane_groups: 16, row_groups: 2, uses: Features::NONE, emulated: 0 };
    /// For software devices with subgroups of four lanes.
    pub const FOUR_LANES: Self = Self { lanes: 4, lane_groups: 4, row_groups: 4, ..Self::SUBGROUPS };
    /// Inputs in 8-bit integers, for quantised weights: 64 rows of weights share the rounded inputs of a workgroup.
    pub const DOT: Self = Self { lanes: 16, lane_groups: 16, row_groups: 1, uses: Features::DOT, emulated: 0 };
    /// [`Self::DOT`] for software devices.
    pub const DOT_SOFTWARE: Self = Self { uses: Features::DOT, ..Self::SOFTWARE };
}

/// Compile-time options of a product of a few rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gemv {
    pub(super) layout: Layout,
    /// Rows of inputs of a workgroup.
    pub(super) rows: usize,
    /// Groups of four rows of weights of an output tile.
    fused_outputs: usize,
    /// Inputs are normed first.
    pub(super) norm: bool,
    /// The last block extends past the row.
    pub(super) ragged: bool,
    lanes: usize,
    lane_groups: usize,
    /// Output tiles of a thread.
    tiles: usize,
    /// Blocks of a row of inputs that workgroup memory holds as integers at a time; 0 if inputs stay floats.
    pub(super) k_tile: usize,
    uses: Features,
    emulated: usize,
    /// Pieces of a block that different lanes read; 0 if a lane reads whole blocks.
    pieces: usize,
    /// Two lanes share a block that has no pieces.
    halved: bool,
    /// Lane layouts; rows consist of whole blocks.
    pub(super) lane_layouts: LaneLayouts,
}

impl Gemv {
    /// Options for `m` rows by a matrix, with the tuning of the device.
    pub fn of(kernel_config: KernelConfig, weight: &Weight, m: usize, fused_outputs: usize, norm: bool) -> Self {
        Self::new((weight.layout, weight.shape), m, fused_outputs, norm, Tuning::of(kernel_config))
    }

    /// Options for `m` rows, with as much of the `tuning` as workgroup memory has room for.
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
        // Float matrices are multiplied in floats, and subgroups stage no inputs in workgroup memory.
        let is_dot = uses.contains(Features::DOT) && !lanes::has_subgroups(uses, emulated) && layout.is_quantised();
        let staged_bytes = if is_dot { rows * lanes * STAGED_BYTES } else { 0 };
        let sum_bytes =
            |lane_groups: usize, tiles: usize| rows * lanes * lane_groups * (tiles * fused_outputs * 16 + 4);
        // Registers are scarce: a thread with more rows of inputs takes fewer rows of weights.
        if rows > MAX_ROWS / 2 {
            tiles = 1;
        }
        while reduces && sum_bytes(lane_groups, tiles) + staged_bytes > WORKGROUP_BYTES && lane_groups > 1 {
            (lane_groups, tiles) = if tiles > 1 { (lane_groups, tiles / 2) } else { (lane_groups / 2, tiles) };
        }
        let k_tile = if is_dot {
            let room = WORKGROUP_BYTES.saturating_sub(if reduces { sum_bytes(lane_groups, tiles) } else { 0 });
            // A multiple of the lanes, so that each lane takes the same blocks for every tile size.
            let fits = room / (rows * STAGED_BYTES) / lanes * lanes;
            fits.min(shape.blocks().next_multiple_of(lanes))
        } else {
            0
        };
        let uses = if k_tile > 0 { uses } else { uses - Features::DOT };
        let ragged = !shape.cols.is_multiple_of(BLOCK);
        let (pieces, lane_layouts) = (pieces(layout, lanes), LaneLayouts::default());
        // With 96 blocks, 64 lanes take two turns, and half of them idle in the second one; with halves of blocks they take three full
        // turns of half the length.
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

    /// Returns the options with these lane layouts.
    #[must_use]
    pub fn with_lane_layouts(self, lane_layouts: LaneLayouts) -> Self {
        Self { lane_layouts, ..self }
    }

    /// Returns the options with this lane layout of outputs.
    #[must_use]
    pub fn with_output_layout(mut self, y: LaneLayout) -> Self {
        self.lane_layouts.y = y;
        self
    }

    /// Returns true if inputs are rounded to 8-bit integers.
    pub fn rounds(&self) -> bool {
        self.k_tile > 0
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

    /// The shader with `file` as the kernel's own file. Bindings: the kernel's own, the norm's weight, the planes.
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

    /// The options that the kernel's text depends on.
    pub(super) fn of_text(self) -> Self {
        self.with_output_layout(LaneLayout::NATURAL)
    }

    /// The kernel called `name`; `detail` is appended to its options in the name.
    pub(super) fn kernel(&self, name: &str, detail: &str, shader: Shader, variant: Variant) -> Kernel {
        let norm = if self.norm { ",norm" } else { "" };
        let name = format!("{name}<{},{}{norm}{detail}>", self.layout, self.rows);
        Kernel::new(name, self.uses, shader, variant)
    }
}

/// Subgroup size from which a row may have too few blocks for all lanes.
const WIDE_LANES: usize = 64;

/// Bytes of one load of a lane.
const LOAD_BYTES: usize = 16;

/// Pieces of a block that lanes sharing a row read separately, so that neighbours load adjacent bytes; 0 for whole blocks.
fn pieces(layout: Layout, lanes: usize) -> usize {
    let bytes = layout.plane_units().first().map_or(0, |plane| plane.bytes * BLOCK / plane.cols);
    if lanes > 1 && bytes > LOAD_BYTES { bytes / LOAD_BYTES } else { 0 }
}

/// Storage bindings of a kernel with `own` bindings besides the norm's weight and the planes.
pub(super) fn bindings(own: usize, norm: bool, layout: Layout) -> usize {
    own + usize::from(norm) + layout.plane_units().len()
}

/// Groups of four rows that hold `rows` rows.
pub(super) fn groups(rows: usize) -> usize {
    rows.div_ceil(ROW_GROUP)
}
