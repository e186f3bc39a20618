//! Cases of many workgroups and long loops. Faults that depend on the load of a device, such as missing barriers of a driver, show there and not in small
//! cases.

use super::harness::{Harness, Holds, Twin};
use super::products::{random_matrix, uneven};
use super::{Attending, Case, Into, Product, Scores, attention, attention_step, delta_scan, label, matvec, scored};
use crate::error::Result;
use crate::gpu::{Features, Kernel, Purpose};
use crate::kernels::Variant;
use crate::kernels::attention::{Shape, Source};
use crate::kernels::attention_step::Results;
use crate::kernels::delta_scan::DeltaHeads;
use crate::kernels::matmul::{self, Linear, Tuning};
use crate::layout::{Layout, MatrixShape};
use crate::weights::{RowShard, Weight};

/// A product of many rows: 32 workgroups of the usual tile, 64 turns of its loop.
const PRODUCT: Product = Product { m: 256, n: 1024, k: 1024 };
/// Rows of weights that are made on the CPU; the others repeat them.
const OWN_ROWS: usize = 128;
/// Tolerance between products of rounded and of exact inputs.
const ROUNDED: f64 = 0.05;

/// The large case of a kernel of those families that most of the time is spent in; `None` for others.
pub fn large(kernel: &Kernel) -> Option<Case> {
    Some(match *kernel.origin::<Variant>()? {
        Variant::Matmul { layout, ragged, tuning } => twins((layout, tuning), ragged),
        Variant::Matvec(gemv) if !gemv.norm && !gemv.ragged => {
            let into = Into { bias: false, accumulate: true, around: (0, 0) };
            matvec(gemv, Product { m: gemv.rows, n: 512, k: super::INPUTS }, into, 512)
        }
        Variant::Attention { head_dim, source, is_gated, scores, tuning } => {
            let (tokens, past) = (64, 192);
            let (kv_tokens, causal_past) = match source {
                Source::Rows(_) => (tokens, None),
                Source::Cache(_) => (tokens + past, Some(past)),
            };
            let shape = Shape { q_tokens: tokens, kv_tokens, q_heads: 4, kv_heads: 2, head_dim, causal_past };
            attention(shape, scored(head_dim, scores, 100), tuning, (source, is_gated), Scores::MILD)
        }
        Variant::AttentionStep { head_dim, precision, rows, q_layout, results, scores, tuning } => {
            let splits = if results == Results::Partial { 8 } else { 1 };
            let (position, scoring) = (8 * tuning.tile() + 3, scored(head_dim, scores, 100));
            let own = Attending::of((8 * rows, 8), head_dim, tuning);
            let shape = Attending { splits, position, scoring, q_layout, gated: results == Results::Gated, ..own };
            attention_step(shape, precision, Scores::MILD)
        }
        Variant::DeltaScan { dim } => delta_scan(48, DeltaHeads { keys: 4, values: 8, dim, tiled: false }, true),
        _ => return None,
    })
}

/// A product in a tuning and in one whose results do not depend on the same barriers. The order of their sums is the same.
fn twins((layout, tuning): (Layout, Tuning), ragged: bool) -> Case {
    let twin = if tuning.is_tiled() && tuning != Tuning::SMALL_TILE { Tuning::SMALL_TILE } else { Tuning::REGISTERS };
    let kernel = matmul::kernel(layout, ragged, tuning);
    let tolerance = match kernel.needs() {
        needs if needs.contains(Features::DOT) => ROUNDED,
        needs if needs.contains(Features::F16) => super::HALVES,
        _ => super::SUM,
    };
    let Product { m, n, k } = PRODUCT;
    let k = if ragged { k + 4 } else { k };
    Case::new(kernel, tolerance, label(format_args!("m={m} n={n} k={k} {tuning:?} and {twin:?}")), move |harness| {
        let x = uneven(harness, m * k, 1.0); // [m, k]
        let (x, weight) = (harness.input(&x)?, repeated_matrix(harness, layout, MatrixShape { rows: n, cols: k })?);
        let mut outputs = Vec::new();
        for (tuning, other) in [(tuning, Twin::Next), (twin, Twin::Previous)] {
            let mut y = harness.output(m * n, Holds::Numbers)?;
            let (y_stride, y_offset, accumulate) = (n, 0, false);
            let linear = Linear { x: &x, m, weight: &weight, bias: None, y: &y.slice, y_stride, y_offset, accumulate };
            matmul::record(&mut harness.recording, tuning, &linear)?;
            y.twin = Some(other);
            // The usual size of a sum of products of numbers below 1, half of them in magnitude.
            y.magnitude = (k as f32).sqrt() / 4.0;
            outputs.push(y);
        }
        Ok(outputs)
    })
}

/// A matrix whose rows repeat, which takes little time to make.
fn repeated_matrix(harness: &mut Harness<'_>, layout: Layout, shape: MatrixShape) -> Result<Weight> {
    let part = random_matrix(harness, layout, MatrixShape { rows: OWN_ROWS, ..shape }, OWN_ROWS)?.0;
    let planes = part.parts.into_iter().flat_map(|part| part.planes);
    let mut repeated = Vec::new();
    for plane in planes {
        let times = (shape.rows / OWN_ROWS) as u64;
        let buffer = harness.gpu.alloc_beside("weight", Purpose::TextWeights, times * plane.bytes)?;
        (0..times).for_each(|time| {
            harness.recording.copy(plane.clone(), buffer.slice(time * plane.bytes..(time + 1) * plane.bytes));
        });
        repeated.push(buffer.all());
    }
    let parts = vec![RowShard { first_row: 0, rows: shape.rows, planes: repeated }];
    Ok(Weight { layout, shape, parts })
}
