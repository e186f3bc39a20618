//! Cases of the kernels that read a weight matrix.

use half::f16;
use ocelli::gpu::Features;
use ocelli::kernels::{self, Linear};
use ocelli::weights::blocks::{append_rows, block_size};
use ocelli::weights::layout::{Layout, MatrixShape, ROW_GROUP};
use ocelli::weights::quant;
use ocelli::weights::upload::Weight;
use ocelli::{Result, reference};

use crate::bench::{Bench, FOREIGN, POISON};
use crate::case::{Case, EXACT, SUM, case};

/// A random matrix on the GPU, and the numbers that its layout keeps. `// [rows, cols]`
pub(crate) fn random_matrix(
    bench: &mut Bench<'_>,
    layout: Layout,
    shape: MatrixShape,
    rows_of_part: usize,
) -> Result<(Weight, Vec<f32>)> {
    let mut planes = vec![Vec::new(); layout.plane_units().len()];
    if let (None, Some(ggml)) = (layout.spec().encode, &layout.spec().ggml) {
        let (_, elements) = block_size(layout).expect("blocks");
        let blocks = shape.cols.div_ceil(elements);
        let mut raw: Vec<u8> =
            (0..shape.rows * blocks * ggml.bytes).map(|_| (bench.random.bits() >> 11) as u8).collect();
        for block in raw.chunks_exact_mut(ggml.bytes) {
            (ggml.fill)(f16::from_f32(bench.random.number() / (2.0 * layout.spec().deviation as f32)), block);
        }
        append_rows(layout, blocks, &raw, &mut planes);
    } else {
        let values = bench.random.numbers(shape.rows * shape.cols, 1.0); // [rows, cols]
        quant::encode_rows(layout, shape.cols, &values, &mut planes).expect("small finite numbers");
    }
    let numbers = quant::decode(layout, &[shape.rows, shape.cols], &planes)?;
    Ok((kernels::upload_parts(bench.gpu, layout, shape, &planes, rows_of_part)?, numbers))
}

pub(crate) fn embed_rows(layout: Layout, tokens: usize, hidden: usize, vocabulary: usize, features: usize) -> Case {
    embed_rows_in_parts(layout, tokens, hidden, (vocabulary, vocabulary), features)
}

/// As [`embed_rows`], of an embedding in parts of so many rows.
pub(crate) fn embed_rows_in_parts(
    layout: Layout,
    tokens: usize,
    hidden: usize,
    (vocabulary, parts): (usize, usize),
    features: usize,
) -> Case {
    let parts = parts.next_multiple_of(ROW_GROUP);
    let sizes = format!("{layout} tokens={tokens} hidden={hidden} rows={vocabulary}/{parts} features={features}");
    // Every layout's numbers are exact in f32: at most 8 bits times the 11 of a scale, in a K-quant
    // 6 times 7 times 11 and one subtraction.
    case("embed_rows", EXACT, sizes, move |bench| {
        let shape = MatrixShape { rows: vocabulary, cols: hidden };
        let (weight, embedding) = random_matrix(bench, layout, shape, parts)?; // [vocabulary, hidden]
        let rows = bench.random.numbers(features * hidden, 1.0); // [features, hidden]
        let source = |bench: &mut Bench<'_>, index: usize| match index {
            0 => vocabulary as u32 - 1,
            i if features > 0 && i % 3 == 1 => kernels::embed_rows::FEATURE | (bench.random.bits() % features as u32),
            _ => bench.random.bits() % vocabulary as u32,
        };
        let sources: Vec<u32> = (0..tokens).map(|index| source(bench, index)).collect();
        let mut out = bench.output(tokens * hidden)?;
        let (sources_slice, rows_slice) = (bench.words(&sources)?, bench.input(&rows)?);
        let recording = &mut bench.recording;
        kernels::embed_rows::record(recording, &weight, tokens, &sources_slice, &rows_slice, &out.slice)?;
        reference::embed_rows::compute(hidden, &embedding, &sources, &rows, out.expected());
        bench.expect(out);
        Ok(())
    })
}

/// How large a sum of such products usually is: the root of the sum of their squares, for the largest row of each.
pub(crate) fn magnitude(x: &[f32], w: &[f32], k: usize) -> f32 {
    let products = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(x, w)| (x * w) * (x * w)).sum::<f32>().sqrt();
    let rows = x.chunks_exact(k).take(4).flat_map(|x| w.chunks_exact(k).map(move |w| (x, w)));
    rows.map(|(x, w)| products(x, w)).fold(0.0, f32::max)
}

/// What a product adds and where it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Into {
    pub(crate) bias: bool,
    pub(crate) accumulate: bool,
    /// Columns of `y` before and after the written ones.
    pub(crate) around: (usize, usize),
}

impl Into {
    pub(crate) const PLAIN: Self = Self { bias: false, accumulate: false, around: (0, 0) };

    /// All eight kinds in turn.
    pub(crate) fn turn(index: usize) -> Self {
        let around = if index & 4 == 0 { (0, 0) } else { (5, 2) };
        Self { bias: index & 1 != 0, accumulate: index & 2 != 0, around }
    }

    /// What `y` holds before. `// [m, before + n + after]`
    pub(crate) fn held(self, bench: &mut Bench<'_>, m: usize, n: usize) -> Vec<f32> {
        let (before, after) = self.around;
        let mut held = vec![FOREIGN; m * (before + n + after)];
        for row in held.chunks_exact_mut(before + n + after) {
            row[before..before + n].fill_with(|| if self.accumulate { bench.random.number() } else { POISON });
        }
        held
    }
}

pub(crate) fn linear(kernel: &'static str, layout: Layout, sizes: (usize, usize, usize), into: Into) -> Case {
    linear_in_parts(kernel, layout, sizes, into, sizes.1)
}

/// As [`linear`], of a matrix in parts of so many rows.
pub(crate) fn linear_in_parts(
    kernel: &'static str,
    layout: Layout,
    (m, n, k): (usize, usize, usize),
    into: Into,
    parts: usize,
) -> Case {
    linear_against(Against::Seen, kernel, layout, (m, n, k), into, parts)
}

/// What a kernel that rounds is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Against {
    /// The product of what it rounds to.
    Seen,
    /// The product of what it is given.
    Given,
}

/// Inputs and weights as a kernel sees them that uses these features. `// [m, k]`, `// [n, k]`
pub(crate) fn seen(uses: Features, k: usize, x: &[f32], w: &[f32]) -> (Vec<f32>, Vec<f32>) {
    match uses {
        Features { dot: true, .. } => (reference::rounded::int8(k, x), w.to_vec()),
        Features { f16: true, .. } => (reference::rounded::half_blocks(k, x), reference::rounded::half(w)),
        _ => (x.to_vec(), w.to_vec()),
    }
}

/// As [`linear_in_parts`], against one or the other.
pub(crate) fn linear_against(
    against: Against,
    kernel: &'static str,
    layout: Layout,
    (m, n, k): (usize, usize, usize),
    into: Into,
    parts: usize,
) -> Case {
    let parts = parts.next_multiple_of(ROW_GROUP);
    let Into { bias, accumulate, around: (before, after) } = into;
    let flags = format!("{}{}", if bias { " bias" } else { "" }, if accumulate { " accumulate" } else { "" });
    case(
        kernel,
        SUM,
        format!("{layout} m={m} n={n}/{parts} k={k}{flags} around={before}+{after} {against:?}"),
        move |bench| {
            let (shape, y_stride) = (MatrixShape { rows: n, cols: k }, before + n + after);
            let x = bench.random.numbers(m * k, 1.0); // [m, k]
            let (weight, w) = random_matrix(bench, layout, shape, parts)?; // [n, k]
            let bias = bias.then(|| bench.random.numbers(n, 1.0));
            let held = into.held(bench, m, n);
            let mut y = bench.in_place(&held)?;
            let (x_slice, bias_slice) = (bench.input(&x)?, bias.as_ref().map(|bias| bench.input(bias)).transpose()?);
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
            match kernel {
                "matvec" => kernels::matvec::record(&mut bench.recording, &linear)?,
                _ => kernels::matmul::record(&mut bench.recording, &linear)?,
            }
            let shape = reference::matmul::Shape { m, n, k, y_stride, y_offset: before, accumulate };
            let uses = bench.recording.dispatches().last().map(|dispatch| dispatch.kernel.needs()).unwrap_or_default();
            let (x, w) = if against == Against::Seen { seen(uses, k, &x, &w) } else { (x, w) };
            reference::matmul::compute(shape, &x, &w, bias.as_deref(), y.expected());
            y.magnitude = magnitude(&x, &w, k);
            bench.expect(y);
            Ok(())
        },
    )
}
