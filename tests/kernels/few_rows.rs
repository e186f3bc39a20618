//! Cases of the kernels that multiply a few rows by a matrix and do more in the same launch.

use ocelli::config::{KvPrecision, RopePairs};
use ocelli::gpu::Features;
use ocelli::kernels::few_rows::{Norm, Tuning};
use ocelli::kernels::gated_matvec::GatedMatvec;
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

/// Threads divided in ways that matter: as for hardware, as for software, with and without a rest.
pub(crate) const TUNINGS: [Tuning; 4] = [
    Tuning::HARDWARE,
    Tuning::SOFTWARE,
    Tuning { lanes: 32, teams: 8, groups: 2, uses: Features::NONE },
    Tuning { lanes: 3, teams: 5, groups: 4, uses: Features::NONE },
];

const EPS: f32 = 1e-5;

/// Inputs, the norm's weight if there is one, and what the norm makes of the inputs. `// [m, k]`, `// [k]`, `// [m, k]`
fn normed(bench: &mut Bench<'_>, m: usize, k: usize, norm: bool) -> (Vec<f32>, Option<Vec<f32>>, Vec<f32>) {
    let x = bench.random.numbers(m * k, 3.0);
    if !norm {
        return (x.clone(), None, x);
    }
    let weight: Vec<f32> = (0..k).map(|_| 1.5 + bench.random.number()).collect();
    let mut h = vec![0.0; m * k];
    reference::rms_norm::compute(EPS, &x, &weight, &mut h);
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
        // With their scales of scales, K-quants take more bindings than every device has.
        if !layout.is_k_quant() {
            rows.push(qkv(layout, (1, k), heads(64, RopePairs::Half), (cache, false), Tuning::HARDWARE));
            let odd = heads([8, 24, 40, 128][at % 4], [RopePairs::Interleaved, RopePairs::Half][at / 4]);
            rows.push(qkv(layout, (1 + at % 5, k), odd, (cache, !layout.is_quantised()), TUNINGS[1 + at % 3]));
        }
    }
    // More slots than one dimension of a grid takes here.
    let single = Tuning { lanes: 4, teams: 1, groups: 1, uses: Features::NONE };
    rows.push(matvec(Layout::Q4_0, (2, 32_768 * 4 + 131, 4), true, Into::turn(7), single));
    rows.push(gated(Layout::Q4_0, (1, 32_768 * 4 + 132, 4), true, (0, single)));
    rows
}

fn matvec(layout: Layout, (m, n, k): (usize, usize, usize), norm: bool, into: Into, tuning: Tuning) -> Case {
    let sizes = format!("{layout} m={m} n={n} k={k} norm={norm} {into:?} {tuning:?}").replace("Tuning ", "");
    case("matvec", SUM, sizes, move |bench| {
        let Into { bias, accumulate, around: (before, after) } = into;
        let y_stride = before + n + after;
        let (x, gain, h) = normed(bench, m, k, norm);
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
}

fn gated(layout: Layout, (m, n, k): (usize, usize, usize), norm: bool, (kind, tuning): (usize, Tuning)) -> Case {
    let (activation, twin) = ACTIVATIONS[kind];
    let sizes = format!("{layout} m={m} n={n} k={k} norm={norm} {activation:?} {tuning:?}").replace("Tuning ", "");
    case("gated_matvec", SUM, sizes, move |bench| {
        let (x, gain, h) = normed(bench, m, k, norm);
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
}

fn run_qkv(
    bench: &mut Bench<'_>,
    (layout, m, k): (Layout, usize, usize),
    heads: Heads,
    (precision, has_bias): (KvPrecision, bool),
    tuning: Tuning,
) -> Result<()> {
    let n = (heads.q + 2 * heads.kv) * heads.dim;
    let (x, gain, h) = normed(bench, m, k, true);
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
