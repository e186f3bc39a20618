//! Cases of the kernels that read a weight matrix.

use half::f16;

use super::harness::{FOREIGN, Harness, Holds, Output, POISON};
use super::{Case, EXACT, POINTWISE, SUM, label};
use crate::error::{Error, Result};
use crate::gpu::{Features, Purpose, Recording, Slice};
use crate::kernels::{Linear, embed_rows as embed, matmul as many};
use crate::layout::quant;
use crate::layout::{BLOCK, LaneLayout, Layout, MatrixShape, PlaneKind, PlaneSpec, ROW_GROUP, device_bytes};
use crate::reference;
use crate::weights::{RowShard, Weight};

/// A random matrix on the GPU, in parts of `rows_of_part` rows, and its numbers after rounding to the layout. `// [rows, cols]`
///
/// # Errors
/// The same as for [`Gpu::alloc_beside`](crate::gpu::Gpu::alloc_beside).
pub fn random_matrix(
    harness: &mut Harness<'_>,
    layout: Layout,
    shape: MatrixShape,
    rows_of_part: usize,
) -> Result<(Weight, Vec<f32>)> {
    let planes = random_planes(harness, layout, shape)?;
    let numbers = quant::decode(layout, &[shape.rows, shape.cols], &planes)?;
    let (rows_of_part, mut starts) = (rows_of_part.next_multiple_of(ROW_GROUP), vec![0; planes.len()]);
    let mut parts = Vec::new();
    for first_row in (0..shape.rows).step_by(rows_of_part) {
        let rows = rows_of_part.min(shape.rows - first_row);
        let sizes = layout.matrix_planes(MatrixShape { rows, ..shape }).unwrap_or_default();
        let upload = |((plane, start), size): ((&Vec<u8>, &mut usize), PlaneSpec)| {
            let bytes = &plane[*start..*start + size.bytes as usize];
            *start += bytes.len();
            let buffer = harness.gpu.alloc_beside("weight", Purpose::TextWeights, size.bytes)?;
            let stored = device_bytes(size.kind, bytes);
            let too_large = || Error::Internal { detail: format!("a scale of {layout} is too large") };
            harness.gpu.write(&buffer, 0, &stored.ok_or_else(too_large)?)?;
            Ok(buffer.all())
        };
        let planes = planes.iter().zip(&mut starts).zip(sizes).map(upload).collect::<Result<_>>()?;
        parts.push(RowShard { first_row, rows, planes });
    }
    Ok((Weight { layout, shape, parts }, numbers))
}

/// Planes of random numbers; for layouts without an encoder, of random bits with scales that keep the numbers small.
fn random_planes(harness: &mut Harness<'_>, layout: Layout, shape: MatrixShape) -> Result<Vec<Vec<u8>>> {
    let specs = layout.matrix_planes(shape).unwrap_or_default();
    if layout.spec().encode.is_some() {
        let (values, mut planes) =
            (harness.random.numbers(shape.rows * shape.cols, 1.0), vec![Vec::new(); specs.len()]);
        return match quant::encode_rows(layout, shape.cols, &values, &mut planes) {
            Ok(()) => Ok(planes),
            Err(fault) => Err(Error::Internal { detail: format!("{fault:?}") }),
        };
    }
    let plane = |spec: PlaneSpec| match spec.kind {
        PlaneKind::Scales if !layout.is_k_quant() => halves(harness, spec.bytes as usize, |_| 0.05),
        PlaneKind::Exponents => (0..spec.bytes).map(|_| 0x74 + (harness.random.bits() >> 29) as u8).collect(),
        PlaneKind::SuperScales => halves(harness, spec.bytes as usize, super_size),
        _ => (0..spec.bytes).map(|_| (harness.random.bits() >> 11) as u8).collect(),
    };
    Ok(specs.into_iter().map(plane).collect())
}

/// Largest scale of a super-block: two of three are subnormal, as in files.
fn super_size(index: usize) -> f32 {
    if index.is_multiple_of(3) { 1e-3 } else { 6e-5 }
}

/// 16-bit floats of at most `size` of their index, and of at least a quarter of that.
fn halves(harness: &mut Harness<'_>, bytes: usize, size: fn(usize) -> f32) -> Vec<u8> {
    let number = |(index, x): (usize, f32)| (0.25 + 0.75 * x.abs()).copysign(x) * size(index);
    let numbers = harness.random.numbers(bytes / 2, 1.0).into_iter().enumerate();
    numbers.flat_map(|number_at| f16::from_f32(number(number_at)).to_le_bytes()).collect()
}

/// Rows of an embedding of `vocabulary` rows, in parts of `rows_of_part`, times `scale`, and of features.
pub fn embed_rows(
    (layout, scale): (Layout, Option<f32>),
    tokens: usize,
    hidden: usize,
    vocabulary: usize,
    rows_of_part: usize,
    features: usize,
) -> Case {
    let parts = vocabulary.div_ceil(rows_of_part.next_multiple_of(ROW_GROUP)).min(embed::parts_at_once(layout));
    let sizes =
        label(format_args!("tokens={tokens} hidden={hidden} rows={vocabulary}/{rows_of_part} features={features}"));
    // Numbers of every layout are exact in f32: at most 8 bits times the 11 of a scale; in a K-quant 6 times 7 times 11, or 5 times 8 times
    // 11, and one subtraction.
    let tolerance = if scale.is_some() { POINTWISE } else { EXACT };
    Case::new(embed::kernel(layout, parts, scale.is_some()), tolerance, sizes, move |harness| {
        let shape = MatrixShape { rows: vocabulary, cols: hidden };
        let (weight, embedding) = random_matrix(harness, layout, shape, rows_of_part)?; // [vocabulary, hidden]
        let rows = harness.random.numbers(features * hidden, 1.0); // [features, hidden]
        let mut source = |index: usize| match index {
            0 => vocabulary as u32 - 1,
            i if features > 0 && i % 3 == 1 => embed::FEATURE | (harness.random.bits() % features as u32),
            _ => harness.random.bits() % vocabulary as u32,
        };
        let sources: Vec<u32> = (0..tokens).map(&mut source).collect();
        let mut out = harness.output(tokens * hidden, Holds::Numbers)?;
        let (sources_slice, rows_slice) = (harness.words(&sources)?, harness.input(&rows)?);
        embed::record(
            &mut harness.recording,
            (&weight, scale),
            tokens,
            &sources_slice,
            &rows_slice,
            (&out.slice, harness.lane_layout),
        )?;
        reference::embed_rows::compute(hidden, scale.unwrap_or(1.0), &embedding, &sources, &rows, out.expected());
        arrange(harness.lane_layout, out.expected());
        Ok(vec![out])
    })
}

/// Numbers up to `size`, scaled by a different power of two in each block of 32, which reveals mixed-up scales.
pub(super) fn uneven(harness: &mut Harness<'_>, len: usize, size: f32) -> Vec<f32> {
    let mut numbers = harness.random.numbers(len, size);
    for block in numbers.chunks_mut(BLOCK) {
        let scale = 1.0 / (1 << (harness.random.bits() % 4)) as f32;
        block.iter_mut().for_each(|x| *x *= scale);
    }
    numbers
}

/// Usual size of a sum of such products: the root of the sum of their squares, for the largest row of each.
pub(super) fn magnitude(x: &[f32], w: &[f32], k: usize) -> f32 {
    let products = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(x, w)| (x * w) * (x * w)).sum::<f32>().sqrt();
    let rows = x.chunks_exact(k).take(4).flat_map(|x| w.chunks_exact(k).map(move |w| (x, w)));
    rows.map(|(x, w)| products(x, w)).fold(0.0, f32::max)
}

/// Converts rows to a lane layout.
pub(super) fn arrange(lane_layout: LaneLayout, rows: &mut [f32]) {
    rows.copy_from_slice(&lane_layout.arranged(rows));
}

/// Terms that a product adds, and the place of its outputs.
#[derive(Debug, Clone, Copy)]
pub struct Into {
    /// Adds a bias.
    pub bias: bool,
    /// Adds to the present content of `y`.
    pub accumulate: bool,
    /// Columns of `y` before and after the written ones.
    pub around: (usize, usize),
}

impl Into {
    /// Content of `y` before the launch. `// [m, before + n + after]`
    pub(super) fn held(self, harness: &mut Harness<'_>, m: usize, n: usize) -> Vec<f32> {
        let (before, after) = self.around;
        let mut held = vec![FOREIGN; m * (before + n + after)];
        for row in held.chunks_exact_mut(before + n + after) {
            row[before..before + n].fill_with(|| if self.accumulate { harness.random.number() } else { POISON });
        }
        held
    }
}

/// Expectation of a kernel that rounds its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// The product of the rounded numbers.
    Seen,
    /// The product of the exact numbers.
    Given,
}

/// Inputs and weights after the rounding of a kernel with these features. `// [m, k]`, `// [n, k]`
pub fn seen(uses: Features, k: usize, x: &[f32], w: &[f32]) -> (Vec<f32>, Vec<f32>) {
    match uses {
        _ if uses.contains(Features::DOT) => (reference::rounded::int8(k, x), w.to_vec()),
        _ if uses.contains(Features::F16) => (reference::rounded::half_blocks(k, x), reference::rounded::half(w)),
        _ => (x.to_vec(), w.to_vec()),
    }
}

/// Sizes of a product `[m, k] * [n, k]^T`.
#[derive(Debug, Clone, Copy)]
pub struct Product {
    /// Rows of inputs.
    pub m: usize,
    /// Rows of the matrix.
    pub n: usize,
    /// Inputs of a row.
    pub k: usize,
}

/// A matrix in a layout, in parts of this many rows.
pub(super) type Cut = (Layout, MatrixShape, usize);

/// Records `y = x * w^T` for `m` rows on the device, plus the terms of `into`. `seen` returns the inputs and weights after rounding. `//
/// [m, k]`, `// [n, k]`
pub(super) fn linear(
    harness: &mut Harness<'_>,
    (m, x): (usize, &Slice),
    (layout, shape, rows_of_part): Cut,
    (into, lane_layout): (Into, LaneLayout),
    seen: impl FnOnce(Vec<f32>) -> (Vec<f32>, Vec<f32>),
    record: impl FnOnce(&mut Recording, &Linear<'_>) -> Result<()>,
) -> Result<Vec<Output>> {
    let (MatrixShape { rows: n, cols: k }, Into { accumulate, around: (y_offset, after), .. }) = (shape, into);
    let y_stride = y_offset + n + after;
    let (weight, w) = random_matrix(harness, layout, shape, rows_of_part)?;
    let bias = into.bias.then(|| harness.random.numbers(n, 1.0));
    let held = into.held(harness, m, n);
    let (mut y, bias_slice) = (harness.in_place(&lane_layout.arranged(&held))?, harness.optional(bias.as_deref())?);
    let linear =
        Linear { x, m, weight: &weight, bias: bias_slice.as_ref(), y: &y.slice, y_stride, y_offset, accumulate };
    record(&mut harness.recording, &linear)?;
    let (x, w) = seen(w);
    let shape = reference::matmul::Shape { m, n, k, y_stride, y_offset, accumulate };
    y.expected().copy_from_slice(&held);
    reference::matmul::compute(shape, &x, &w, bias.as_deref(), y.expected());
    arrange(lane_layout, y.expected());
    y.magnitude = magnitude(&x, &w, k);
    Ok(vec![y])
}

/// `m` rows of `k` inputs times a matrix of `n` rows, in parts of `rows_of_part` rows.
pub fn matmul(
    against: Against,
    (layout, tuning): (Layout, many::Tuning),
    Product { m, n, k }: Product,
    into: Into,
    rows_of_part: usize,
) -> Case {
    let kernel = many::kernel(layout, !k.is_multiple_of(BLOCK), tuning);
    let uses = kernel.needs();
    let tolerance = if uses.contains(Features::F16) { super::HALVES } else { SUM };
    let sizes = label(format_args!("m={m} n={n}/{rows_of_part} k={k} {into:?} {against:?} {tuning:?}"));
    Case::new(kernel, tolerance, sizes, move |harness| {
        let x = uneven(harness, m * k, 1.0); // [m, k]
        let (x_slice, shape) = (harness.input(&x)?, MatrixShape { rows: n, cols: k });
        let sees = |w: Vec<f32>| if against == Against::Seen { seen(uses, k, &x, &w) } else { (x, w) };
        linear(
            harness,
            (m, &x_slice),
            (layout, shape, rows_of_part),
            (into, LaneLayout::NATURAL),
            sees,
            |recording, linear| many::record(recording, tuning, linear),
        )
    })
}
