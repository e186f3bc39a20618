//! Cases of gated delta nets.

use super::harness::Holds;
use super::{Case, POINTWISE, SUM};
use crate::kernels::delta_scan::{DeltaHeads, DeltaScan};
use crate::{kernels, reference};

/// Tokens behind others.
pub fn conv_silu(tokens: usize, channels: usize, spare: usize) -> Case {
    let sizes = format!("tokens={tokens} channels={channels} spare={spare}");
    Case::new(kernels::conv_silu::kernel(), POINTWISE, sizes, move |harness| {
        let stride = channels + spare;
        let x = harness.random.numbers(tokens * stride, 2.0); // [tokens, stride]
        let weight = harness.random.numbers(channels * 4, 1.0);
        let before = harness.random.numbers(3 * channels, 2.0);
        let (mut state, mut y) = (harness.in_place(&before)?, harness.output(tokens * channels, Holds::Numbers)?);
        let (x_slice, weight_slice) = (harness.input(&x)?, harness.input(&weight)?);
        let (recording, sizes) = (&mut harness.recording, (tokens, channels, stride));
        kernels::conv_silu::record(recording, sizes, &x_slice, &state.slice, &weight_slice, &y.slice)?;
        reference::conv_silu::compute(stride, &x, state.expected(), &weight, y.expected());
        // Terms may cancel.
        y.magnitude = 4.0;
        Ok(vec![state, y])
    })
}

/// Tokens behind others, with decays from almost none to almost all.
pub fn delta_scan(tokens: usize, heads: DeltaHeads) -> Case {
    let sizes = format!("tokens={tokens} {heads:?}");
    Case::new(kernels::delta_scan::kernel(heads.dim), SUM, sizes, move |harness| {
        let DeltaHeads { keys, values, dim, .. } = heads;
        let (stride, offset) = (2 * values + 3, 1);
        let y = harness.random.numbers(tokens * (2 * keys + values) * dim, 2.0); // [tokens, q | k | v]
        let gates = harness.random.numbers(tokens * stride, 4.0); // [tokens, stride]
        let rate: Vec<f32> = (0..values).map(|_| -0.02 - 1.5 * (1.0 + harness.random.number())).collect();
        let dt = harness.random.numbers(values, 1.0);
        let before = harness.random.numbers(values * dim * dim, 1.0); // [values, dim, dim]
        let (mut state, mut out) = (harness.in_place(&before)?, harness.output(tokens * values * dim, Holds::Numbers)?);
        let (y_slice, gates_slice) = (harness.input(&y)?, harness.input(&gates)?);
        let (rate_slice, dt_slice) = (harness.input(&rate)?, harness.input(&dt)?);
        let scan = DeltaScan {
            y: &y_slice,
            gates: &gates_slice,
            place: (stride, offset),
            rates: [&rate_slice, &dt_slice],
            state: &state.slice,
            out: &out.slice,
        };
        kernels::delta_scan::record(&mut harness.recording, tokens, heads, &scan)?;
        let gates = (&gates[..], stride, offset);
        reference::delta_scan::compute(heads, &y, gates, [&rate, &dt], state.expected(), out.expected());
        (state.magnitude, out.magnitude) = (4.0, 1.0);
        Ok(vec![state, out])
    })
}

/// Heads of numbers up to 3.
pub fn gated_head_norm((tokens, heads, dim): (usize, usize, usize), (before, behind): (usize, usize)) -> Case {
    let sizes = format!("tokens={tokens} heads={heads} dim={dim} around=({before}, {behind})");
    Case::new(kernels::gated_head_norm::kernel(), SUM, sizes, move |harness| {
        let (stride, eps) = (before + heads * dim + behind, 1e-6);
        let numbers = harness.random.numbers(tokens * heads * dim, 3.0);
        let gates = harness.random.numbers(tokens * stride, 6.0); // [tokens, stride]
        let weight = harness.random.numbers(dim, 2.0);
        let mut x = harness.in_place(&numbers)?;
        let (gates_slice, weight_slice) = (harness.input(&gates)?, harness.input(&weight)?);
        let (recording, place) = (&mut harness.recording, (&gates_slice, stride, before));
        kernels::gated_head_norm::record(recording, (tokens, heads, dim), eps, &x.slice, place, &weight_slice)?;
        reference::gated_head_norm::compute(heads, eps, x.expected(), &gates, (stride, before), &weight);
        Ok(vec![x])
    })
}

/// Rows of numbers up to 3.
pub fn sigmoid_gate((rows, width): (usize, usize), (before, behind): (usize, usize)) -> Case {
    let sizes = format!("rows={rows} width={width} around=({before}, {behind})");
    Case::new(kernels::sigmoid_gate::kernel(), POINTWISE, sizes, move |harness| {
        let stride = before + width + behind;
        let numbers = harness.random.numbers(rows * width, 3.0);
        let gates = harness.random.numbers(rows * stride, 8.0); // [rows, stride]
        let mut x = harness.in_place(&numbers)?;
        let gates_slice = harness.input(&gates)?;
        let (recording, place) = (&mut harness.recording, (&gates_slice, stride, before));
        kernels::sigmoid_gate::record(recording, (rows, width), &x.slice, place)?;
        reference::sigmoid_gate::compute(width, x.expected(), &gates, (stride, before));
        Ok(vec![x])
    })
}
