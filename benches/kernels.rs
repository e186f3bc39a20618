//! Kernels on this device: time, GB/s against a measured copy, GFLOP/s. `cargo bench --bench kernels -- [FILTER]`.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark that cannot go on has failed, and it prints")]

use std::time::{Duration, Instant};

use ocelli::gpu::{Buffer, Gpu, Purpose, Recording, Slice};
use ocelli::kernels::attention::{self, Attention, Heads, KeysValues};
use ocelli::kernels::{Linear, upload_weight};
use ocelli::weights::layout::{Layout, MatrixShape};

/// How long each row of the table may take.
const PATIENCE: Duration = Duration::from_millis(1500);

/// One row of the table.
struct Row {
    name: String,
    bytes: f64,
    flops: f64,
    seconds: f64,
}

/// Median seconds of one run of `recording`.
fn time(gpu: &Gpu, recording: &Recording, probe: &Slice) -> f64 {
    let run = || {
        let start = Instant::now();
        gpu.run("bench", recording).expect("run");
        pollster::block_on(gpu.read(probe)).expect("read");
        start.elapsed().as_secs_f64()
    };
    run();
    let begun = Instant::now();
    let mut times = vec![run()];
    while begun.elapsed() < PATIENCE || times.len() < 3 {
        times.push(run());
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn zeros(gpu: &Gpu, numbers: usize) -> Buffer {
    gpu.alloc("bench", Purpose::Activations, numbers as u64 * 4).expect("alloc")
}

fn copy(gpu: &Gpu) -> Row {
    let bytes = 64 << 20;
    let (from, to) = (zeros(gpu, bytes / 4), zeros(gpu, bytes / 4));
    let mut recording = Recording::new();
    recording.copy(from.all(), to.all());
    let seconds = time(gpu, &recording, &to.slice(0..4));
    Row { name: "copy 64 MiB (read + write)".into(), bytes: 2.0 * bytes as f64, flops: 0.0, seconds }
}

fn linear(gpu: &Gpu, layout: Layout, (m, n, k): (usize, usize, usize)) -> Row {
    let mut seed = 1u32;
    let mut number = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = (0..n * k).map(|_| number()).collect();
    let weight = upload_weight(gpu, layout, MatrixShape { rows: n, cols: k }, &values).expect("weight");
    let x: Vec<f32> = (0..m * k).map(|_| number()).collect();
    let x = gpu.upload("x", Purpose::Activations, &x).expect("x").all();
    let y = zeros(gpu, m * n).all();
    let mut recording = Recording::new();
    let product = Linear { x: &x, m, weight: &weight, bias: None, y: &y, y_stride: n, y_offset: 0, accumulate: false };
    product.record(&mut recording).expect("record");
    let planes: u64 = weight.parts.iter().flat_map(|part| &part.planes).map(|plane| plane.bytes).sum();
    let seconds = time(gpu, &recording, &y.buffer.slice(0..4));
    let bytes = planes as f64 + 4.0 * (m * (n + k)) as f64;
    Row { name: format!("linear {layout} m={m} n={n} k={k}"), bytes, flops: 2.0 * (m * n * k) as f64, seconds }
}

fn attend(gpu: &Gpu, (q_tokens, kv_tokens, q_heads, kv_heads, head_dim): (usize, usize, usize, usize, usize)) -> Row {
    let rows = |tokens: usize, heads: usize| Heads {
        buffer: zeros(gpu, tokens * heads * head_dim).all(),
        stride: heads * head_dim,
        offset: 0,
    };
    let (q, k, v) = (rows(q_tokens, q_heads), rows(kv_tokens, kv_heads), rows(kv_tokens, kv_heads));
    let out = zeros(gpu, q_tokens * q_heads * head_dim).all();
    let causal_past = (q_tokens < kv_tokens).then_some(kv_tokens - q_tokens);
    let mut recording = Recording::new();
    let kv = KeysValues::Rows { k: &k, v: &v };
    let shape = Attention { q: &q, kv, out: &out, q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past };
    attention::record(&mut recording, &shape).expect("record");
    let seconds = time(gpu, &recording, &out.buffer.slice(0..4));
    let name = format!("attention q={q_tokens} kv={kv_tokens} heads={q_heads}/{kv_heads} dim={head_dim}");
    let flops = 4.0 * (q_tokens * kv_tokens * q_heads * head_dim) as f64;
    Row { name, bytes: 8.0 * (kv_tokens * kv_heads * head_dim) as f64, flops, seconds }
}

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let gpu = pollster::block_on(Gpu::open()).expect("a device");
    println!("device: {} ({}, {})\n", gpu.report().name, gpu.report().backend, gpu.report().driver);
    println!("| kernel | ms | GB/s | GFLOP/s |\n|---|---|---|---|");
    let show = |row: &Row| {
        let Row { name, bytes, flops, seconds } = row;
        println!("| {name} | {:.3} | {:.2} | {:.2} |", seconds * 1e3, bytes / seconds / 1e9, flops / seconds / 1e9);
    };
    show(&copy(&gpu));
    let products =
        [(1, 1536, 1024), (1, 6144, 1024), (1, 1024, 3072), (64, 1536, 1024), (64, 6144, 1024), (64, 1024, 3072)];
    for layout in [Layout::Q4_0, Layout::Q8_0, Layout::F16] {
        for shape in products {
            let (m, n, k) = shape;
            if format!("linear {layout} m={m} n={n} k={k}").contains(&filter) {
                show(&linear(&gpu, layout, shape));
            }
        }
    }
    for shape in [(1, 128, 8, 2, 128), (1, 1024, 8, 2, 128), (64, 64, 8, 2, 128), (1024, 1024, 8, 8, 64)] {
        if "attention".contains(&filter) {
            show(&attend(&gpu, shape));
        }
    }
}
