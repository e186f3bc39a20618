//! Products of every layout against sums in `f64`, on every instruction set of this machine.

mod matrix;

use matrix::{BLOCK, Matrix, Random, floats, read};
use ocelli_cpu::native::Machine;
use ocelli_cpu::{Fault, InstructionSet, Job, Layout, Op, Span};

const ADDS_BIAS: u32 = 1;
const ACCUMULATES: u32 = 2;
const FEATURE: u32 = 0x8000_0000;

/// Sizes of a product.
#[derive(Debug, Clone, Copy)]
struct Shape {
    m: usize,
    n: usize,
    k: usize,
}

/// Columns of `y` before and after those of a product, and rows of the whole matrix before its part.
const AROUND: (usize, usize) = (3, 2);
const FIRST_ROW: usize = 5;

/// A product with all its options: bias, sum with the previous content, a part of a wider matrix.
struct Product {
    shape: Shape,
    matrix: Matrix,
    x: Vec<f32>,
    y: Vec<f32>,
    bias: Vec<f32>,
    gain: Vec<f32>,
}

impl Product {
    fn random(layout: Layout, shape: Shape) -> Self {
        let Shape { m, n, k } = shape;
        let mut random = Random((layout as u64) << 32 | (m * n * k) as u64);
        let stride = AROUND.0 + n + AROUND.1;
        Self {
            shape,
            matrix: Matrix::random(layout, n, k, &mut random),
            x: random.numbers(m * k),
            y: random.numbers(m * stride),
            bias: random.numbers(FIRST_ROW + n),
            gain: random.numbers(k),
        }
    }

    fn stride(&self) -> usize {
        AROUND.0 + self.shape.n + AROUND.1
    }

    /// The first `rows` rows of `y` after the launch.
    fn run(&self, machine: &Machine, op: Op, rows: usize) -> Vec<f32> {
        let Shape { n, k, .. } = self.shape;
        let [x, y] = [(&self.x, k), (&self.y, self.stride())].map(|(all, width)| floats(machine, &all[..rows * width]));
        let (bias, gain) = (floats(machine, &self.bias), floats(machine, &self.gain));
        let [m, n, k4, blocks] = [rows, n, k / 4, self.matrix.blocks].map(|size| size as u32);
        let (stride, flags) = (self.stride() as u32, ADDS_BIAS | ACCUMULATES);
        let after = [stride, AROUND.0 as u32, flags, FIRST_ROW as u32];
        let (params, gain) = match op {
            Op::Matvec { has_norm, .. } => {
                let own = [m, n, k4, blocks, n.div_ceil(4), 1e-5_f32.to_bits()];
                ([&own[..], &after, &[0]].concat(), Some(gain).filter(|_| has_norm))
            }
            _ => ([&[m, n, k4, blocks][..], &after].concat(), None),
        };
        let mut job = Job::default();
        let planes = self.matrix.upload(machine);
        job.launch(op, &params, [1, 1, 1], [x, y, bias].into_iter().chain(gain).chain(planes));
        machine.run(&job, &mut None).expect("a product");
        read(machine, y)
    }

    /// The inputs of a row as the product multiplies them: times the norm's weight, rounded if the operation rounds.
    fn seen(&self, op: Op, row: usize) -> Vec<f32> {
        let x = &self.x[row * self.shape.k..][..self.shape.k];
        let is_normed = matches!(op, Op::Matvec { has_norm: true, .. });
        let gained = x.iter().zip(&self.gain).map(|(x, gain)| if is_normed { x * gain } else { *x }).collect();
        let rounds = matches!(op, Op::Matvec { rounds: true, .. } | Op::Matmul { rounds: true, .. });
        if rounds && !matches!(self.matrix.layout, Layout::F32 | Layout::F16) { rounded(gained) } else { gained }
    }

    /// The number that a launch should have written for these inputs, and the usual size of the terms of its sum.
    fn expected(&self, op: Op, seen: &[f32], row: usize, column: usize) -> [f64; 2] {
        let Shape { k, .. } = self.shape;
        let x = &self.x[row * k..][..k];
        let square: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let is_normed = matches!(op, Op::Matvec { has_norm: true, .. });
        let root = if is_normed { 1.0 / (square / k as f64 + 1e-5).sqrt() } else { 1.0 };
        let term = |at: usize| f64::from(seen[at]) * root * self.matrix.at(column, at);
        let sum: f64 = (0..k).map(term).sum();
        let size: f64 = (0..k).map(|at| term(at).powi(2)).sum::<f64>().sqrt();
        let before = self.y[row * self.stride() + AROUND.0 + column];
        [sum + f64::from(self.bias[FIRST_ROW + column]) + f64::from(before), size]
    }

    fn check(&self, op: Op, label: &str, y: &[f32]) {
        let seen: Vec<_> = (0..self.shape.m).map(|row| self.seen(op, row)).collect();
        for (at, (&found, &before)) in y.iter().zip(&self.y).enumerate() {
            let (row, column) = (at / self.stride(), at % self.stride());
            if column < AROUND.0 || column >= AROUND.0 + self.shape.n {
                assert_eq!(found.to_bits(), before.to_bits(), "{label}: a column that is not the product's");
                continue;
            }
            let [expected, size] = self.expected(op, &seen[row], row, column - AROUND.0);
            let difference = (f64::from(found) - expected).abs();
            assert!(difference <= 2e-5 * size + 1e-6, "{label}: {row} {column} is {found}, not {expected}");
        }
    }
}

/// Numbers rounded to 8-bit integers with a scale for each block of 32: the reciprocal of
/// `127 / peak`, truncated to a multiple of a quarter of the power of two in the peak's reciprocal.
fn rounded(mut x: Vec<f32>) -> Vec<f32> {
    for block in x.chunks_mut(BLOCK) {
        let peak = block.iter().fold(0.0_f32, |peak, x| peak.max(x.abs()));
        let unit = 0.25 / f64::from(f32::from_bits(peak.to_bits() & 0x7f80_0000));
        let inverse = ((127.0 / f64::from(peak) / unit).floor() * unit) as f32;
        block.iter_mut().for_each(|x| *x = 1.0 / inverse * (*x * inverse).round_ties_even());
    }
    x
}

fn each(test: impl Fn(InstructionSet, Layout)) {
    for set in InstructionSet::detected() {
        Layout::ALL.into_iter().for_each(|layout| test(set, layout));
    }
}

/// Inputs of a row: whole super-blocks for layouts that have them, else also a part of a block.
fn widths(layout: Layout) -> &'static [usize] {
    if matches!(layout, Layout::Q6K | Layout::Q5K | Layout::Q4K) { &[256, 1280] } else { &[4, 32, 100, 132, 1056] }
}

#[test]
fn products_are_those_of_f64_and_do_not_depend_on_threads_or_rows() {
    each(|set, layout| {
        let machines = [1, 2, 3].map(|threads| Machine::new(set, threads).expect("threads"));
        for &k in widths(layout) {
            for (m, n) in [(1, 13), (3, 8), (8, 33), (13, 5)] {
                let product = Product::random(layout, Shape { m, n, k });
                for rounds in [false, true] {
                    for has_norm in [false, true] {
                        check(&machines, &product, Op::Matvec { layout, has_norm, rounds }, &[1, 2, m]);
                    }
                    check(&machines, &product, Op::Matmul { layout, rounds }, &[1, m]);
                }
            }
        }
        let product = Product::random(layout, Shape { m: 131, n: 8, k: widths(layout)[1] });
        for rounds in [false, true] {
            check(&machines, &product, Op::Matmul { layout, rounds }, &[1, 7, 97]);
        }
    });
}

/// Checks a product on machines of several threads, and for fewer rows.
fn check(machines: &[Machine], product: &Product, op: Op, fewer: &[usize]) {
    let [m, stride] = [product.shape.m, product.stride()];
    let results = machines.iter().map(|machine| product.run(machine, op, m)).collect::<Vec<_>>();
    let label = format!("{} {op:?} {:?}", machines[0].set().name(), product.shape);
    product.check(op, &label, &results[0]);
    assert!(results.iter().all(|result| *result == results[0]), "{label}: threads");
    for &rows in fewer.iter().filter(|&&rows| rows <= m) {
        let alone = product.run(&machines[0], op, rows);
        assert!(alone[..] == results[0][..rows * stride], "{label}: {rows} rows");
    }
}

#[test]
fn infinite_inputs_and_tiny_ones_are_told_in_8_bits() {
    each(|set, layout| {
        if matches!(layout, Layout::F32 | Layout::F16) {
            return;
        }
        let machine = Machine::new(set, 1).expect("threads");
        let mut product = Product::random(layout, Shape { m: 3, n: 8, k: 512 });
        product.x[512 + 300] = f32::INFINITY;
        product.x[1024..].fill(1e-38);
        for op in [Op::Matvec { layout, has_norm: false, rounds: true }, Op::Matmul { layout, rounds: true }] {
            let y = product.run(&machine, op, 3);
            let row = |row: usize| &y[row * product.stride() + AROUND.0..][..8];
            assert!(row(0).iter().all(|y| y.is_finite()), "{set:?} {op:?}");
            assert!(row(1).iter().all(|y| y.is_nan()), "{set:?} {op:?}");
            for (column, &y) in row(2).iter().enumerate() {
                let expected = product.y[2 * product.stride() + AROUND.0 + column] + product.bias[FIRST_ROW + column];
                assert!((y - expected).abs() < 1e-6, "{set:?} {op:?}");
            }
        }
    });
}

#[test]
fn outliers_and_tiny_inputs_are_exact_and_infinite_ones_are_told() {
    const ROWS: [f32; 6] = [1.0, 1e-25, 1e-38, 1e-42, 1e30, 0.0];
    const WRONG: [f32; 4] = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::from_bits(u32::MAX)];
    let k = 512;
    each(|set, layout| {
        let machine = Machine::new(set, 2).expect("threads");
        let mut product = Product::random(layout, Shape { m: ROWS.len() + WRONG.len(), n: 12, k });
        product.y.fill(0.0);
        product.bias.fill(0.0);
        for (row, unit) in product.x.chunks_exact_mut(k).zip(ROWS) {
            row.iter_mut().for_each(|x| *x *= unit);
            row[45] *= 1e5;
            row[300] *= -1e4;
        }
        for (row, wrong) in product.x.chunks_exact_mut(k).skip(ROWS.len()).zip(WRONG) {
            row[301] = wrong;
        }
        for op in [Op::Matvec { layout, has_norm: false, rounds: false }, Op::Matmul { layout, rounds: false }] {
            let y = product.run(&machine, op, product.shape.m);
            for (row, y) in y.chunks_exact(product.stride()).enumerate() {
                let y = &y[AROUND.0..][..product.shape.n];
                if row >= ROWS.len() {
                    assert!(y.iter().all(|y| !y.is_finite()), "{set:?} {op:?} {row}: {y:?}");
                    continue;
                }
                for (column, &found) in y.iter().enumerate() {
                    let (x, expected) =
                        (product.seen(op, row), product.expected(op, &product.seen(op, row), row, column)[0]);
                    let bound = float_error(&x, |at| product.matrix.at(column, at));
                    let difference = (f64::from(found) - expected).abs();
                    assert!(difference <= bound, "{set:?} {op:?} {row} {column}: {found}, not {expected}, by {bound}");
                }
            }
        }
    });
}

/// The error of a sum that floats may have: 2^-22 of the largest input of a block times the largest weight, for each term. Inputs below 2^-104 may be
/// wrong by 2^-126.
fn float_error(x: &[f32], weight: impl Fn(usize) -> f64) -> f64 {
    let largest = (0..x.len()).map(|at| weight(at).abs()).fold(0.0, f64::max);
    let peak = |block: &[f32]| block.iter().fold(0.0, |peak: f64, &x| peak.max(f64::from(x).abs()));
    x.chunks(BLOCK).map(|block| 32.0 * largest * (peak(block) * 2.0_f64.powi(-22) + 2.0_f64.powi(-126))).sum()
}

#[test]
fn gates_are_those_of_f64() {
    each(|set, layout| {
        let machine = Machine::new(set, 2).expect("threads");
        let (m, n, k) = (5, 12, 256);
        let product = Product::random(layout, Shape { m, n: 2 * n, k });
        let op = Op::GatedMatvec { layout, has_norm: false, rounds: false };
        let (x, y) = (floats(&machine, &product.x), floats(&machine, &vec![0.0; m * n]));
        let params = [m as u32, k as u32 / 4, product.matrix.blocks as u32, n as u32 / 4, 0, 0, 0];
        let mut job = Job::default();
        job.launch(op, &params, [1, 1, 1], [x, y].into_iter().chain(product.matrix.upload(&machine)));
        machine.run(&job, &mut None).expect("a product");
        let plain = |row: usize, column: usize| -> f64 {
            (0..k).map(|at| f64::from(product.x[row * k + at]) * product.matrix.at(column, at)).sum()
        };
        for (at, found) in read(&machine, y).into_iter().enumerate() {
            let [gate, up] = [plain(at / n, at % n), plain(at / n, n + at % n)];
            let expected = gate / (1.0 + (-gate.max(-80.0)).exp()) * up;
            let op = Op::Matmul { layout, rounds: false };
            let size = product.expected(op, &product.seen(op, at / n), at / n, at % n)[1].max(1.0);
            let difference = (f64::from(found) - expected).abs();
            assert!(difference <= 5e-5 * size * size + 1e-5, "{set:?} {layout:?} {at}: {found}, not {expected}");
        }
    });
}

#[test]
fn embeddings_are_the_numbers_of_their_rows() {
    each(|set, layout| {
        let machine = Machine::new(set, 2).expect("threads");
        let k = widths(layout)[0].max(100);
        let mut random = Random(7);
        let parts = [8, 8, 5].map(|rows| Matrix::random(layout, rows, k, &mut random));
        let features = random.numbers(2 * k);
        let sources = [0_u32, 20, FEATURE | 1, 9, 16, 7, 21];
        let out = floats(&machine, &vec![-1.0; sources.len() * k]); // [tokens, k]
        let spans = [matrix::buffer(&machine, bytemuck::cast_slice(&sources)), floats(&machine, &features), out];
        let tokens = sources.len() as u32;
        let params = [tokens, k as u32 / 4, parts[0].blocks as u32, 0, 21, 1, 8, 0, 0.5_f32.to_bits()];
        let op = Op::EmbedRows { layout, parts: 3, is_scaled: true };
        let planes = parts.iter().flat_map(|part| part.upload(&machine));
        let mut job = Job::default();
        job.launch(op, &params, [1, 1, 1], spans.into_iter().chain(planes));
        machine.run(&job, &mut None).expect("rows");
        for (at, found) in read(&machine, out).into_iter().enumerate() {
            let (source, column) = (sources[at / k], at % k);
            let expected = match source {
                21 => -1.0,
                source if source & FEATURE != 0 => features[k + column].into(),
                source => 0.5 * parts[source as usize / 8].at(source as usize % 8, column),
            };
            let difference = (f64::from(found) - expected).abs();
            assert!(difference <= 1e-6 * (1.0 + expected.abs()), "{set:?} {layout:?} {at}: {found}, not {expected}");
        }
    });
}

#[test]
fn bindings_that_are_too_short_are_faults() {
    each(|set, layout| {
        let machine = Machine::new(set, 2).expect("threads");
        let (m, n, k) = (4, 8, 2 * 256);
        let product = Product::random(layout, Shape { m, n, k });
        let spans = [&product.x, &product.y, &product.bias].map(|numbers| floats(&machine, numbers));
        let spans: Vec<Span> = spans.into_iter().chain(product.matrix.upload(&machine)).collect();
        let stride = product.stride() as u32;
        let params = [m as u32, n as u32, k as u32 / 4, (k / BLOCK) as u32, stride, 3, ADDS_BIAS, FIRST_ROW as u32];
        let matvec = [&params[..4], &[2, 0], &params[4..], &[0]].concat();
        let ops = [false, true].map(|rounds| {
            let many = (Op::Matmul { layout, rounds }, params.to_vec());
            [many, (Op::Matvec { layout, has_norm: false, rounds }, matvec.clone())]
        });
        for (op, params) in ops.iter().flatten() {
            let run = |params: &[u32], spans: &[Span]| {
                let mut job = Job::default();
                job.launch(*op, params, [1, 1, 1], spans.iter().copied());
                machine.run(&job, &mut None)
            };
            assert_eq!(run(params, &spans), Ok(()), "{op:?}");
            for short in 0..spans.len() {
                let mut spans = spans.clone();
                // Columns of y after the last one that is written may be missing.
                let spare = if short == 1 { u64::from(stride - 3) - n as u64 } else { 0 };
                spans[short].bytes -= 4 * (spare + 1);
                assert_eq!(run(params, &spans), Err(Fault::OutOfBounds), "{op:?} {short}");
            }
            for (word, size) in (0..params.len()).flat_map(|word| [(word, 1 << 20), (word, u32::MAX)]) {
                let mut params = params.clone();
                params[word] = size;
                // Any result but a read of other memory: some words are no sizes.
                let _ = run(&params, &spans);
            }
        }
    });
}
