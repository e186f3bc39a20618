//! Every kernel against its reference: one table of kernel x sizes x layout, in the spirit of ggml's `test-backend-ops`.
//!
//! A new kernel needs a function that makes a [`Case`] from sizes, in a file beside this one, and rows here.
//! `OCELLI_KERNEL=rope` runs the rows of one kernel, `OCELLI_LIST=1` prints every row.
#![allow(clippy::expect_used, reason = "a test that cannot go on has failed")]

mod alone;
mod attention;
mod bench;
mod cache;
mod case;
#[path = "../common/mod.rs"]
mod common;
mod export;
mod gemv;
mod pointwise;
mod products;
mod sampling;
mod specials;
mod step;
mod tiers;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use attention::{Scores, Shape, Source, attention};
use bench::{Bench, Difference};
use cache::{Tokens, stored};
use case::{Case, EIGHT_BITS, HALVES, SUM};
use export::Export;
use ocelli::config::{KvPrecision, RopePairs};
use ocelli::gpu::Features;
use ocelli::kernels::TuningGroup;
use ocelli::kernels::rms_norm::Tuning as NormTuning;
use ocelli::weights::layout::Layout;
use pointwise::{
    ACTIVATIONS, activation, glu, patch_merge, patch_merge_part, patchify, patchify_part, rms_norm, rms_norm_as, rope,
};
use products::{Against, Into, embed_rows, embed_rows_in_parts, linear, linear_against, linear_in_parts};
use tiers::tiers;

const WIDTHS: [usize; 12] = [1, 3, 31, 32, 33, 63, 64, 65, 127, 128, 129, 588];
/// More than 32768 workgroups of 64 threads, and not a whole number of them: grids fold here.
const FOLDED: usize = 32_768 * 64 + 77;

fn pointwise_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for kind in 0..ACTIVATIONS.len() {
        rows.extend(WIDTHS.map(|len| activation(len, kind, 6.0)));
        rows.extend([1e-3, 1.0, 30.0, 90.0, 1e4, 1e18, 1e30].map(|size| activation(129, kind, size)));
        rows.extend([1, 3, 33].map(|rows| glu(rows, 65, kind, 8.0)));
        rows.push(glu(5, 129, kind, 200.0));
    }
    rows.extend(WIDTHS.map(|width| glu(4, width, 0, 4.0)));
    rows.extend([activation(FOLDED, 0, 6.0), glu(FOLDED / 129 + 1, 129, 0, 6.0)]);
    for width in [4, 12, 32, 36, 64, 68, 124, 128, 132, 252, 256, 260, 588, 3072] {
        rows.extend([1, 3, 33].map(|rows| rms_norm(rows, width, 1e-5, 3.0)));
    }
    // Where eps is all there is, and where squares are large.
    rows.extend([rms_norm(2, 128, 1e-6, 1e-6), rms_norm(2, 128, 1e-5, 1e12), rms_norm(5000, 4, 1e-5, 1.0)]);
    let subgroups = NormTuning { uses: Features::SUBGROUPS, emulated: 0 };
    let emulated = [4, 8, 16, 32, 64, 128].map(|emulated| NormTuning { uses: Features::NONE, emulated });
    for tuning in [subgroups].into_iter().chain(emulated) {
        rows.extend([(1, 4), (3, 260), (5, 3072)].map(|sizes| rms_norm_as(Some(tuning), sizes, 1e-5, 3.0)));
    }
    rows
}

fn moving_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for pairs in [RopePairs::Half, RopePairs::Interleaved] {
        for dim in [4, 24, 32, 40, 64, 80, 96, 128, 160, 256] {
            rows.extend([
                rope(1, (4, 1), dim, pairs, 0),
                rope(33, (5, 1), dim, pairs, 4),
                rope(3, (3, 3), dim, pairs, 0),
            ]);
        }
    }
    rows.push(rope(FOLDED / (6 * 16) + 1, (4, 2), 32, RopePairs::Half, 0));
    for (grid, merge, channels) in [
        ((1, 1), 2, 3),
        ((1, 3), 1, 48),
        ((3, 1), 2, 64),
        ((5, 7), 2, 33),
        ((2, 3), 4, 5),
        ((3, 2), 3, 127),
        ((7, 5), 2, 65),
    ] {
        rows.push(patch_merge(grid.0, grid.1, merge, channels));
    }
    rows.extend([
        patch_merge(33, 31, 2, 513),
        patch_merge_part((5, 7), 2, 33, 6..23),
        patch_merge_part((3, 2), 3, 5, 5..6),
    ]);
    for (grid, side) in
        [((1, 1), 2), ((1, 3), 14), ((3, 1), 16), ((5, 7), 3), ((2, 3), 32), ((7, 5), 14), ((1, 1), 255)]
    {
        rows.push(patchify(grid.0, grid.1, side));
    }
    rows.extend([patchify(65, 55, 14), patchify_part((5, 7), 14, 9..26), patchify_part((3, 5), 3, 14..15)]);
    for layout in Layout::ALL.into_iter().filter(|layout| layout.is_k_quant()) {
        for (tokens, hidden) in [(1, 256), (33, 512), (5, 768)] {
            rows.extend([embed_rows(layout, tokens, hidden, 31, 0), embed_rows(layout, tokens, hidden, 130, 7)]);
        }
    }
    for layout in Layout::ALL.into_iter().filter(|layout| !layout.is_k_quant()) {
        for (tokens, hidden) in [(1, 4), (3, 36), (33, 64), (5, 132), (70, 588)] {
            rows.extend([embed_rows(layout, tokens, hidden, 31, 0), embed_rows(layout, tokens, hidden, 130, 7)]);
        }
    }
    rows.push(embed_rows(Layout::Q4_0, FOLDED / 32 + 1, 128, 130, 7));
    rows.push(embed_rows(Layout::Q4_0, 33, 36, 131_072, 7));
    rows
}

fn cache_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for precision in KvPrecision::ALL {
        let tokens = [(1, 0), (1, 31), (3, 127), (33, 0), (65, 31)];
        for (tokens, past) in tokens {
            for (kv_heads, head_dim) in [(1, 4), (3, 44), (2, 64), (1, 256)] {
                rows.push(stored(Tokens { tokens, past, kv_heads, head_dim }, precision, 1.0));
            }
        }
        // Where scales and halves are near their least and their largest, and beyond.
        let shape = Tokens { tokens: 5, past: 3, kv_heads: 2, head_dim: 128 };
        rows.extend([1e-2, 300.0, 6e4, 7e6, 1e9, 1e38].map(|size| stored(shape, precision, size)));
        // More heads than one dimension of a grid takes here.
        let shape = Tokens { tokens: 32_768 / 3 + 7, past: 1, kv_heads: 3, head_dim: 12 };
        rows.push(stored(shape, precision, 1.0));
    }
    rows
}

fn linear_rows() -> Vec<Case> {
    // Of coprime lengths, so that every n and m meets many k, and all of these every kind of result.
    const INPUTS: [usize; 13] = [4, 12, 28, 32, 36, 60, 64, 68, 100, 124, 128, 132, 588];
    let mut rows = Vec::new();
    for layout in Layout::ALL.into_iter().filter(|layout| layout.is_k_quant()) {
        for (index, n) in WIDTHS.into_iter().enumerate() {
            for (kernel, m) in
                [("matvec", 1), ("matvec", 3), ("matvec", 4), ("matmul", 1), ("matmul", 33), ("matmul", 70)]
            {
                rows.push(linear(kernel, layout, (m, n, [256, 512, 768][(index + m) % 3]), Into::turn(rows.len() / 3)));
            }
        }
        let all = Into::turn(7);
        rows.extend([linear("matmul", layout, (33, 65, 3072), all), linear("matvec", layout, (1, 129, 3072), all)]);
        rows.push(linear("matvec", layout, (3, 5, 9216), Into::PLAIN));
    }
    for layout in Layout::ALL.into_iter().filter(|layout| !layout.is_k_quant()) {
        for n in WIDTHS {
            for (kernel, m) in [1, 2, 3, 4, 5]
                .map(|m| ("matvec", m))
                .into_iter()
                .chain([1, 2, 3, 4, 5, 31, 33, 70].map(|m| ("matmul", m)))
            {
                let index = rows.len();
                rows.push(linear(kernel, layout, (m, n, INPUTS[index % 13]), Into::turn(index / 3)));
            }
        }
        let all = Into::turn(7);
        rows.extend([linear("matmul", layout, (70, 588, 588), all), linear("matmul", layout, (33, 65, 3072), all)]);
        rows.extend([
            linear("matvec", layout, (1, 129, 3072), all),
            linear("matvec", layout, (3, 5, 9216), Into::PLAIN),
        ]);
        // More groups of four outputs than one dimension of a grid takes here.
        rows.push(linear("matvec", layout, (2, 32_768 * 4 + 131, 4), all));
    }
    rows
}

/// Matrices that no binding holds at once, cut anywhere between groups of rows.
fn rows_in_parts() -> Vec<Case> {
    let mut rows = Vec::new();
    for layout in Layout::ALL {
        for (n, part) in [(5, 4), (129, 64), (130, 12), (588, 256)] {
            let (index, k) = (rows.len(), if layout.is_k_quant() { 512 } else { 100 });
            rows.push(linear_in_parts("matvec", layout, (index % 4 + 1, n, k), Into::turn(index), part));
            rows.push(linear_in_parts("matmul", layout, (33, n, k), Into::turn(index + 5), part));
            let hidden = if layout.is_k_quant() { 256 } else { 36 };
            rows.push(embed_rows_in_parts(layout, 33, hidden, (n, part), index % 2 * 7));
        }
    }
    rows
}

fn attention_rows() -> Vec<Case> {
    const HEADS: [(usize, usize); 6] = [(1, 1), (3, 1), (4, 2), (5, 1), (3, 3), (8, 2)];
    const F32: Source = Source::Cache(KvPrecision::F32);
    let causal = |q, past| ((q, past + q), Some(past), F32);
    let modes = [
        causal(1, 0),
        causal(33, 0),
        causal(1, 31),
        causal(5, 31),
        causal(1, 127),
        causal(31, 127),
        ((65, 65), None, Source::Fused),
        ((3, 129), None, F32),
        ((1, 1), None, Source::Fused),
        ((33, 33), Some(0), Source::Fused),
    ];
    let mut rows = Vec::new();
    for head_dim in [4, 24, 32, 40, 64, 80, 96, 128, 160, 256] {
        for (tokens, past, source) in modes {
            let heads = HEADS[(rows.len() + rows.len() / modes.len()) % HEADS.len()];
            rows.push(attention(Shape { tokens, heads, head_dim, past }, source, Scores::Mild));
        }
    }
    for heads in HEADS {
        for (tokens, past, source) in modes {
            rows.push(attention(Shape { tokens, heads, head_dim: 12, past }, source, Scores::Mild));
        }
    }
    for precision in [KvPrecision::F16, KvPrecision::Int8] {
        for head_dim in [4, 12, 40, 64, 96, 128, 160, 256] {
            for (tokens, past, source) in modes {
                if let Source::Cache(_) = source {
                    let heads = HEADS[(rows.len() + rows.len() / modes.len()) % HEADS.len()];
                    let shape = Shape { tokens, heads, head_dim, past };
                    rows.push(attention(shape, Source::Cache(precision), Scores::Mild));
                }
            }
        }
    }
    // Widths whose scale, head_dim^-0.5, is exact: so are the scores.
    for head_dim in [4, 16, 64, 256] {
        for (tokens, past, source) in [causal(33, 0), causal(2, 127), ((65, 65), None, Source::Fused)] {
            let shape = Shape { tokens, heads: (4, 2), head_dim, past };
            rows.extend([Scores::Steep, Scores::Sunken].map(|scores| attention(shape, source, scores)));
        }
    }
    rows
}

/// Prompts in ways that optional features allow. Kernels of a step are told their tuning in rows of their own.
fn tier_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (turn, kernel_config) in tiers(TuningGroup::Matmul).into_iter().enumerate() {
        for (index, layout) in Layout::ALL.into_iter().enumerate() {
            let k = if layout.is_k_quant() { 768 } else { [588, 100, 128][(index + turn) % 3] };
            let sizes = [(3, 5, k), (33, 65, k)];
            let (seen, given) = if kernel_config.features.f16 { (HALVES, HALVES) } else { (SUM, EIGHT_BITS) };
            rows.extend(
                sizes.map(|sizes| linear("matmul", layout, sizes, Into::turn(index)).on(kernel_config).within(seen)),
            );
            let (sizes, into) = ((9, 130, 2 * k), Into::turn(index));
            rows.push(
                linear_against(Against::Given, "matmul", layout, sizes, into, 130).on(kernel_config).within(given),
            );
        }
    }
    for (turn, kernel_config) in tiers(TuningGroup::Attention).into_iter().enumerate() {
        for (index, head_dim) in [4, 40, 64, 128].into_iter().enumerate() {
            let heads = [(5, 1), (4, 2), (3, 3)][(index + turn) % 3];
            let cache = Source::Cache(KvPrecision::ALL[(index + turn) % 3]);
            let modes = [((33, 70), Some(37), cache), ((1, 128), Some(127), cache), ((65, 65), None, Source::Fused)];
            for (tokens, past, source) in modes {
                rows.push(attention(Shape { tokens, heads, head_dim, past }, source, Scores::Mild).on(kernel_config));
            }
        }
    }
    rows
}

fn table() -> Vec<Case> {
    let rows =
        [pointwise_rows(), moving_rows(), cache_rows(), linear_rows(), rows_in_parts(), attention_rows(), tier_rows()];
    rows.into_iter().flatten().chain(gemv::rows()).chain(step::rows()).chain(sampling::rows()).collect()
}

/// Runs a row. The error says what is wrong.
fn judge(case: &Case, seed: u64, export: &mut Export) -> Result<Difference, String> {
    let mut bench = Bench::new(common::gpu(), seed, case.kernel_config);
    (case.run)(&mut bench).map_err(|error| error.to_string())?;
    if bench.kernels().next().is_none() || !bench.kernels().all(|kernel| kernel == case.kernel) {
        return Err(format!("ran {:?}", bench.kernels().collect::<Vec<_>>()));
    }
    export.take(case, &bench).map_err(|error| error.to_string())?;
    bench.finish(case.tolerance)
}

#[derive(Default)]
struct Tally {
    cases: usize,
    numbers: usize,
    worst: f64,
    time: Duration,
}

#[test]
fn every_kernel_equals_its_reference() {
    let only = std::env::var("OCELLI_KERNEL").ok();
    let list = std::env::var_os("OCELLI_LIST").is_some();
    let mut tallies: BTreeMap<(&str, String), Tally> = BTreeMap::new();
    let (mut failures, mut export) = (Vec::new(), Export::default());
    let mut rows = table();
    let features = tiers::features(common::gpu());
    rows.retain(|case| features.contains(case.uses) && only.as_ref().is_none_or(|only| only == case.kernel));
    for (index, case) in rows.iter().enumerate() {
        let start = Instant::now();
        let result = judge(case, index as u64 + 1, &mut export);
        if list {
            println!("{} {}: {result:?} {:?}", case.kernel, case.sizes, start.elapsed());
        }
        let tally = tallies.entry((case.kernel, case.uses.name())).or_default();
        tally.cases += 1;
        match result {
            Ok(difference) => {
                tally.worst = tally.worst.max(difference.worst);
                tally.numbers += difference.checked;
            }
            Err(fault) => failures.push(format!("{} {}: {fault}", case.kernel, case.sizes)),
        }
        tally.time += start.elapsed();
    }
    for ((kernel, tier), Tally { cases, numbers, worst, time }) in &tallies {
        println!("{kernel:<14} {tier:<14} {cases:>4} cases {numbers:>9} numbers, worst {worst:.1e}, {time:.1?}");
    }
    if only.is_none() && features == tiers::ALL {
        export.write(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernel-table"));
    }
    assert!(!rows.is_empty(), "no kernel is called {only:?}");
    assert!(failures.is_empty(), "{} cases failed:\n{}", failures.len(), failures.join("\n"));
}
