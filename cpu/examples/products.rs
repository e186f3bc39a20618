//! Speed of products: `cargo run --release -p ocelli-cpu --example products -- [few] [many] [scalar]`.
//! Prints the best of several runs: gigabytes of weights a second for few rows, gigaflops a second for many.

#[path = "../tests/matrix/mod.rs"]
mod matrix;

use std::time::{Duration, Instant};

use matrix::{Matrix, Random, floats};
use ocelli_cpu::native::Machine;
use ocelli_cpu::{InstructionSet, Job, Layout, Op};

const LAYOUTS: [Layout; 6] = [Layout::Q4_0, Layout::Q8_0, Layout::Q4K, Layout::Q6K, Layout::F16, Layout::F32];
/// Rows of the matrix, and inputs of a row.
const SHAPE: (usize, usize) = (6144, 2048);

/// Seconds of a product of `m` rows: the best of several runs.
fn seconds(machine: &Machine, matrix: &Matrix, m: usize, op: Op) -> f64 {
    let (n, k) = SHAPE;
    let x = floats(machine, &Random(1).numbers(m * k)); // [m, k]
    let y = floats(machine, &vec![0.0; m * n]); // [m, n]
    let planes = matrix.upload(machine);
    let blocks = matrix.blocks as u32;
    let (m, n, k4) = (m as u32, n as u32, k as u32 / 4);
    let params = match op {
        Op::Matmul { .. } => vec![m, n, k4, blocks, n, 0, 0, 0],
        _ => vec![m, n, k4, blocks, n / 4, 0, n, 0, 0, 0, 0],
    };
    let mut job = Job::default();
    job.launch(op, &params, [1, 1, 1], [x, y, x].into_iter().chain(planes.iter().copied()));
    let mut best = Duration::MAX;
    let (start, mut checked) = (Instant::now(), None);
    while start.elapsed() < Duration::from_millis(400) {
        let before = Instant::now();
        machine.run(&job, &mut checked).expect("a product");
        best = best.min(before.elapsed());
    }
    [x, y].iter().chain(&planes).for_each(|span| machine.free(span.at));
    best.as_secs_f64()
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
    let (n, k) = SHAPE;
    for set in InstructionSet::detected() {
        if set == InstructionSet::SCALAR && !is_wanted("scalar") {
            continue;
        }
        for layout in LAYOUTS {
            let matrix = Matrix::random(layout, n, k, &mut Random(2));
            for threads in [1, 2] {
                let machine = Machine::new(set, threads).expect("threads");
                print!("{:8} {layout:?} {threads} threads:", set.name());
                if is_wanted("few") {
                    for m in [1, 4, 8] {
                        let rate = matrix.bytes() as f64
                            / seconds(&machine, &matrix, m, Op::Matvec { layout, has_norm: false });
                        print!(" {m} rows {:.1} GB/s", rate / 1e9);
                    }
                }
                if is_wanted("many") {
                    for m in [64, 256] {
                        let rate = (2 * m * n * k) as f64 / seconds(&machine, &matrix, m, Op::Matmul { layout });
                        print!(" {m} rows {:.0} GFLOP/s", rate / 1e9);
                    }
                }
                println!();
            }
        }
    }
}
