//! Benchmark of the kernels on this device: time, GB/s next to a measured copy, GFLOP/s. `cargo bench --bench kernels -- [FILTER]`.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark panics on failure and prints")]

use std::time::{Duration, Instant};

use ocelli::config::KvPrecision;
use ocelli::gpu::{Allocator, Buffer, Gpu, Purpose, Recording, Slice};
use ocelli::kernels::attention::{self, Attention, Heads, KeysValues, Shape};
use ocelli::kernels::attention_step::{self, AttentionStep};
use ocelli::kernels::cache::{Cache, PAGE};
use ocelli::kernels::cases::{Harness, random_matrix, step_words};
use ocelli::kernels::gemv::{self, Gemv, LaneLayouts};
use ocelli::kernels::{Linear, Scoring, matmul, matvec};
use ocelli::layout::{LaneLayout, Layout, MatrixShape};
use ocelli::weights::Weight;

/// Time limit for a row of the table.
const PATIENCE: Duration = Duration::from_millis(400);
/// Launches of a run, so that the round trip to the device is a small part of it: of a step's kernels, and of products of many rows.
const LAUNCHES: usize = 48;
const LONG_LAUNCHES: usize = 8;
/// Bytes of weights that a run alternates between: more than caches hold.
const MORE_THAN_CACHES: u64 = 128 << 20;

/// One row of the table.
struct Row {
    name: String,
    bytes: f64,
    flops: f64,
    seconds: f64,
}

/// Median seconds of one of the equal launches that `recording` consists of.
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
    times[times.len() / 2] / recording.commands().len() as f64
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

/// Inputs and a matrix. `// [m, k]`, `// [n, k]`
fn factors(gpu: &Gpu, layout: Layout, m: usize, n: usize, k: usize) -> (Slice, Weight) {
    let mut harness = Harness::new(gpu, 1);
    let (weight, _) = random_matrix(&mut harness, layout, MatrixShape { rows: n, cols: k }, n).expect("weight");
    let x = harness.random.numbers(m * k, 1.0);
    (gpu.upload("x", Purpose::Activations, &x).expect("x").all(), weight)
}

/// A normed row of a step times a matrix, with each tuning that the device can use.
fn gemv(gpu: &Gpu, layout: Layout, n: usize, k: usize, show: &dyn Fn(&Row)) {
    let (x, weight) = factors(gpu, layout, 1, n, k);
    let planes: u64 = weight.parts.iter().flat_map(|part| &part.planes).map(|plane| plane.bytes).sum();
    let others = (1..MORE_THAN_CACHES.div_ceil(planes)).map(|_| factors(gpu, layout, 1, n, k).1);
    let weights: Vec<Weight> = std::iter::once(weight).chain(others).collect();
    let (gain, y) = (zeros(gpu, k).all(), zeros(gpu, n).all());
    let lane_layout = LaneLayout::of(gpu.kernel_config().class.lanes_share_rows(), k);
    for tuning in gemv::Tuning::ALL.into_iter().filter(|tuning| gpu.features().contains(tuning.uses)) {
        let mut recording = Recording::new();
        let norm = gemv::Norm { weight: &gain, eps: 1e-5, lane_layout };
        let lane_layouts = LaneLayouts { x: lane_layout, gain: lane_layout, y: LaneLayout::NATURAL };
        let (x, y, fused) =
            (&x, &y, Gemv::new((layout, weights[0].shape), 1, 1, true, tuning).with_lane_layouts(lane_layouts));
        for weight in weights.iter().cycle().take(LAUNCHES) {
            let linear = Linear { x, m: 1, weight, bias: None, y, y_stride: n, y_offset: 0, accumulate: false };
            matvec::record(&mut recording, &fused, &linear, Some(norm)).expect("record");
        }
        let seconds = time(gpu, &recording, &y.buffer.slice(0..4));
        let gemv::Tuning { lanes, lane_groups, row_groups, uses, .. } = tuning;
        let name = format!("matvec {layout} n={n} k={k} {lanes}x{lane_groups} row_groups={row_groups} {}", uses.name());
        show(&Row { name, bytes: (planes + 8 * k as u64) as f64, flops: 2.0 * (n * k) as f64, seconds });
    }
}

/// A step's attention, with each tuning that the device can use.
fn attention_step(gpu: &Gpu, (tokens, q_heads, kv_heads, head_dim): (usize, usize, usize, usize), show: &dyn Fn(&Row)) {
    let planes = KvPrecision::F16.head_bytes(head_dim).into_iter();
    let planes: Vec<_> = planes.map(|bytes| zeros(gpu, tokens * kv_heads * bytes as usize / 4).all()).collect();
    let (cache, width) = (Cache { precision: KvPrecision::F16, planes }, q_heads * head_dim);
    let q = Heads { buffer: zeros(gpu, width).all(), stride: width, offset: 0 };
    let (out, partials) = (zeros(gpu, width).all(), zeros(gpu, 4).all());
    let pages: Vec<u32> = (0..tokens.div_ceil(PAGE) as u32).collect();
    let step = gpu.upload("step", Purpose::Activations, &step_words(tokens - 1, 0, &pages, &[])).expect("step").all();
    for tuning in attention_step::Tuning::ALL.into_iter().filter(|tuning| gpu.features().contains(tuning.uses)) {
        let mut recording = Recording::new();
        let launch = AttentionStep {
            apart: false,
            q: &q,
            q_layout: attention_step::query_layout(head_dim, KvPrecision::F16, q_heads / kv_heads, tuning),
            gates: None,
            cache: &cache,
            step: &step,
            m: 1,
            scoring: Scoring::of_heads(head_dim),
            q_heads,
            kv_heads,
            head_dim,
            splits: 1,
            out: &out,
            lane_layout: LaneLayout::NATURAL,
            partials: &partials,
            tuning,
        };
        for _ in 0..LAUNCHES {
            attention_step::record(&mut recording, &launch).expect("record");
        }
        let seconds = time(gpu, &recording, &out.buffer.slice(0..4));
        let attention_step::Tuning { threads, positions, uses, .. } = tuning;
        let (heads, tier) = (format!("{q_heads}/{kv_heads}"), uses.name());
        let name = format!("attention_step kv={tokens} heads={heads} dim={head_dim} {threads}x{positions} {tier}");
        let (bytes, flops) = (4 * tokens * kv_heads * head_dim, 4 * tokens * q_heads * head_dim);
        show(&Row { name, bytes: bytes as f64, flops: flops as f64, seconds });
    }
}

/// Many rows times a matrix, with each tuning that the device can use.
fn linear(gpu: &Gpu, layout: Layout, [m, n, k]: [usize; 3], show: &dyn Fn(&Row)) {
    let (x, weight) = factors(gpu, layout, m, n, k);
    let y = zeros(gpu, m * n).all();
    let planes: u64 = weight.parts.iter().flat_map(|part| &part.planes).map(|plane| plane.bytes).sum();
    let bytes = planes as f64 + 4.0 * (m * (n + k)) as f64;
    let (config, features) = (gpu.kernel_config(), gpu.features());
    for tuning in matmul::Tuning::ALL.into_iter().filter(|it| it.suits(config) && features.contains(it.uses)) {
        let mut recording = Recording::new();
        let linear =
            Linear { x: &x, m, weight: &weight, bias: None, y: &y, y_stride: n, y_offset: 0, accumulate: false };
        for _ in 0..LONG_LAUNCHES {
            matmul::record(&mut recording, tuning, &linear).expect("record");
        }
        let seconds = time(gpu, &recording, &y.buffer.slice(0..4));
        let name = format!(
            "matmul {layout} m={m} n={n} k={k} {}x{} of {} {}",
            tuning.tile_rows(),
            tuning.tile_columns(),
            tuning.threads,
            tuning.uses.name()
        );
        show(&Row { name, bytes, flops: 2.0 * (m * n * k) as f64, seconds });
    }
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
    let kv = KeysValues::Rows { k: &k, v: &v, precision: KvPrecision::F32 };
    let tuning = attention::Tuning::of(gpu.kernel_config());
    let shape = Shape { q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past };
    let scoring = Scoring::of_heads(head_dim);
    attention::record(&mut recording, &Attention { q: &q, gates: None, kv, out: &out, shape, scoring, tuning })
        .expect("record");
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
    for layout in [Layout::Q4_0, Layout::Q8_0, Layout::F16] {
        for m in [16, 64, 128, 256, 512] {
            for [n, k] in [[3072, 4096], [3072, 9216], [6144, 3072], [18432, 3072]] {
                if format!("matmul {layout} m={m} n={n} k={k}").contains(&filter) {
                    linear(&gpu, layout, [m, n, k], &show);
                }
            }
        }
    }
    for shape in [(1, 128, 8, 2, 128), (1, 1024, 8, 2, 128), (64, 64, 8, 2, 128), (1024, 1024, 8, 8, 64)] {
        if "attention".contains(&filter) {
            show(&attend(&gpu, shape));
        }
    }
    if "matvec".contains(&filter) {
        for (n, k) in [(3072, 4096), (3072, 9216), (18432, 3072)] {
            gemv(&gpu, Layout::Q4_0, n, k, &show);
        }
    }
    for tokens in [128, 1024] {
        if "attention_step".contains(&filter) {
            attention_step(&gpu, (tokens, 8, 2, 128), &show);
        }
    }
}
