//! Cases of the kernels that read a weight matrix.

use ocelli::kernels::{self, Linear};
use ocelli::weights::layout::{Layout, MatrixShape};
use ocelli::weights::quant;
use ocelli::{Result, reference};

use crate::bench::{Bench, FOREIGN, POISON};
use crate::case::{Case, EXACT, SUM, case};

/// The numbers a layout keeps of `values`. `// [rows, cols]`
fn stored(layout: Layout, MatrixShape { rows, cols }: MatrixShape, values: &[f32]) -> Result<Vec<f32>> {
    let mut planes = vec![Vec::new(); layout.planes(&[rows, cols]).expect("a matrix").len()];
    quant::encode_rows(layout, cols, values, &mut planes).expect("small finite numbers");
    quant::decode(layout, &[rows, cols], &planes)
}

pub(crate) fn embed_rows(layout: Layout, tokens: usize, hidden: usize, vocabulary: usize, features: usize) -> Case {
    let sizes = format!("{layout} tokens={tokens} hidden={hidden} vocabulary={vocabulary} features={features}");
    // Every layout's numbers are exact in f32: at most 8 bits times the 11 of a scale.
    case("embed_rows", EXACT, sizes, move |bench| {
        let shape = MatrixShape { rows: vocabulary, cols: hidden };
        let values = bench.random.numbers(vocabulary * hidden, 1.0); // [vocabulary, hidden]
        let rows = bench.random.numbers(features * hidden, 1.0); // [features, hidden]
        let source = |bench: &mut Bench<'_>, index: usize| match index {
            0 => vocabulary as u32 - 1,
            i if features > 0 && i % 3 == 1 => kernels::embed_rows::FEATURE | (bench.random.bits() % features as u32),
            _ => bench.random.bits() % vocabulary as u32,
        };
        let sources: Vec<u32> = (0..tokens).map(|index| source(bench, index)).collect();
        let mut out = bench.output(tokens * hidden)?;
        let weight = kernels::upload_weight(bench.gpu, layout, shape, &values)?;
        let (sources_slice, rows_slice) = (bench.words(&sources)?, bench.input(&rows)?);
        let recording = &mut bench.recording;
        kernels::embed_rows::record(recording, &weight, tokens, &sources_slice, &rows_slice, &out.slice)?;
        let embedding = stored(layout, shape, &values)?;
        reference::embed_rows::compute(hidden, &embedding, &sources, &rows, out.expected());
        bench.expect(out);
        Ok(())
    })
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
}

pub(crate) fn linear(kernel: &'static str, layout: Layout, (m, n, k): (usize, usize, usize), into: Into) -> Case {
    let Into { bias, accumulate, around: (before, after) } = into;
    let flags = format!("{}{}", if bias { " bias" } else { "" }, if accumulate { " accumulate" } else { "" });
    case(kernel, SUM, format!("{layout} m={m} n={n} k={k}{flags} around={before}+{after}"), move |bench| {
        let (shape, y_stride) = (MatrixShape { rows: n, cols: k }, before + n + after);
        let x = bench.random.numbers(m * k, 1.0); // [m, k]
        let values = bench.random.numbers(n * k, 1.0); // [n, k]
        let bias = bias.then(|| bench.random.numbers(n, 1.0));
        let mut held = vec![FOREIGN; m * y_stride]; // [m, y_stride]
        for row in held.chunks_exact_mut(y_stride) {
            row[before..before + n].fill_with(|| if accumulate { bench.random.number() } else { POISON });
        }
        let mut y = bench.in_place(&held)?;
        let weight = kernels::upload_weight(bench.gpu, layout, shape, &values)?;
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
        let w = stored(layout, shape, &values)?;
        let shape = reference::matmul::Shape { m, n, k, y_stride, y_offset: before, accumulate };
        reference::matmul::compute(shape, &x, &w, bias.as_deref(), y.expected());
        bench.expect(y);
        Ok(())
    })
}
