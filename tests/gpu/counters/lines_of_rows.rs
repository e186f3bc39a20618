//! Cache lines read by kernels of few rows, norms, rotations and embeddings.

use std::collections::BTreeSet;

use ocelli::config::{Activation, KvPrecision, RopePairs};
use ocelli::gpu::{Dispatch, Features, Gpu, Recording, Slice};
use ocelli::kernels::cache::rope_table_at;
use ocelli::kernels::gated_matvec::{self, GatedMatvec};
use ocelli::kernels::gemv::{Gemv, LaneLayouts, Norm, Tuning};
use ocelli::kernels::qkv_matvec::{self, QkvMatvec};
use ocelli::kernels::rms_norm::RmsNorm;
use ocelli::kernels::rope::{self, Rope};
use ocelli::kernels::rope_append::{self, HeadNorms, HeadValues, Heads, RopeAppend, RopeChoice, table_stride};
use ocelli::kernels::{Linear, RowShape, embed_rows, layer_norm, matvec, rms_norm};
use ocelli::layout::{LaneLayout, Layout, MatrixShape};
use ocelli::weights::{RowShard, Weight};

use super::lines::{INPUTS, LAYOUTS, MOST, cache, lines_of, reads, zeros};

/// Rows of the matrices: heads of 128, two of queries and one of keys and of values.
const ROWS: usize = 512;
/// Subgroups of 32 lanes on any device.
const SUBGROUPS: Tuning = Tuning { emulated: 32, ..Tuning::SUBGROUPS };
/// Subgroups of 64 lanes.
const WIDE: Tuning = Tuning { emulated: 64, ..Tuning::WIDE };

/// Known reads that touch more lines than [`MOST`] for each needed line. The same threads read the rest of these lines next.
#[derive(Debug)]
struct Known {
    /// Prefix of the launches' names.
    kernel: &'static str,
    /// Suffix of the buffers' names.
    buffer: &'static str,
    /// Lines touched for each needed line.
    lines: f64,
}

const fn known(kernel: &'static str, buffer: &'static str, lines: f64) -> Known {
    Known { kernel, buffer, lines }
}

const KNOWN: [Known; 3] = [
    // If sixteen lanes share a row, they read two blocks of 256 inputs of two rows, 16 bytes of a line each. Thirty-two lanes would touch
    // one line, but take a sixth more instructions.
    known("matvec q", "w_super_scales", 2.0),
    known("gated_matvec q4_k", "w_super_scales", 2.0),
    known("qkv_matvec q4_k", "w_super_scales", 2.0),
];

fn weight(gpu: &Gpu, layout: Layout) -> Weight {
    let shape = MatrixShape { rows: ROWS, cols: INPUTS };
    let planes = layout.matrix_planes(shape).expect("planes").iter().map(|plane| zeros(gpu, plane.bytes)).collect();
    Weight { layout, shape, parts: vec![RowShard { first_row: 0, rows: ROWS, planes }] }
}

fn numbers(gpu: &Gpu, count: usize) -> Slice {
    zeros(gpu, 4 * count as u64)
}

/// The first recorded launch.
fn launch(record: impl FnOnce(&mut Recording) -> ocelli::error::Result<()>) -> Dispatch {
    let mut recording = Recording::new();
    record(&mut recording).expect("a recording");
    recording.dispatches().next().expect("a launch").clone()
}

/// Inputs and norm weights in the lane layout of hardware.
fn lane_layouts() -> LaneLayouts {
    let lane_layout = LaneLayout::for_lanes(INPUTS);
    LaneLayouts { x: lane_layout, gain: lane_layout, y: LaneLayout::NATURAL }
}

fn norm_of(weight: &Slice) -> Norm<'_> {
    Norm { weight, eps: 1e-5, lane_layout: lane_layouts().gain }
}

fn product(gpu: &Gpu, layout: Layout, m: usize, tuning: Tuning) -> Dispatch {
    let (weight, gain) = (&weight(gpu, layout), &numbers(gpu, INPUTS));
    let (x, y) = (&numbers(gpu, m * INPUTS), &numbers(gpu, m * ROWS));
    let linear = Linear { x, m, weight, bias: None, y, y_stride: ROWS, y_offset: 0, accumulate: false };
    let gemv = Gemv::new((layout, weight.shape), m, 1, true, tuning).with_lane_layouts(lane_layouts());
    launch(|recording| matvec::record(recording, &gemv, &linear, Some(norm_of(gain))))
}

fn gated(gpu: &Gpu, layout: Layout, tuning: Tuning) -> Dispatch {
    let (weight, gain) = (&weight(gpu, layout), &numbers(gpu, INPUTS));
    let (x, y) = (&numbers(gpu, INPUTS), &numbers(gpu, ROWS / 2));
    let norm = Some(norm_of(gain));
    let gemv = Gemv::new((layout, weight.shape), 1, 2, true, tuning).with_lane_layouts(lane_layouts());
    let gated = GatedMatvec { x, m: 1, norm, weight, activation: Activation::Silu, y };
    launch(|recording| gated_matvec::record(recording, &gemv, &gated))
}

fn qkv(gpu: &Gpu, layout: Layout, tuning: Tuning) -> Dispatch {
    let (weight, gain) = (&weight(gpu, layout), &numbers(gpu, INPUTS));
    let heads = Heads { q: 2, kv: 1, dim: 128, pairs: RopePairs::Half };
    let (x, q, cache) = (&numbers(gpu, INPUTS), &numbers(gpu, 256), &cache(gpu, 1, 128, KvPrecision::F16));
    let step = &numbers(gpu, rope_table_at(2) + table_stride(128));
    let gemv = Gemv::new((layout, weight.shape), 1, 2, true, tuning).with_lane_layouts(lane_layouts());
    let norm = norm_of(gain);
    let qkv = QkvMatvec { x, m: 1, norm, weight, bias: None, heads, step, q, q_layout: LaneLayout::NATURAL, cache };
    launch(|recording| qkv_matvec::record(recording, &gemv, &qkv))
}

fn append(gpu: &Gpu, dim: usize, has_norms: bool, precision: KvPrecision) -> Dispatch {
    let heads = Heads { q: 0, kv: 8, dim, pairs: RopePairs::Half };
    let (tokens, stride) = (4, 16 * dim);
    let gain = || numbers(gpu, dim);
    let norms = has_norms.then(|| HeadNorms { q: gain(), k: gain(), eps: 1e-6, values: HeadValues::Plain });
    let (qkv, step) = (&numbers(gpu, tokens * stride), &numbers(gpu, rope_table_at(2) + tokens * table_stride(dim)));
    let cache = &cache(gpu, 8, dim, precision);
    let (q_layout, norms, rope) = (LaneLayout::NATURAL, norms.as_ref(), RopeChoice::ONLY);
    let append = RopeAppend { qkv, stride, tokens, heads, q_layout, norms, rope, step, cache };
    launch(|recording| rope_append::record(recording, &append))
}

fn rotation(gpu: &Gpu, pairs: RopePairs, precision: KvPrecision) -> Dispatch {
    let (tokens, dim) = (64, 64);
    let heads = Heads { q: 16, kv: 16, dim, pairs };
    let (x, stride) = (&numbers(gpu, tokens * 48 * dim), 48 * dim);
    let (q, angles) = (&numbers(gpu, tokens * 16 * dim), Some(&numbers(gpu, tokens * dim)));
    let kv = &[(); 2].map(|()| numbers(gpu, tokens * 16 * dim));
    launch(|recording| {
        rope::record(recording, &Rope { x, stride, tokens, heads, angles, norms: None, q, kv, precision })
    })
}

fn embedding(gpu: &Gpu, layout: Layout) -> Dispatch {
    let (sources, out) = (numbers(gpu, 4), numbers(gpu, 4 * INPUTS));
    launch(|recording| {
        embed_rows::record(
            recording,
            (&weight(gpu, layout), None),
            4,
            &sources,
            &out.clone(),
            (&numbers(gpu, 4 * INPUTS), lane_layouts().x),
        )
    })
}

fn norm(gpu: &Gpu, tuning: Option<rms_norm::Tuning>) -> Dispatch {
    let (x, y, weight, bias) = (numbers(gpu, INPUTS), numbers(gpu, INPUTS), numbers(gpu, INPUTS), numbers(gpu, INPUTS));
    let (rows, width, eps, lane_layout) = (1, INPUTS, 1e-5, lane_layouts().gain);
    let norm = RmsNorm { x: &x, rows, width, eps, weight: &weight, lane_layout, y: &y, adds: false, factor: None };
    launch(|recording| match tuning {
        Some(tuning) => rms_norm::record(recording, tuning, &norm),
        None => layer_norm::record(recording, RowShape { rows, width }, eps, &x, [&weight, &bias], &y),
    })
}

#[test]
fn neighbours_that_read_for_a_few_rows_share_the_lines() {
    let mut table = "lines touched for each that is needed\n".to_owned();
    let mut met = BTreeSet::new();
    let mut check = |name: String, threads: usize, launch: &dyn Fn(&Gpu) -> Dispatch| {
        let most = |buffer: &str| {
            let known = KNOWN.iter().position(|known| name.starts_with(known.kernel) && buffer.ends_with(known.buffer));
            known.map_or(MOST, |known| KNOWN[known].lines)
        };
        let found = reads(threads, launch);
        table += &lines_of(&name, &found, most);
        let read = found.iter().filter(|(_, reads)| reads.lines() > MOST);
        met.extend(read.map(|(buffer, _)| (name.clone(), buffer.clone())));
    };
    let forms = [
        ("in teams", Tuning::HARDWARE),
        ("in subgroups", SUBGROUPS),
        ("in wide subgroups", WIDE),
        ("of integers", Tuning::DOT),
    ];
    for (form, tuning) in forms {
        let threads = tuning.lanes * tuning.lane_groups;
        // Float weights are multiplied in floats.
        let is_kept = |layout: &Layout| !tuning.uses.contains(Features::DOT) || layout.is_quantised();
        for layout in LAYOUTS.into_iter().filter(is_kept) {
            check(format!("matvec {layout} {form}"), threads, &|gpu| product(gpu, layout, 1, tuning));
        }
        check(format!("matvec q4_0, four rows, {form}"), threads, &|gpu| product(gpu, Layout::Q4_0, 4, tuning));
        for layout in [Layout::Q4_0, Layout::Q4K] {
            check(format!("gated_matvec {layout} {form}"), threads, &|gpu| gated(gpu, layout, tuning));
            check(format!("qkv_matvec {layout} {form}"), threads, &|gpu| qkv(gpu, layout, tuning));
        }
    }
    for layout in LAYOUTS {
        check(format!("embed_rows {layout}"), 64, &|gpu| embedding(gpu, layout));
    }
    let in_subgroups = rms_norm::Tuning { uses: Features::SUBGROUPS, emulated: 32 };
    let in_memory = rms_norm::Tuning { uses: Features::NONE, emulated: 0 };
    check("rms_norm".into(), 64, &|gpu| norm(gpu, Some(in_memory)));
    check("rms_norm in subgroups".into(), 64, &|gpu| norm(gpu, Some(in_subgroups)));
    check("layer_norm".into(), 64, &|gpu| norm(gpu, None));
    for precision in [KvPrecision::F32, KvPrecision::F16] {
        check(format!("rope, halves, {precision}"), 64, &|gpu| rotation(gpu, RopePairs::Half, precision));
        check(format!("rope, neighbours, {precision}"), 64, &|gpu| rotation(gpu, RopePairs::Interleaved, precision));
    }
    for precision in KvPrecision::ALL {
        check(format!("rope_append 128 {precision}"), 64, &|gpu| append(gpu, 128, false, precision));
    }
    check("rope_append 256 f16 normed".into(), 64, &|gpu| append(gpu, 256, true, KvPrecision::F16));
    for known in KNOWN {
        let is_met =
            |(name, buffer): &(String, String)| name.starts_with(known.kernel) && buffer.ends_with(known.buffer);
        assert!(met.iter().any(is_met), "{known:?} is no exception any more");
    }
    insta::assert_snapshot!("lines_of_rows", table);
}
