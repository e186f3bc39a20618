//! Cases of the kernels that read a weight matrix.

use half::f16;

use super::harness::{FOREIGN, Harness, Holds, POISON};
use super::{Case, EXACT, SUM};
use crate::error::{Error, Result};
use crate::gpu::Features;
use crate::kernels::{self, Linear, Variant};
use crate::reference;
use crate::weights::layout::{BLOCK, Layout, MatrixShape, PlaneKind, PlaneSpec, ROW_GROUP};
use crate::weights::quant;
use crate::weights::upload::Weight;

/// A random matrix on the GPU, in parts of so many rows, and the numbers that its layout keeps. `// [rows, cols]`
///
/// # Errors
/// As [`crate::gpu::Gpu::upload`].
pub fn random_matrix(
    harness: &mut Harness<'_>,
    layout: Layout,
    shape: MatrixShape,
    rows_of_part: usize,
) -> Result<(Weight, Vec<f32>)> {
    let planes = random_planes(harness, layout, shape)?;
    let numbers = quant::decode(layout, &[shape.rows, shape.cols], &planes)?;
    Ok((kernels::upload_parts(harness.gpu, layout, shape, &planes, rows_of_part)?, numbers))
}

/// Of random numbers, or where a layout is only ever read from files, of random bits with scales that make small numbers of them.
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
        PlaneKind::Scales if !layout.is_k_quant() => halves(harness, spec.bytes as usize, 0.05),
        PlaneKind::SuperScales => halves(harness, spec.bytes as usize, 0.001),
        _ => (0..spec.bytes).map(|_| (harness.random.bits() >> 11) as u8).collect(),
    };
    Ok(specs.into_iter().map(plane).collect())
}

/// 16-bit floats up to `size`, none of them subnormal.
fn halves(harness: &mut Harness<'_>, bytes: usize, size: f32) -> Vec<u8> {
    let number = |x: f32| (0.25 + 0.75 * x.abs()).copysign(x) * size;
    harness.random.numbers(bytes / 2, 1.0).into_iter().flat_map(|x| f16::from_f32(number(x)).to_le_bytes()).collect()
}

/// Rows of an embedding with so many rows, in parts of so many, and of features.
pub fn embed_rows(
    layout: Layout,
    tokens: usize,
    hidden: usize,
    (vocabulary, rows_of_part): (usize, usize),
    features: usize,
) -> Case {
    let rows_of_part = rows_of_part.next_multiple_of(ROW_GROUP);
    let parts = vocabulary.div_ceil(rows_of_part).min(kernels::embed_rows::parts_at_once(layout));
    let sizes = format!("tokens={tokens} hidden={hidden} rows={vocabulary}/{rows_of_part} features={features}");
    // Every layout's numbers are exact in f32: at most 8 bits times the 11 of a scale, in a K-quant
    // 6 times 7 times 11, or 5 times 8 times 11, and one subtraction.
    Case::new(Variant::EmbedRows { layout, parts }, EXACT, sizes, move |harness| {
        let shape = MatrixShape { rows: vocabulary, cols: hidden };
        let (weight, embedding) = random_matrix(harness, layout, shape, rows_of_part)?; // [vocabulary, hidden]
        let rows = harness.random.numbers(features * hidden, 1.0); // [features, hidden]
        let source = |harness: &mut Harness<'_>, index: usize| match index {
            0 => vocabulary as u32 - 1,
            i if features > 0 && i % 3 == 1 => kernels::embed_rows::FEATURE | (harness.random.bits() % features as u32),
            _ => harness.random.bits() % vocabulary as u32,
        };
        let sources: Vec<u32> = (0..tokens).map(|index| source(harness, index)).collect();
        let mut out = harness.output(tokens * hidden, Holds::Numbers)?;
        let (sources_slice, rows_slice) = (harness.words(&sources)?, harness.input(&rows)?);
        let recording = &mut harness.recording;
        kernels::embed_rows::record(recording, &weight, tokens, &sources_slice, &rows_slice, &out.slice)?;
        reference::embed_rows::compute(hidden, &embedding, &sources, &rows, out.expected());
        harness.expect(out);
        Ok(())
    })
}

/// Numbers up to `size`, smaller by another power of two in each block of 32: scales that are mixed up show.
pub(super) fn uneven(harness: &mut Harness<'_>, len: usize, size: f32) -> Vec<f32> {
    let mut numbers = harness.random.numbers(len, size);
    for block in numbers.chunks_mut(BLOCK) {
        let scale = 1.0 / (1 << (harness.random.bits() % 4)) as f32;
        block.iter_mut().for_each(|x| *x *= scale);
    }
    numbers
}

/// How large a sum of such products usually is: the root of the sum of their squares, for the largest row of each.
pub fn magnitude(x: &[f32], w: &[f32], k: usize) -> f32 {
    let products = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(x, w)| (x * w) * (x * w)).sum::<f32>().sqrt();
    let rows = x.chunks_exact(k).take(4).flat_map(|x| w.chunks_exact(k).map(move |w| (x, w)));
    rows.map(|(x, w)| products(x, w)).fold(0.0, f32::max)
}

/// What a product adds and where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Into {
    /// Whether it adds a bias.
    pub bias: bool,
    /// Whether it adds what `y` holds.
    pub accumulate: bool,
    /// Columns of `y` before and after the written ones.
    pub around: (usize, usize),
}

impl Into {
    /// Nothing added, all of `y` written.
    pub const PLAIN: Self = Self { bias: false, accumulate: false, around: (0, 0) };

    /// All eight kinds in turn.
    pub fn turn(index: usize) -> Self {
        let around = if index & 4 == 0 { (0, 0) } else { (5, 2) };
        Self { bias: index & 1 != 0, accumulate: index & 2 != 0, around }
    }

    /// What `y` holds before. `// [m, before + n + after]`
    pub(super) fn held(self, harness: &mut Harness<'_>, m: usize, n: usize) -> Vec<f32> {
        let (before, after) = self.around;
        let mut held = vec![FOREIGN; m * (before + n + after)];
        for row in held.chunks_exact_mut(before + n + after) {
            row[before..before + n].fill_with(|| if self.accumulate { harness.random.number() } else { POISON });
        }
        held
    }
}

/// What a kernel that rounds is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// The product of what it rounds to.
    Seen,
    /// The product of what it is given.
    Given,
}

/// Inputs and weights as a kernel sees them that uses these features. `// [m, k]`, `// [n, k]`
pub fn seen(uses: Features, k: usize, x: &[f32], w: &[f32]) -> (Vec<f32>, Vec<f32>) {
    match uses {
        _ if uses.contains(Features::DOT) => (reference::rounded::int8(k, x), w.to_vec()),
        _ if uses.contains(Features::F16) => (reference::rounded::half_blocks(k, x), reference::rounded::half(w)),
        _ => (x.to_vec(), w.to_vec()),
    }
}

/// `m` rows of `k` inputs times a matrix of `n` rows, in parts of so many.
pub fn matmul(
    against: Against,
    (layout, tuning): (Layout, kernels::matmul::Tuning),
    (m, n, k): (usize, usize, usize),
    into: Into,
    rows_of_part: usize,
) -> Case {
    let variant = Variant::Matmul { layout, ragged: !k.is_multiple_of(BLOCK), tuning };
    let uses = variant.kernel().needs();
    let tolerance = if uses.contains(Features::F16) { super::HALVES } else { SUM };
    let rows_of_part = rows_of_part.next_multiple_of(ROW_GROUP);
    let sizes = format!("m={m} n={n}/{rows_of_part} k={k} {into:?} {against:?} {tuning:?}");
    Case::new(variant, tolerance, sizes, move |harness| {
        let Into { bias, accumulate, around: (before, after) } = into;
        let (shape, y_stride) = (MatrixShape { rows: n, cols: k }, before + n + after);
        let x = uneven(harness, m * k, 1.0); // [m, k]
        let (weight, w) = random_matrix(harness, layout, shape, rows_of_part)?; // [n, k]
        let bias = bias.then(|| harness.random.numbers(n, 1.0));
        let held = into.held(harness, m, n);
        let mut y = harness.in_place(&held)?;
        let (x_slice, bias_slice) = (harness.input(&x)?, bias.as_ref().map(|bias| harness.input(bias)).transpose()?);
        let linear = Linear {
            x: &x_slice,
            m,
            weight: &weight,
            bias: bias_slice.as_ref(),
            y: &y.slice,
            y_stride,
            y_offset: before,
            accumulate,
        };
        kernels::matmul::record_as(tuning, &mut harness.recording, &linear)?;
        let shape = reference::matmul::Shape { m, n, k, y_stride, y_offset: before, accumulate };
        let (x, w) = if against == Against::Seen { seen(uses, k, &x, &w) } else { (x, w) };
        reference::matmul::compute(shape, &x, &w, bias.as_deref(), y.expected());
        y.magnitude = magnitude(&x, &w, k);
        harness.expect(y);
        Ok(())
    })
}
