//! Cases of gated delta nets.

use super::harness::Holds;
use super::products::arrange;
use super::{Case, SUM, label};
use crate::kernels::delta_scan::{DeltaHeads, DeltaScan};
use crate::kernels::gated_head_norm::{GatedHeadNorm, NormMode};
use crate::reference::delta_scan::GateRows;
use crate::{kernels, reference};

/// A scan that continues a state, with decays from almost none to almost all.
pub fn delta_scan(tokens: usize, heads: DeltaHeads, keeps: bool) -> Case {
    let sizes = label(format_args!("tokens={tokens} {heads:?} keeps={keeps}"));
    Case::new(kernels::delta_scan::kernel(heads.dim), SUM, sizes, move |harness| {
        let DeltaHeads { keys, values, dim, .. } = heads;
        let channels = (2 * keys + values) * dim;
        let (stride, offset) = (channels + 2 * values + 3, channels + 1);
        let mut rows = harness.random.numbers(tokens * stride, 2.0); // [tokens, q | k | v | gates]
        for row in rows.chunks_exact_mut(stride) {
            row[channels..].iter_mut().for_each(|gate| *gate *= 2.0);
        }
        let conv = harness.random.numbers(channels * 4, 1.0);
        let rate: Vec<f32> = (0..values).map(|_| -0.02 - 1.5 * (1.0 + harness.random.number())).collect();
        let dt = harness.random.numbers(values, 1.0);
        let seen = harness.random.numbers(3 * channels, 2.0); // [3, channels]
        let before = harness.random.numbers(values * dim * dim, 1.0); // [values, dim, dim]
        let (mut state, mut out) = (harness.in_place(&before)?, harness.output(tokens * values * dim, Holds::Numbers)?);
        let (rows_slice, conv_slice, seen_kept) =
            (harness.input(&rows)?, harness.input(&conv)?, harness.in_place(&seen)?);
        let (rate_slice, dt_slice) = (harness.input(&rate)?, harness.input(&dt)?);
        let scan = DeltaScan {
            rows: &rows_slice,
            stride,
            gate_offset: offset,
            before: &seen_kept.slice,
            conv: &conv_slice,
            rates: [&rate_slice, &dt_slice],
            state: &state.slice,
            keeps,
            out: &out.slice,
        };
        kernels::delta_scan::record(&mut harness.recording, tokens, heads, &scan)?;
        let y = reference::delta_scan::convolved(&rows, stride, &seen, &conv); // [tokens, q | k | v]
        let gates = GateRows { rows: &rows, stride, offset };
        let mut after = before.clone();
        reference::delta_scan::compute(heads, &y, gates, [&rate, &dt], &mut after, out.expected());
        if keeps {
            state.expected().copy_from_slice(&after);
        }
        (state.magnitude, out.magnitude) = (4.0, 1.0);
        Ok(vec![state, out, seen_kept])
    })
}

/// Sizes of a norm of heads with gates.
#[derive(Debug, Clone, Copy)]
pub struct NormedHeads {
    /// Number of tokens.
    pub tokens: usize,
    /// Heads of a token.
    pub heads: usize,
    /// Width of a head.
    pub dim: usize,
    /// Columns before the gates.
    pub channels: usize,
    /// Columns after the gates.
    pub spare: usize,
}

/// Heads of numbers up to 3, with their gates.
pub fn gated_head_norm(NormedHeads { tokens, heads, dim, channels, spare }: NormedHeads, mode: NormMode) -> Case {
    let sizes =
        label(format_args!("tokens={tokens} heads={heads} dim={dim} channels={channels} spare={spare} {mode:?}"));
    Case::new(kernels::gated_head_norm::kernel(), SUM, sizes, move |harness| {
        let (stride, eps) = (channels + heads * dim + spare, 1e-6);
        let numbers = harness.random.numbers(tokens * heads * dim, 3.0);
        let rows = harness.random.numbers(tokens * stride, 6.0); // [tokens, stride]
        let weight = harness.random.numbers(dim, 2.0);
        let before = harness.random.numbers(3 * channels, 6.0); // [3, channels]
        let (mut x, mut seen) = (harness.in_place(&numbers)?, harness.in_place(&before)?);
        let (rows_slice, weight_slice) = (harness.input(&rows)?, harness.input(&weight)?);
        let norm = GatedHeadNorm {
            tokens,
            heads,
            dim,
            x: &x.slice,
            lane_layout: harness.lane_layout,
            rows: &rows_slice,
            stride,
            gate_offset: channels,
            weight: &weight_slice,
            eps,
            channels,
            seen: &seen.slice,
        };
        kernels::gated_head_norm::record(&mut harness.recording, mode, &norm)?;
        if mode != NormMode::Keep {
            let gates = GateRows { rows: &rows, stride, offset: channels };
            reference::gated_head_norm::compute(heads, eps, x.expected(), gates, &weight);
            arrange(harness.lane_layout, x.expected());
        }
        if mode != NormMode::Norm {
            reference::gated_head_norm::keep(&rows, stride, seen.expected());
        }
        Ok(vec![x, seen])
    })
}
