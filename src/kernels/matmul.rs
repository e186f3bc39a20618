//! Many rows times a weight matrix, by tiles in registers and, on hardware, in workgroup memory.

use super::{TuningGroup, Variant, params};
use crate::error::Result;
use crate::gpu::buffer::row_alignment;
use crate::gpu::{DeviceClass, Dispatch, Features, Kernel, KernelConfig, Recording, Slice};
use crate::layout::{BLOCK, Layout, PlaneKind, ROW_GROUP};
use crate::shader::Shader;
use crate::weights::Weight;

/// Blocks of inputs that a workgroup stages, rounded, for each of its rows.
const K_TILE: usize = 8;
/// Workgroups of [`Tuning::TILE`] that fill a large GPU. A product of fewer is faster in tiles of half the columns.
const FILLING: usize = 256;
/// Consecutive bytes that neighbouring threads load of each row of a plane: a memory transaction.
const LINE: usize = 64;

/// Division of a product among threads. Part of the kernel's text: each choice is a pipeline of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Threads of a workgroup.
    pub threads: usize,
    /// Threads with different columns; the others compute the same columns of other rows. If there are fewer than `threads`, inputs and
    /// weights are staged in workgroup memory.
    pub across: usize,
    /// Rows of a thread.
    pub rows: usize,
    /// Columns of a thread, in groups of four.
    pub groups: usize,
    /// Inputs of an iteration of the loop, in eights: 1, 2 or 4 of the four in a block; 2 with staging in workgroup memory.
    pub words: usize,
    /// Each product is added to the sum before it, which is one instruction on devices that fuse them; otherwise four products are summed
    /// first, which shortens dependency chains.
    pub chained: bool,
    /// Optional features that the tuning needs.
    pub uses: Features,
}

impl Tuning {
    /// All tunings that a device may choose from. Saved choices are indices, so new tunings are appended.
    pub const ALL: [Self; 11] = [
        Self::REGISTERS,
        Self::SOFTWARE,
        Self::DOT,
        Self { rows: 16, ..Self::DOT },
        Self::F16,
        Self { uses: Features::F16.union(Features::LARGE_WORKGROUPS), ..Self::LARGE_TILE },
        Self::TILE,
        Self::NARROW_TILE,
        Self::SMALL_TILE,
        Self::QUADS,
        Self::LARGE_TILE,
    ];

    /// Returns true if the tuning may be the fastest of a device. Those for CPUs are not on a GPU; others need more registers than some GPUs have
    /// for a thread, and would be several times slower there.
    pub fn suits(&self, kernel_config: KernelConfig) -> bool {
        match (kernel_config.class, kernel_config.few_registers) {
            (DeviceClass::Hardware, true) => [Self::DOT, Self::NARROW_TILE, Self::SMALL_TILE].contains(self),
            (DeviceClass::Hardware, false) => ![Self::SOFTWARE, Self::QUADS].contains(self),
            (DeviceClass::Software, _) => true,
            (DeviceClass::SlowCompiler | DeviceClass::Processor, _) => *self != Self::QUADS,
        }
    }

    /// The tuning for a device: the autotuned one, or the default of its class.
    pub fn of(kernel_config: KernelConfig) -> Self {
        let suits = match kernel_config.class {
            DeviceClass::Hardware if kernel_config.few_registers => Self::SMALL_TILE,
            DeviceClass::Hardware => Self::HARDWARE,
            DeviceClass::SlowCompiler => Self::REGISTERS,
            DeviceClass::Processor if kernel_config.features.contains(Features::DOT) => Self::DOT,
            DeviceClass::Software if kernel_config.features.contains(Features::SUBGROUPS) => Self::QUADS,
            DeviceClass::Software | DeviceClass::Processor => Self::SOFTWARE,
        };
        kernel_config.pick(TuningGroup::Matmul as usize, &Self::ALL, |tuning| tuning.uses).unwrap_or(suits)
    }

    /// The tuning for `m` rows times a matrix of `n` rows, of [`Self::sizes`]: smaller tiles if large ones would leave cores idle or consist of
    /// rows that do not exist. The order of the sums, and so the result, is the same.
    fn of_size(self, m: usize, n: usize) -> Self {
        let workgroups = m.div_ceil(self.tile_rows()) * n.div_ceil(self.tile_columns());
        match self {
            Self::TILE | Self::NARROW_TILE if m <= Self::SMALL_TILE.tile_rows() => Self::SMALL_TILE,
            Self::TILE if workgroups < FILLING => Self::NARROW_TILE,
            _ => self,
        }
    }

    /// The tunings of products of any size on a device that uses this one for large products.
    pub fn sizes(self) -> Vec<Self> {
        match self {
            Self::TILE => vec![self, Self::NARROW_TILE, Self::SMALL_TILE],
            Self::NARROW_TILE => vec![self, Self::SMALL_TILE],
            _ => vec![self],
        }
    }

    /// For hardware.
    pub const HARDWARE: Self = Self::TILE;
    /// 64 x 128 results of a workgroup, 8 x 8 of a thread.
    pub const TILE: Self = Self { threads: 128, across: 16, groups: 2, ..Self::REGISTERS };
    /// 128 x 256 results of a workgroup, 8 x 8 of a thread: half the memory traffic of [`Self::TILE`].
    pub const LARGE_TILE: Self = Self { threads: 512, across: 32, uses: Features::LARGE_WORKGROUPS, ..Self::TILE };
    /// 64 x 64 results of a workgroup, 8 x 4 of a thread.
    pub const NARROW_TILE: Self = Self { groups: 1, ..Self::TILE };
    /// 32 x 64 results of a workgroup, 4 x 4 of a thread: for devices with few registers, or few rows on many cores.
    pub const SMALL_TILE: Self = Self { rows: 4, ..Self::NARROW_TILE };
    /// Without workgroup memory.
    pub const REGISTERS: Self =
        Self { threads: 64, across: 64, rows: 8, groups: 1, words: 2, chained: true, uses: Features::NONE };
    /// For software devices.
    pub const SOFTWARE: Self =
        Self { threads: 16, across: 16, rows: 8, groups: 4, words: 1, chained: false, uses: Features::NONE };
    /// For software devices with subgroups: the four threads of a quad load inputs for one another.
    pub const QUADS: Self = Self { rows: 16, uses: Features::SUBGROUPS, ..Self::SOFTWARE };
    /// Inputs in 8-bit integers, for quantised weights.
    pub const DOT: Self = Self { uses: Features::DOT, ..Self::REGISTERS };
    /// Tiles of 16-bit floats.
    pub const F16: Self = Self { uses: Features::F16, ..Self::TILE };

    /// Returns true if inputs and weights are staged in workgroup memory.
    pub fn is_tiled(self) -> bool {
        self.across < self.threads
    }

    /// Rows of a workgroup.
    pub fn tile_rows(self) -> usize {
        self.threads / self.across * self.rows
    }

    /// Columns of a workgroup.
    pub fn tile_columns(self) -> usize {
        self.across * self.groups * ROW_GROUP
    }
}

/// The kernels of products of any size with the weights of `kernel`, on a device with this configuration; any other kernel alone.
pub fn of_all_sizes(kernel: &Kernel, config: KernelConfig) -> Vec<Kernel> {
    let Some(&Variant::Matmul { layout, ragged, .. }) = kernel.origin() else { return vec![kernel.clone()] };
    Tuning::of(config).sizes().into_iter().map(|tuning| self::kernel(layout, ragged, tuning)).collect()
}

/// The kernel for a layout; `ragged` if the last block extends past a row.
pub fn kernel(layout: Layout, ragged: bool, tuning: Tuning) -> Kernel {
    let Tuning { threads, rows, groups, words, chained, uses, .. } = tuning;
    // Float matrices have no integer products: they are multiplied in floats.
    let (file, needs) = match uses {
        _ if uses.contains(Features::DOT) && layout.is_quantised() => ("matmul_dp4a", Features::DOT),
        _ if uses.contains(Features::SUBGROUPS) => ("matmul_quads", Features::SUBGROUPS),
        _ if tuning.is_tiled() => ("matmul_tile", uses & (Features::F16 | Features::LARGE_WORKGROUPS)),
        _ => ("matmul", Features::NONE),
    };
    let is_integer = needs == Features::DOT;
    let mut shader = Shader::new(file).choose("LAYOUT", layout.name()).set_all([
        ("THREADS", threads),
        ("ROWS", rows),
        ("GROUPS", groups),
        ("RAGGED", ragged.into()),
        ("WHOLE_BLOCKS", is_integer.into()),
        ("PACKED", is_integer.into()),
        ("TILED", tuning.is_tiled().into()),
    ]);
    if tuning.is_tiled() {
        shader = tiled(shader.set("IN_HALVES", needs.contains(Features::F16).into()), layout, tuning);
    } else if needs == Features::SUBGROUPS {
        shader = shader.set("WORDS", words).set("FOURS", rows / ROW_GROUP);
    } else if is_integer {
        shader = shader.set("K_TILE", K_TILE);
    } else {
        shader = shader.set("WORDS", words).set("CHAINED", chained.into());
    }
    Kernel::new(format!("matmul<{layout}>"), needs, shader, Variant::Matmul { layout, ragged, tuning })
}

/// Sets the constants of the tile and of the planes for a product through workgroup memory.
fn tiled(mut shader: Shader, layout: Layout, tuning: Tuning) -> Shader {
    let Tuning { threads, across, rows, .. } = tuning;
    let columns = tuning.tile_columns();
    // Words of four columns that a thread loads of each line.
    let piece = (columns * ROW_GROUP / threads).clamp(2, 4);
    // Inputs of four columns that a thread unpacks consecutively.
    let at_once = match layout {
        Layout::F32 => piece,
        Layout::F16 => 2,
        _ => columns / ROW_GROUP * (BLOCK / 2) / threads,
    };
    shader = shader.set_all([
        ("ACROSS", across),
        ("DOWN", threads / across),
        ("TILE_ROWS", tuning.tile_rows()),
        ("FOURS", rows / ROW_GROUP),
        ("COLUMN_GROUPS", columns / ROW_GROUP),
        ("PIECE", piece),
        ("AT_ONCE", at_once),
    ]);
    for plane in layout.plane_units() {
        let bytes = plane.interleaved.map_or(plane.bytes * BLOCK / plane.cols, |bytes| bytes * ROW_GROUP);
        // Threads that load a line of a row, and the loads of each thread.
        let lanes = LINE / bytes;
        let loads = |rows: usize| (rows * lanes).div_ceil(threads);
        shader = match plane.kind {
            PlaneKind::Values => shader,
            PlaneKind::Quants => shader.set("QUANT_PHASES", BLOCK / bytes),
            PlaneKind::HighBits => shader.set_all([("HIGH_LANES", lanes), ("HIGH_LOADS", loads(columns))]),
            PlaneKind::Scales | PlaneKind::Exponents => {
                shader.set_all([("SCALE_LANES", lanes), ("SCALE_LOADS", loads(columns / ROW_GROUP))])
            }
            PlaneKind::SuperScales => {
                shader.set_all([("SUPER_LANES", lanes), ("SUPER_LOADS", loads(columns / ROW_GROUP))])
            }
        };
    }
    shader
}

/// `y = x * w^T (+ bias) (+ y)`. Steps of few rows use [`matvec`](super::matvec).
#[derive(Debug, Clone, Copy)]
pub struct Linear<'a> {
    /// Inputs. `// [m, k]`
    pub x: &'a Slice,
    /// Rows of `x`.
    pub m: usize,
    /// The matrix. `// [n, k]`
    pub weight: &'a Weight,
    /// Added to every row. `// [n]`
    pub bias: Option<&'a Slice>,
    /// Outputs. `// [m, y_stride]`
    pub y: &'a Slice,
    /// Width of a row of `y`.
    pub y_stride: usize,
    /// First column of `y` that is written.
    pub y_offset: usize,
    /// Adds to the present content of `y`.
    pub accumulate: bool,
}

impl Linear<'_> {
    /// Records the product: a launch for each part of the matrix.
    pub fn record(&self, recording: &mut Recording) -> Result<()> {
        let tuning = Tuning::of(recording.kernel_config());
        record(recording, tuning.of_size(self.m, self.weight.shape.rows), self)
    }

    /// Buffers besides the planes. Without a bias its binding holds `x`, which the kernel does not read as a bias.
    pub(super) fn bound(&self) -> [&Slice; 3] {
        [self.x, self.y, self.bias.unwrap_or(self.x)]
    }

    /// `flags` of the kernels' parameters.
    pub(super) fn flags(&self) -> usize {
        usize::from(self.bias.is_some()) | usize::from(self.accumulate) << 1
    }
}

/// Records the product with a tuning.
pub fn record(recording: &mut Recording, tuning: Tuning, linear: &Linear<'_>) -> Result<()> {
    let &Linear { m, weight: Weight { layout, shape, parts }, y_stride, y_offset, .. } = linear;
    let k = shape.cols;
    let kernel = kernel(*layout, !k.is_multiple_of(BLOCK), tuning);
    let alignment = row_alignment(&[k, y_stride]);
    let all = parts.iter().flat_map(|part| {
        let flops = |rows| product_flops(rows, part.rows, k);
        // A row's result does not depend on the rows computed with it; whole tiles only waste the least.
        let tile = tuning.tile_rows().next_multiple_of(alignment);
        let step = if recording.fits(flops(tile)) { tile } else { tuning.rows.next_multiple_of(alignment) };
        recording.divide(m, flops(m), step).map(move |range| (part, range))
    });
    all.collect::<Vec<_>>().into_iter().try_for_each(|(part, range)| {
        let (m, n) = (range.len(), part.rows);
        let (x, y) = (linear.x.skip_rows(range.start, k), linear.y.skip_rows(range.start, y_stride));
        let linear = Linear { x: &x, y: &y, ..*linear };
        let params = params!(
            m,
            n,
            k4 = k / 4,
            blocks = shape.blocks(),
            y_stride,
            y_offset = y_offset + part.first_row,
            flags = linear.flags(),
            first_row = part.first_row,
        );
        let dispatch = Dispatch {
            kernel: kernel.clone(),
            params,
            buffers: linear.bound().into_iter().chain(&part.planes).cloned().collect(),
            // Neighbours in x share columns, whose weights are then loaded from memory once for all rows.
            grid: [m.div_ceil(tuning.tile_rows()) as u32, n.div_ceil(tuning.tile_columns()) as u32, 1],
            note: format!("m={m} n={n} k={k}"),
        };
        recording.multiply(dispatch, product_flops(m, n, k))
    })
}

/// Operations of `m` rows times a matrix.
fn product_flops(m: usize, n: usize, k: usize) -> u64 {
    2 * [m, n, k].map(|size| size as u64).iter().product::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tiles as in the products of a model with rows of 3072 numbers and feed-forward rows of 9216.
    #[test]
    fn few_rows_get_small_tiles_and_few_workgroups_narrow_ones() {
        use Tuning as T;
        let sizes = [
            ((1, 18432), T::SMALL_TILE),
            ((32, 18432), T::SMALL_TILE),
            ((33, 18432), T::NARROW_TILE),
            ((256, 3072), T::NARROW_TILE),
            ((512, 6144), T::TILE),
            ((256, 18432), T::TILE),
        ];
        for ((m, n), expected) in sizes {
            assert_eq!(T::TILE.of_size(m, n), expected, "{m} rows, {n} columns");
            assert!(T::TILE.sizes().contains(&expected));
            assert_eq!(T::DOT.of_size(m, n), T::DOT);
        }
        assert_eq!([31, 64].map(|m| T::NARROW_TILE.of_size(m, 64)), [T::SMALL_TILE, T::NARROW_TILE]);
    }
}
