//! Benchmark of sampling on this device: time from logits to the next token. `cargo bench --bench sampling -- [FILTER]`.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark panics on failure and prints")]

use std::time::Instant;

use ocelli::gpu::{Gpu, Purpose, Recording};
use ocelli::kernels::sample::Sampling;
use ocelli::sampling::{Past, SamplingOptions};

/// Draws of one submission.
const DRAWS: usize = 20;
/// Submissions; the median counts.
const RUNS: usize = 9;

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let gpu = pollster::block_on(Gpu::open()).expect("a device");
    println!("device: {} ({}, {})\n", gpu.report().name, gpu.report().backend, gpu.report().driver);
    println!("| vocabulary | logits | options | ms |\n|---|---|---|---|");
    let plain = SamplingOptions::default();
    let options = [
        ("greedy", SamplingOptions { temperature: 0.0, ..plain.clone() }),
        ("temperature", SamplingOptions { temperature: 0.7, ..plain.clone() }),
        ("penalties", SamplingOptions { frequency_penalty: 0.5, ..plain.clone() }),
        ("top_k 40", SamplingOptions { top_k: Some(40), ..plain.clone() }),
        ("top_p 0.9", SamplingOptions { top_p: 0.9, ..plain.clone() }),
        ("min_p 0.05", SamplingOptions { min_p: 0.05, ..plain.clone() }),
        ("top_k 40, top_p 0.9", SamplingOptions { top_k: Some(40), top_p: 0.9, ..plain.clone() }),
    ];
    for vocab in [32_768, 131_072] {
        for (shape, size) in [("peaked", 4.0), ("flat", 0.1)] {
            let mut seed = 1u32;
            let mut number = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
            };
            let logits: Vec<f32> = (0..vocab).map(|_| (0..4).map(|_| number()).sum::<f32>() * size).collect();
            let logits = gpu.upload("logits", Purpose::Activations, &logits).expect("logits").all();
            let state = gpu.upload("state", Purpose::Activations, &[0u32; 4]).expect("state").all();
            for (name, options) in &options {
                let row = format!("| {vocab} | {shape} | {name} |");
                if !row.contains(&filter) {
                    continue;
                }
                let sampling = Sampling::new(&gpu, vocab, options, Past::default()).expect("options");
                let mut recording = Recording::new();
                for _ in 0..DRAWS {
                    sampling.record(&mut recording, &logits, &state).expect("record");
                }
                let run = || {
                    let start = Instant::now();
                    gpu.run("bench", &recording).expect("run");
                    pollster::block_on(gpu.read(&state)).expect("read");
                    start.elapsed().as_secs_f64() * 1e3 / DRAWS as f64
                };
                run();
                let mut times: Vec<f64> = (0..RUNS).map(|_| run()).collect();
                times.sort_by(f64::total_cmp);
                println!("{row} {:.3} |", times[RUNS / 2]);
            }
        }
    }
}
