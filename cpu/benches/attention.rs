//! Attention of many rows on the processor: multiply-adds a second over all patches of a picture, and over a prompt.
//! `OCELLI_ISA` and `OCELLI_THREADS` choose.

use std::hint::black_box;
use std::time::Instant;

use ocelli_cpu::native::Machine;
use ocelli_cpu::{Held, InstructionSet, Job, Op, Scores, Source, Span};

/// Rows of queries, and of keys.
const ROWS: usize = 1024;
const HEADS: usize = 8;

fn main() {
    let threads = std::env::var("OCELLI_THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let wanted = std::env::var("OCELLI_ISA").unwrap_or_default();
    let sets = InstructionSet::detected();
    for set in sets.iter().filter(|set| wanted.is_empty() || set.name().eq_ignore_ascii_case(&wanted)) {
        for (head_dim, causal) in [(64, false), (72, false), (128, true)] {
            measure(*set, threads, head_dim, causal);
        }
    }
}

fn measure(set: InstructionSet, threads: usize, head_dim: usize, causal: bool) {
    let machine = Machine::new(set, threads).expect("threads");
    let width = HEADS * head_dim;
    let buffer = |factor: f32| {
        let numbers: Vec<u8> = (0..ROWS * width).flat_map(|i| ((i % 251) as f32 * factor).to_le_bytes()).collect();
        let span = Span { at: machine.alloc(numbers.len() as u64).expect("memory"), bytes: numbers.len() as u64 };
        machine.write(span.at, &numbers).expect("a buffer");
        span
    };
    let [q, out, k, v] = [0.004, 0.0, 0.004, 0.01].map(buffer);
    let [rows, stride4] = [ROWS, width / 4].map(|size| size as u32);
    let scale = (head_dim as f32).powf(-0.5).to_bits();
    let params = [rows, rows, 1, 0, u32::from(causal), scale, stride4, 0, stride4, 0, stride4, 0, stride4, 0];
    let op = Op::Attention {
        head_dim: head_dim as u16,
        source: Source::Rows,
        held: Held::F32,
        is_gated: false,
        scores: Scores { is_windowed: false, is_capped: false },
    };
    let mut job = Job::default();
    job.launch(op, &params, [1, HEADS as u32, 1], [q, out, k, v].into_iter());
    let seconds = (0..7)
        .map(|_| {
            let start = Instant::now();
            machine.run(black_box(&job), &mut None).expect("a job");
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    let products = 4.0 * (ROWS * ROWS * width) as f64 / if causal { 2.0 } else { 1.0 };
    println!("{} {threads} heads of {head_dim}, causal {causal}: {:.1} GFLOP/s", set.name(), products / seconds / 1e9);
}
