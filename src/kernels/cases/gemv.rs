//! Cases of the kernels that multiply a few rows by a matrix, with further operations in the same launch.

use super::cache::{Rotation, new_cache, pages_of, reference_cache, rows_of};
use super::harness::{Harness, Holds};
use super::products::{Into, Product, arrange, linear, magnitude, random_matrix, uneven};
use super::{Case, SUM, label};
use crate::config::{Activation, KvPrecision};
use crate::error::{Error, Result};
use crate::gpu::Slice;
use crate::kernels;
use crate::kernels::gated_matvec::{self as gated, GatedMatvec};
use crate::kernels::gemv::{Gemv, Norm};
use crate::kernels::qkv_matvec::{self as qkv, QkvMatvec};
use crate::kernels::rope_append::{Heads, RopeChoice};
use crate::layout::MatrixShape;
use crate::reference;

const EPS: f32 = 1e-5;

/// Inputs, the norm's weight if there is one, and the inputs after norm and rounding. `// [m, k]`, `// [k]`, `// [m, k]`
fn normed(harness: &mut Harness<'_>, gemv: Gemv, m: usize, k: usize) -> (Vec<f32>, Option<Vec<f32>>, Vec<f32>) {
    let x = uneven(harness, m * k, 3.0);
    let rounds = gemv.k_tile > 0;
    let seen = |x: &[f32]| if rounds { reference::rounded::int8(k, x) } else { x.to_vec() };
    if !gemv.norm {
        let h = seen(&x);
        return (x, None, h);
    }
    let weight: Vec<f32> = (0..k).map(|_| 1.5 + harness.random.number()).collect();
    let mut h = vec![0.0; m * k];
    if rounds {
        // The norm's weight is applied before rounding, the root mean square after it.
        let gained: Vec<f32> = x.chunks_exact(k).flat_map(|x| x.iter().zip(&weight).map(|(x, w)| x * w)).collect();
        reference::rms_norm::divide(EPS, k, &x, &seen(&gained), &mut h);
    } else {
        reference::rms_norm::compute(EPS, &x, &weight, &mut h);
    }
    (x, Some(weight), h)
}

/// Uploads inputs and the norm's weight in the lane layouts of the product.
fn arranged_inputs(
    harness: &mut Harness<'_>,
    gemv: Gemv,
    x: &[f32],
    gain: Option<Vec<f32>>,
) -> Result<(Slice, Option<Slice>)> {
    let gain = gain.map(|gain| gemv.lane_layouts.gain.arranged(&gain));
    Ok((harness.input(&gemv.lane_layouts.x.arranged(x))?, harness.optional(gain.as_deref())?))
}

fn norm(weight: &Slice, gemv: Gemv) -> Norm<'_> {
    Norm { weight, eps: EPS, lane_layout: gemv.lane_layouts.gain }
}

/// `m` rows of `k` inputs times a matrix of `n` rows, in parts of `rows_of_part` rows.
pub fn matvec(gemv: Gemv, Product { m, n, k }: Product, into: Into, rows_of_part: usize) -> Case {
    let sizes = label(format_args!("m={m} n={n}/{rows_of_part} k={k} {into:?} {gemv:?}"));
    Case::new(kernels::matvec::kernel(&gemv), SUM, sizes, move |harness| {
        let (x, gain, h) = normed(harness, gemv, m, k);
        let (x, gain) = arranged_inputs(harness, gemv, &x, gain)?;
        let matrix = (gemv.layout, MatrixShape { rows: n, cols: k }, rows_of_part);
        linear(
            harness,
            (m, &x),
            matrix,
            (into, gemv.lane_layouts.y),
            |w| (h, w),
            |recording, linear| {
                kernels::matvec::record(recording, &gemv, linear, gain.as_ref().map(|weight| norm(weight, gemv)))
            },
        )
    })
}

/// `m` rows of `k` inputs times a gate and an up matrix of `n` rows each.
pub fn gated_matvec(gemv: Gemv, Product { m, n, k }: Product, activation: Activation) -> Case {
    let sizes = label(format_args!("m={m} n={n} k={k} {activation:?} {gemv:?}"));
    Case::new(gated::kernel(&gemv), SUM, sizes, move |harness| {
        let (x, gain, h) = normed(harness, gemv, m, k);
        let shape = MatrixShape { rows: 2 * n, cols: k };
        let (weight, w) = random_matrix(harness, gemv.layout, shape, 2 * n)?; // [2 * n, k]
        let mut y = harness.output(m * n, Holds::Numbers)?;
        let (x_slice, gain) = arranged_inputs(harness, gemv, &x, gain)?;
        let norm = gain.as_ref().map(|weight| norm(weight, gemv));
        let product = GatedMatvec { x: &x_slice, m, norm, weight: &weight, activation, y: &y.slice };
        gated::record(&mut harness.recording, &gemv, &product)?;
        reference::gated_matvec::compute(n, k, activation, &h, &w, y.expected());
        arrange(gemv.lane_layouts.y, y.expected());
        // Both factors are sums.
        y.magnitude = magnitude(&h, &w, k).powi(2);
        Ok(vec![y])
    })
}

/// Queries, keys and values of `m` tokens from `k` inputs each.
pub fn qkv_matvec(
    gemv: Gemv,
    m: usize,
    k: usize,
    heads: Heads,
    (precision, has_bias): (KvPrecision, bool),
    apart: bool,
) -> Case {
    let sizes = label(format_args!("m={m} k={k} {heads:?} {gemv:?} apart={apart}"));
    let kernel = qkv::kernel(&gemv, (heads.dim, heads.pairs), precision, has_bias);
    Case::new(kernel, SUM, sizes, move |harness| {
        let n = (heads.q + 2 * heads.kv) * heads.dim;
        let (x, gain, h) = normed(harness, gemv, m, k);
        let (weight, w) = random_matrix(harness, gemv.layout, MatrixShape { rows: n, cols: k }, n)?; // [n, k]
        let bias = has_bias.then(|| harness.random.numbers(n, 1.0));
        let rope = RopeChoice::ONLY;
        let rotation = Rotation { position: 5, table_first: 3, rows: m + 4, exact: false, apart, rope };
        let table = rotation.table(harness, heads.dim);
        let pages = pages_of(harness, 5 + m);
        let step = harness.words(&rotation.words(m, &pages, &table))?;
        let mut q = harness.output(m * heads.q * heads.dim, Holds::Numbers)?;
        let (mut planes, cache) = new_cache(harness, precision, heads, rows_of(&pages, 5 + m), false)?;
        let (x, gain) = arranged_inputs(harness, gemv, &x, gain)?;
        let gain = gain.ok_or_else(|| Error::Internal { detail: "queries and keys without a norm".into() })?;
        let bias_slice = harness.optional(bias.as_deref())?;
        let product = QkvMatvec {
            x: &x,
            m,
            norm: norm(&gain, gemv),
            weight: &weight,
            bias: bias_slice.as_ref(),
            heads,
            step: &step,
            q: &q.slice,
            q_layout: harness.lane_layout,
            cache: &cache,
        };
        qkv::record(&mut harness.recording, &gemv, &product)?;
        let (weights, held) = ((&w[..], bias.as_deref()), (precision, reference_cache(&mut planes)));
        reference::qkv_matvec::compute(heads, (&h, k), weights, rotation.step(&pages, &table), q.expected(), held);
        arrange(harness.lane_layout, q.expected());
        let magnitude = magnitude(&h, &w, k);
        q.magnitude = 2.5 * magnitude;
        planes.iter_mut().for_each(|plane| plane.magnitude = magnitude);
        planes.push(q);
        Ok(planes)
    })
}
