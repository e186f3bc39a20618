//! Cases of the kernels that multiply a few rows by a matrix and do more in the same launch.

use ocelli::config::{KvPrecision, RopePairs};
use ocelli::gpu::Features;
use ocelli::kernels::TuningGroup;
use ocelli::kernels::gated_matvec::GatedMatvec;
use ocelli::kernels::gemv::{Norm, Tuning};
use ocelli::kernels::matvec::Matvec;
use ocelli::kernels::qkv_matvec::QkvMatvec;
use ocelli::kernels::rope_append::Heads;
use ocelli::weights::layout::{Layout, MatrixShape};
use ocelli::{Result, kernels, reference};

use crate::bench::Bench;
use crate::cache::twin;
use crate::case::{Case, SUM, case};
use crate::pointwise::ACTIVATIONS;
use crate::products::{Into, magnitude, random_matrix};
use crate::step::{NewCache, Table, Turning};
use crate::tiers::tiers;

/// Threads divided in ways that matter: as for hardware, as for software, with and without a rest.
pub(crate) const TUNINGS: [Tuning; 4] = [
    Tuning::HARDWARE,
    Tuning::SOFTWARE,
    Tuning { lanes: 32, lane_groups: 8, row_groups: 2, uses: Features::NONE, emulated: 0 },
    Tuning { lanes: 3, lane_groups: 5, row_groups: 4, uses: Features::NONE, emulated: 0 },
];

const EPS: f32 = 1e-5;

/// Whether a kernel rounds its inputs to 8-bit integers.
fn rounds(layout: Layout, tuning: Tuning) -> bool {
    tuning.uses.dot && layout.is_quantised()
}

/// Inputs, the norm's weight if there is one, and what the product sees of the inputs. `// [m, k]`, `// [k]`, `// [m, k]`
fn normed(
    bench: &mut Bench<'_>,
    (m, k): (usize, usize),
    norm: bool,
    rounds: bool,
) -> (Vec<f32>, Option<Vec<f32>>, Vec<f32>) {
    let x = bench.random.numbers(m * k, 3.0);
    let seen = |x: &[f32]| if rounds { reference::rounded::int8(k, x) } else { x.to_vec() };
    if !norm {
        let h = seen(&x);
        return (x, None, h);
    }
    let weight: Vec<f32> = (0..k).map(|_| 1.5 + bench.random.number()).collect();
    let mut h = vec![0.0; m * k];
    if rounds {
        // The norm's weight comes before rounding, the root mean square after it.
        let gained: Vec<f32> = x.chunks_exact(k).flat_map(|x| x.iter().zip(&weight).map(|(x, w)| x * w)).collect();
        reference::rms_norm::divide(EPS, k, &x, &seen(&gained), &mut h);
    } else {
        reference::rms_norm::compute(EPS, &x, &weight, &mut h);
    }
    (x, Some(weight), h)
}

/// Every layout is multiplied by its own inputs: of whole super-blocks, or of any length.
fn inputs(layout: Layout, index: usize) -> usize {
    if layout.is_k_quant() {
        [256, 512, 768][index % 3]
    } else {
        [4, 12, 28, 32, 36, 96, 100, 124, 260, 588][index % 10]
    }
}

/// Every launch here is a pipeline of its own, and compiling is what takes the time: sizes go round, not every one meets every other.
pub(crate) fn rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (at, layout) in Layout::ALL.into_iter().enumerate() {
        let heads = |dim, pairs| Heads { q: 3, kv: 1 + at % 2, dim, pairs };
        for (turn, m) in [1, 2 + at % 3, 5 + at % 4].into_iter().enumerate() {
            let (index, tuning) = (at + turn, TUNINGS[(at + turn) % 4]);
            // The last tuning unrolls the most: few rows are enough for it.
            let m = if (at + turn) % 4 == 3 { m.min(2) } else { m };
            let (k, into) = (inputs(layout, 3 * at + turn), Into::turn(index));
            rows.extend([1, 65, 132].map(|n| matvec(layout, (m, n, k), index % 3 != 2, into, tuning)));
        }
        // More rows than a workgroup sees, and a row as long as they come.
        let k = inputs(layout, at);
        rows.push(matvec(layout, (9, 33, k), true, Into::turn(7), Tuning::HARDWARE));
        rows.push(matvec(layout, (1, 5, 9216), true, Into::PLAIN, Tuning::SOFTWARE));
        rows.extend([4, 132].map(|n| gated(layout, (1, n, 3072), true, (0, Tuning::HARDWARE))));
        rows.push(gated(layout, (1 + at % 4, 68, k), at % 2 == 0, (at % 3, TUNINGS[1 + at % 2])));
        let cache = [KvPrecision::F32, KvPrecision::F16][at % 2];
        // More planes take more bindings than every device has.
        if layout.plane_units().len() <= 2 {
            rows.push(qkv(layout, (1, k), heads(64, RopePairs::Half), (cache, false), Tuning::HARDWARE));
            let odd = heads([8, 24, 40, 128][at % 4], [RopePairs::Interleaved, RopePairs::Half][at / 4 % 2]);
            rows.push(qkv(layout, (1 + at % 5, k), odd, (cache, !layout.is_quantised()), TUNINGS[1 + at % 3]));
        }
    }
    rows.extend(lane_rows());
    rows.extend(dot_rows());
    // More slots than one dimension of a grid takes here.
    let single = Tuning { lanes: 4, lane_groups: 1, row_groups: 1, uses: Features::NONE, emulated: 0 };
    rows.push(matvec(Layout::Q4_0, (2, 32_768 * 4 + 131, 4), true, Into::turn(7), single));
    rows.push(gated(Layout::Q4_0, (1, 32_768 * 4 + 132, 4), true, (0, single)));
    rows
}

/// Subgroups of the device's own size, whatever the tuning takes it for, and emulated ones of every size: as planned, other than
/// planned, larger than the workgroup, and the last of them not full.
fn lane_tunings() -> Vec<Tuning> {
    let emulated = |lanes, lane_groups, row_groups, emulated| Tuning {
        lanes,
        lane_groups,
        row_groups,
        uses: Features::NONE,
        emulated,
    };
    let own = tiers(TuningGroup::Gemv).into_iter().map(Tuning::of);
    let emulated = [
        emulated(4, 16, 2, 4),
        emulated(8, 8, 1, 8),
        emulated(16, 4, 2, 16),
        emulated(32, 2, 1, 32),
        emulated(64, 2, 2, 64),
        emulated(128, 1, 1, 128),
        emulated(32, 2, 2, 8),
        emulated(16, 3, 2, 32),
        emulated(32, 1, 2, 64),
    ];
    own.chain(emulated).collect()
}

fn lane_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (index, tuning) in lane_tunings().into_iter().enumerate() {
        let layout = |turn: usize| Layout::ALL[(index + turn) % Layout::ALL.len()];
        // Rows are barriers where lanes are emulated, and each is long to compile.
        let m = if tuning.emulated > 0 { 1 + index % 2 } else { [8, 2, 3][index % 3] };
        for (turn, (m, n)) in [(1, 65), (m, 36)].into_iter().enumerate() {
            let layout = layout(3 * turn);
            let product = (m, n, inputs(layout, index + 4 * turn));
            rows.push(matvec(layout, product, (index + turn) % 3 != 2, Into::turn(index + turn), tuning));
        }
        let product = (1 + index % 2, 68, inputs(layout(5), index + 2));
        rows.push(gated(layout(5), product, index % 2 == 0, (index % 3, tuning)));
        let layout = [Layout::Q4_0, Layout::Q8_0, Layout::F32, Layout::F16, Layout::Q4_64][index % 5];
        let pairs = [RopePairs::Half, RopePairs::Interleaved][index / 2 % 2];
        let heads = Heads { q: 3, kv: 1, dim: [64, 24][index % 2], pairs };
        let cache = ([KvPrecision::F32, KvPrecision::F16][index % 2], index % 3 == 0 && !layout.is_quantised());
        rows.push(qkv(layout, (2 - index % 2, inputs(layout, index)), heads, cache, tuning));
    }
    // Inputs of all lengths meet subgroups, and rows as long as they come.
    for (index, layout) in Layout::ALL.into_iter().enumerate() {
        let tuning = Tuning { row_groups: 1 + index % 2, ..Tuning::SUBGROUPS };
        let sizes = if index % 3 == 0 { (4, 5, inputs(layout, index)) } else { (1, 129, 3072) };
        rows.push(matvec(layout, sizes, true, Into::turn(index), tuning));
    }
    rows
}

/// In 8-bit integers, every layout that is; with as many lanes, and rows, as make a row of inputs come in pieces.
fn dot_rows() -> Vec<Case> {
    let many = Tuning { lanes: 32, lane_groups: 2, row_groups: 4, ..Tuning::DOT };
    let tunings = [Tuning::DOT, Tuning { lane_groups: 8, ..Tuning::DOT }, Tuning::DOT_SOFTWARE, many];
    let mut rows = Vec::new();
    for (at, layout) in Layout::ALL.into_iter().filter(|layout| layout.is_quantised()).enumerate() {
        for (turn, m) in [1, 2 + at % 3].into_iter().enumerate() {
            let (tuning, k) = (tunings[(at + turn) % 4], inputs(layout, 3 * at + turn));
            rows.extend([65, 132].map(|n| matvec(layout, (m, n, k), at % 3 != 2, Into::turn(at + turn), tuning)));
        }
        rows.push(matvec(layout, (1, 9, 16_384), at % 2 == 0, Into::PLAIN, tunings[at % 3]));
        rows.push(matvec(layout, (9, 33, 1536), true, Into::turn(7), tunings[(at + 1) % 3]));
        rows.push(gated(layout, (1 + at % 2 * 7, 68, inputs(layout, at)), at % 2 == 0, (at % 3, tunings[at % 3])));
        if layout.plane_units().len() <= 2 {
            let (cache, heads) = (KvPrecision::F16, Heads { q: 3, kv: 1, dim: 64, pairs: RopePairs::Half });
            rows.push(qkv(layout, (1 + at % 2, inputs(layout, at)), heads, (cache, false), tunings[at % 3]));
        }
    }
    rows
}

fn matvec(layout: Layout, (m, n, k): (usize, usize, usize), norm: bool, into: Into, tuning: Tuning) -> Case {
    let sizes = format!("{layout} m={m} n={n} k={k} norm={norm} {into:?} {tuning:?}").replace("Tuning ", "");
    case("matvec", SUM, sizes, move |bench| {
        let Into { bias, accumulate, around: (before, after) } = into;
        let y_stride = before + n + after;
        let (x, gain, h) = normed(bench, (m, k), norm, rounds(layout, tuning));
        let (weight, w) = random_matrix(bench, layout, MatrixShape { rows: n, cols: k }, n.next_multiple_of(4))?; // [n, k]
        let bias = bias.then(|| bench.random.numbers(n, 1.0));
        let held = into.held(bench, m, n);
        let mut y = bench.in_place(&held)?;
        let slice =
            |bench: &Bench<'_>, numbers: &Option<Vec<f32>>| numbers.as_ref().map(|n| bench.input(n)).transpose();
        let (x_slice, gain, bias_slice) = (bench.input(&x)?, slice(bench, &gain)?, slice(bench, &bias)?);
        let product = Matvec {
            x: &x_slice,
            m,
            norm: gain.as_ref().map(|weight| Norm { weight, eps: EPS }),
            weight: &weight,
            bias: bias_slice.as_ref(),
            y: &y.slice,
            y_stride,
            y_offset: before,
            accumulate,
            tuning,
        };
        product.record(&mut bench.recording)?;
        let shape = reference::matmul::Shape { m, n, k, y_stride, y_offset: before, accumulate };
        reference::matmul::compute(shape, &h, &w, bias.as_deref(), y.expected());
        y.magnitude = magnitude(&h, &w, k);
        bench.expect(y);
        Ok(())
    })
    .using(tuning.uses)
}

fn gated(layout: Layout, (m, n, k): (usize, usize, usize), norm: bool, (kind, tuning): (usize, Tuning)) -> Case {
    let (activation, twin) = ACTIVATIONS[kind];
    let sizes = format!("{layout} m={m} n={n} k={k} norm={norm} {activation:?} {tuning:?}").replace("Tuning ", "");
    case("gated_matvec", SUM, sizes, move |bench| {
        let (x, gain, h) = normed(bench, (m, k), norm, rounds(layout, tuning));
        let shape = MatrixShape { rows: 2 * n, cols: k };
        let (weight, w) = random_matrix(bench, layout, shape, 2 * n)?; // [2 * n, k]
        assert!(kernels::gated_matvec::can_fuse(&weight, norm, 8), "eight bindings do");
        let mut y = bench.output(m * n)?;
        let (x_slice, gain) = (bench.input(&x)?, gain.map(|gain| bench.input(&gain)).transpose()?);
        let norm = gain.as_ref().map(|weight| Norm { weight, eps: EPS });
        let product = GatedMatvec { x: &x_slice, m, norm, weight: &weight, activation, y: &y.slice, tuning };
        kernels::gated_matvec::record(&mut bench.recording, &product)?;
        reference::gated_matvec::compute((n, k), twin, &h, &w, y.expected());
        // Both factors are sums.
        y.magnitude = magnitude(&h, &w, k).powi(2);
        bench.expect(y);
        Ok(())
    })
    .using(tuning.uses)
}

fn qkv(
    layout: Layout,
    (m, k): (usize, usize),
    heads: Heads,
    (precision, has_bias): (KvPrecision, bool),
    tuning: Tuning,
) -> Case {
    let sizes = format!("{layout} m={m} k={k} {heads:?} {precision} bias={has_bias} {tuning:?}").replace("Tuning ", "");
    case("qkv_matvec", SUM, sizes, move |bench| run_qkv(bench, (layout, m, k), heads, (precision, has_bias), tuning))
        .using(tuning.uses)
}

fn run_qkv(
    bench: &mut Bench<'_>,
    (layout, m, k): (Layout, usize, usize),
    heads: Heads,
    (precision, has_bias): (KvPrecision, bool),
    tuning: Tuning,
) -> Result<()> {
    let n = (heads.q + 2 * heads.kv) * heads.dim;
    let (x, gain, h) = normed(bench, (m, k), true, rounds(layout, tuning));
    let (weight, w) = random_matrix(bench, layout, MatrixShape { rows: n, cols: k }, n)?; // [n, k]
    assert!(kernels::qkv_matvec::can_fuse(&weight, heads, precision, has_bias, 8), "the matrix and the heads suit");
    let bias = has_bias.then(|| bench.random.numbers(n, 1.0));
    let table = Table::new(bench, heads.dim, Turning { position: 5, table_first: 3, rows: m + 4, exact: false });
    let step = bench.words(&table.words())?;
    let mut q = bench.output(m * heads.q * heads.dim)?;
    let mut cache = NewCache::new(bench, precision, heads, 5 + m, false)?;
    let (x_slice, gain) = (bench.input(&x)?, bench.input(&gain.unwrap_or_default())?);
    let bias_slice = bias.as_ref().map(|bias| bench.input(bias)).transpose()?;
    let product = QkvMatvec {
        x: &x_slice,
        m,
        norm: Norm { weight: &gain, eps: EPS },
        weight: &weight,
        bias: bias_slice.as_ref(),
        heads,
        step: &step,
        q: &q.slice,
        cache: &cache.bound(),
        tuning,
    };
    kernels::qkv_matvec::record(&mut bench.recording, &product)?;
    let twins = crate::step::twin_heads(heads);
    let words = cache.words();
    reference::qkv_matvec::compute(
        twins,
        (&h, k),
        (&w, bias.as_deref()),
        table.step(),
        q.expected(),
        (twin(precision), words),
    );
    let magnitude = magnitude(&h, &w, k);
    q.magnitude = 2.5 * magnitude;
    bench.expect(q);
    cache.expect(bench, magnitude);
    Ok(())
}
