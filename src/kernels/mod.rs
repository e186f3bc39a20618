//! One module a WGSL file: its parameters, its bindings and its grid. A `record` function adds a launch to a recording.
//!
//! Knows shapes and buffers, nothing of what a model makes of them. [`crate::reference`] has the same names on the CPU.

use crate::error::Result;
use crate::gpu::{Allocator, Dispatch, Features, Gpu, Kernel, KernelConfig, Purpose, Recording, Slice};
use crate::shader::Shader;
use crate::weights::layout::{Layout, MatrixShape};
use crate::weights::upload::{RowShard, Weight, rows_of_shard};

pub mod accept;
pub mod activation;
pub mod attention;
pub mod attention_join;
pub mod attention_step;
pub mod cache;
pub mod cases;
pub mod embed_rows;
pub mod gated_matvec;
pub mod gemv;
pub mod glu;
mod lanes;
pub mod matmul;
pub mod matvec;
pub mod patch_merge;
pub mod patchify;
pub mod qkv_matvec;
pub mod rms_norm;
pub mod rope;
pub mod rope_append;
pub mod sample;
pub mod sample_filter;
pub mod sample_scan;
pub mod sampling;
pub mod self_test;
mod variant;

pub use variant::Variant;

/// Kernels that are tuned together: the indices of [`KernelConfig::variants`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TuningGroup {
    /// [`matvec`], [`gated_matvec`] and [`qkv_matvec`].
    Gemv,
    /// [`attention_step`].
    AttentionStep,
    /// [`matmul`].
    Matmul,
    /// [`attention`](mod@attention).
    Attention,
}

impl TuningGroup {
    /// What else this group may be computed with on a device, beside what suits its class: as [`KernelConfig::variants`] counts.
    pub fn candidates(self, kernel_config: KernelConfig) -> Vec<u8> {
        use {attention as prompt, attention_step as step};
        let plain = KernelConfig { variants: KernelConfig::of(kernel_config.class).variants, ..kernel_config };
        match self {
            Self::Gemv => others(kernel_config, gemv::Tuning::of(plain), &gemv::Tuning::ALL, |each| each.uses),
            Self::AttentionStep => others(kernel_config, step::Tuning::of(plain), &step::Tuning::ALL, |each| each.uses),
            Self::Matmul => others(kernel_config, matmul::Tuning::of(plain), &matmul::Tuning::ALL, |each| each.uses),
            Self::Attention => others(kernel_config, prompt::Tuning::of(plain), &prompt::Tuning::ALL, |each| each.uses),
        }
    }
}

/// The entries of `all` that a device may use, without the one that suits it.
fn others<T: PartialEq>(kernel_config: KernelConfig, suits: T, all: &[T], uses: impl Fn(&T) -> Features) -> Vec<u8> {
    let may = |entry: &T| *entry != suits && kernel_config.features.contains(uses(entry));
    (1..).zip(all).filter(|(_, entry)| may(entry)).map(|(pick, _)| pick).collect()
}

/// A kernel that is one text for every model.
fn plain(file: &'static str, variant: Variant) -> Kernel {
    Kernel::new(file, Features::NONE, Shader::new(file), variant)
}

/// Workgroups for `threads` threads in groups of 64, folded into two dimensions where one is not enough.
fn linear_grid(threads: usize) -> [u32; 3] {
    folded_grid(threads.div_ceil(64))
}

/// `groups` workgroups, folded into two dimensions where one is not enough.
fn folded_grid(groups: usize) -> [u32; 3] {
    const WIDEST: usize = 32_768;
    if groups <= WIDEST {
        return [groups as u32, 1, 1];
    }
    [WIDEST as u32, groups.div_ceil(WIDEST).min(u32::MAX as usize) as u32, 1]
}

fn params_of<T: bytemuck::NoUninit>(params: &T) -> Vec<u8> {
    bytemuck::bytes_of(params).to_vec()
}

/// The activation's number in `shared/activations.wgsl`.
pub(crate) fn activation_id(activation: crate::config::Activation) -> u32 {
    match activation {
        crate::config::Activation::Silu => 0,
        crate::config::Activation::Gelu => 1,
        crate::config::Activation::GeluTanh => 2,
    }
}

/// `y = x * w^T` by [`matmul`], which serves any count of rows with one pipeline. Steps of one token know [`matvec`].
#[derive(Debug)]
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
    /// Whether to add to what `y` holds.
    pub accumulate: bool,
}

/// Parameters that `matmul` and `matvec` share.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct LinearParams {
    m: u32,
    n: u32,
    k4: u32,
    blocks: u32,
    y_stride: u32,
    y_offset: u32,
    flags: u32,
    first_row: u32,
}

impl Linear<'_> {
    /// Records the product.
    ///
    /// # Errors
    /// As [`Recording::dispatch`].
    pub fn record(&self, recording: &mut Recording) -> Result<()> {
        matmul::record(recording, self)
    }

    /// A launch for each part of the matrix: each makes its columns of `y`.
    fn record_parts(&self, recording: &mut Recording, kernel: &Kernel, grid: impl Fn(usize) -> [u32; 3]) -> Result<()> {
        self.weight
            .parts
            .iter()
            .try_for_each(|part| recording.dispatch(self.dispatch(part, kernel.clone(), grid(part.rows))))
    }

    fn dispatch(&self, part: &RowShard, kernel: Kernel, grid: [u32; 3]) -> Dispatch {
        let MatrixShape { cols: k, .. } = self.weight.shape;
        let (n, first) = (part.rows, part.first_row);
        let params = LinearParams {
            m: self.m as u32,
            n: n as u32,
            k4: (k / 4) as u32,
            blocks: self.weight.shape.blocks() as u32,
            y_stride: self.y_stride as u32,
            y_offset: (self.y_offset + first) as u32,
            flags: u32::from(self.bias.is_some()) | u32::from(self.accumulate) << 1,
            first_row: first as u32,
        };
        // Where there is no bias its binding holds `x`, which the kernel then leaves alone.
        let own = [self.x, self.y, self.bias.unwrap_or(self.x)];
        Dispatch {
            kernel,
            params: params_of(&params),
            buffers: own.into_iter().chain(&part.planes).cloned().collect(),
            grid,
            note: format!("m={} n={n} k={k}", self.m),
        }
    }
}

/// Uploads a matrix given in rows of numbers, in one of [`Layout::from_numbers`]. For tests and tools; models stream their planes.
///
/// # Errors
/// [`crate::Error::Internal`] for numbers the layout cannot hold, or as [`Gpu::upload`].
pub fn upload_weight(gpu: &Gpu, layout: Layout, shape: MatrixShape, values: &[f32]) -> Result<Weight> {
    let mut planes = vec![Vec::new(); layout.plane_units().len()];
    crate::weights::quant::encode_rows(layout, shape.cols, values, &mut planes)
        .map_err(|fault| crate::Error::Internal { detail: format!("{fault:?}") })?;
    upload_planes(gpu, layout, shape, &planes)
}

/// Uploads a matrix given in the planes of its layout. For tests and tools, as [`upload_weight`].
///
/// # Errors
/// As [`Gpu::upload`].
pub fn upload_planes(gpu: &Gpu, layout: Layout, shape: MatrixShape, planes: &[Vec<u8>]) -> Result<Weight> {
    let rows = rows_of_shard(layout, shape, gpu.max_binding()).unwrap_or(shape.rows);
    upload_parts(gpu, layout, shape, planes, rows)
}

/// Uploads a matrix given in the planes of its layout, cut into parts of `rows` rows, a multiple of
/// [`ROW_GROUP`](crate::weights::layout::ROW_GROUP).
///
/// # Errors
/// As [`Gpu::upload`].
pub fn upload_parts(gpu: &Gpu, layout: Layout, shape: MatrixShape, planes: &[Vec<u8>], rows: usize) -> Result<Weight> {
    let mut starts = vec![0; planes.len()];
    let mut parts = Vec::new();
    for first_row in (0..shape.rows).step_by(rows.max(1)) {
        let rows = rows.min(shape.rows - first_row);
        let sizes = layout.matrix_planes(MatrixShape { rows, ..shape }).unwrap_or_default();
        let mut slices = Vec::with_capacity(planes.len());
        for ((plane, start), size) in planes.iter().zip(&mut starts).zip(sizes) {
            let bytes = plane.get(*start..*start + size.bytes as usize).unwrap_or_default();
            let buffer = gpu.alloc_beside("weight", Purpose::TextWeights, bytes.len() as u64)?;
            gpu.write(&buffer, 0, bytes)?;
            slices.push(buffer.all());
            *start += size.bytes as usize;
        }
        parts.push(RowShard { first_row, rows, planes: slices });
    }
    Ok(Weight { layout, shape, parts })
}
