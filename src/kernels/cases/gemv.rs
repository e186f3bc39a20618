//! Cases of the kernels that multiply a few rows by a matrix and do more in the same launch.

use super::cache::{NewCache, Rotation, Table, reference_heads};
use super::harness::{Harness, Holds};
use super::pointwise::ACTIVATIONS;
use super::products::{Into, magnitude, random_matrix, uneven};
use super::{Case, SUM, attention};
use crate::config::KvPrecision;
use crate::error::Result;
use crate::kernels::gated_matvec::GatedMatvec;
use crate::kernels::gemv::{Gemv, Norm, Tuning};
use crate::kernels::matvec::Matvec;
use crate::kernels::qkv_matvec::QkvMatvec;
use crate::kernels::rope_append::Heads;
use crate::kernels::{Variant, gated_matvec as gated, qkv_matvec as qkv};
use crate::reference;
use crate::weights::layout::MatrixShape;

const EPS: f32 = 1e-5;

/// What a launch is given where its kernel is chosen already.
const TUNING: Tuning = Tuning::HARDWARE;

/// Inputs, the norm's weight if there is one, and what the product sees of the inputs. `// [m, k]`, `// [k]`, `// [m, k]`
fn normed(harness: &mut Harness<'_>, gemv: Gemv, (m, k): (usize, usize)) -> (Vec<f32>, Option<Vec<f32>>, Vec<f32>) {
    let x = uneven(harness, m * k, 3.0);
    let seen = |x: &[f32]| if gemv.rounds() { reference::rounded::int8(k, x) } else { x.to_vec() };
    if !gemv.has_norm() {
        let h = seen(&x);
        return (x, None, h);
    }
    let weight: Vec<f32> = (0..k).map(|_| 1.5 + harness.random.number()).collect();
    let mut h = vec![0.0; m * k];
    if gemv.rounds() {
        // The norm's weight comes before rounding, the root mean square after it.
        let gained: Vec<f32> = x.chunks_exact(k).flat_map(|x| x.iter().zip(&weight).map(|(x, w)| x * w)).collect();
        reference::rms_norm::divide(EPS, k, &x, &seen(&gained), &mut h);
    } else {
        reference::rms_norm::compute(EPS, &x, &weight, &mut h);
    }
    (x, Some(weight), h)
}

/// `m` rows of `k` inputs times a matrix of `n` rows, in parts of so many.
pub fn matvec(gemv: Gemv, (m, n, k): (usize, usize, usize), into: Into, rows_of_part: usize) -> Case {
    let rows_of_part = rows_of_part.next_multiple_of(4);
    let sizes = format!("m={m} n={n}/{rows_of_part} k={k} {into:?} {gemv:?}");
    Case::new(Variant::Matvec(gemv), SUM, sizes, move |harness| {
        let Into { bias, accumulate, around: (before, after) } = into;
        let y_stride = before + n + after;
        let (x, gain, h) = normed(harness, gemv, (m, k));
        let shape = MatrixShape { rows: n, cols: k };
        let (weight, w) = random_matrix(harness, gemv.layout(), shape, rows_of_part)?; // [n, k]
        let bias = bias.then(|| harness.random.numbers(n, 1.0));
        let held = into.held(harness, m, n);
        let mut y = harness.in_place(&held)?;
        let upload = |numbers: &Option<Vec<f32>>| numbers.as_ref().map(|n| harness.input(n)).transpose();
        let (x_slice, gain, bias_slice) = (harness.input(&x)?, upload(&gain)?, upload(&bias)?);
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
            tuning: TUNING,
        };
        product.record_as(&gemv, &mut harness.recording)?;
        let shape = reference::matmul::Shape { m, n, k, y_stride, y_offset: before, accumulate };
        reference::matmul::compute(shape, &h, &w, bias.as_deref(), y.expected());
        y.magnitude = magnitude(&h, &w, k);
        harness.expect(y);
        Ok(())
    })
}

/// `m` rows of `k` inputs through a gate of width `n`, with activation number `kind`.
pub fn gated_matvec(gemv: Gemv, (m, n, k): (usize, usize, usize), kind: usize) -> Case {
    let (activation, twin) = ACTIVATIONS[kind];
    let sizes = format!("m={m} n={n} k={k} {activation:?} {gemv:?}");
    Case::new(Variant::GatedMatvec(gemv), SUM, sizes, move |harness| {
        let (x, gain, h) = normed(harness, gemv, (m, k));
        let shape = MatrixShape { rows: 2 * n, cols: k };
        let (weight, w) = random_matrix(harness, gemv.layout(), shape, 2 * n)?; // [2 * n, k]
        let mut y = harness.output(m * n, Holds::Numbers)?;
        let (x_slice, gain) = (harness.input(&x)?, gain.map(|gain| harness.input(&gain)).transpose()?);
        let norm = gain.as_ref().map(|weight| Norm { weight, eps: EPS });
        let product = GatedMatvec { x: &x_slice, m, norm, weight: &weight, activation, y: &y.slice, tuning: TUNING };
        gated::record_as(&gemv, &mut harness.recording, &product)?;
        reference::gated_matvec::compute((n, k), twin, &h, &w, y.expected());
        // Both factors are sums.
        y.magnitude = magnitude(&h, &w, k).powi(2);
        harness.expect(y);
        Ok(())
    })
}

/// Queries, keys and values of `m` tokens from `k` inputs each.
pub fn qkv_matvec(
    gemv: Gemv,
    (m, k): (usize, usize),
    heads: Heads,
    (precision, has_bias): (KvPrecision, bool),
) -> Case {
    let Heads { dim: head_dim, pairs, .. } = heads;
    let sizes = format!("m={m} k={k} {heads:?} {gemv:?}");
    let variant = Variant::QkvMatvec { gemv, head_dim, pairs, precision, has_bias };
    Case::new(variant, SUM, sizes, move |harness| record_qkv(harness, gemv, (m, k), heads, (precision, has_bias)))
}

fn record_qkv(
    harness: &mut Harness<'_>,
    gemv: Gemv,
    (m, k): (usize, usize),
    heads: Heads,
    (precision, has_bias): (KvPrecision, bool),
) -> Result<()> {
    let n = (heads.q + 2 * heads.kv) * heads.dim;
    let (x, gain, h) = normed(harness, gemv, (m, k));
    let (weight, w) = random_matrix(harness, gemv.layout(), MatrixShape { rows: n, cols: k }, n)?; // [n, k]
    let bias = has_bias.then(|| harness.random.numbers(n, 1.0));
    let table = Table::new(harness, heads.dim, Rotation { position: 5, table_first: 3, rows: m + 4, exact: false });
    let step = harness.words(&table.words())?;
    let mut q = harness.output(m * heads.q * heads.dim, Holds::Numbers)?;
    let mut cache = NewCache::new(harness, precision, heads, 5 + m, false)?;
    let (x_slice, gain) = (harness.input(&x)?, harness.input(&gain.unwrap_or_default())?);
    let bias_slice = bias.as_ref().map(|bias| harness.input(bias)).transpose()?;
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
        tuning: TUNING,
    };
    qkv::record_as(&gemv, &mut harness.recording, &product)?;
    let held = (attention::precision_of(precision), cache.words());
    let weights = (&w[..], bias.as_deref());
    reference::qkv_matvec::compute(reference_heads(heads), (&h, k), weights, table.step(), q.expected(), held);
    let magnitude = magnitude(&h, &w, k);
    q.magnitude = 2.5 * magnitude;
    harness.expect(q);
    cache.expect(harness, magnitude);
    Ok(())
}
