//! Cases of pointwise kernels and norms.

use super::harness::Holds;
use super::products::arrange;
use super::{Case, EXACT, HALVES, POINTWISE, SUM, label};
use crate::config::Activation;
use crate::kernels;
use crate::kernels::RowShape;
use crate::kernels::gate_rows::RowPart;
use crate::kernels::peak::Numbers;
use crate::kernels::rms_norm::{Results, RmsNorm};
use crate::reference;

/// Every activation.
pub const ACTIVATIONS: [Activation; 3] = [Activation::Silu, Activation::Gelu, Activation::GeluTanh];

/// `len` numbers up to `size`.
pub fn activation(len: usize, activation: Activation, size: f32) -> Case {
    let sizes = label(format_args!("len={len} {activation:?} size={size}"));
    Case::new(kernels::activation::kernel(), POINTWISE, sizes, move |harness| {
        let mut numbers = harness.random.numbers(len, size);
        // One output is as large as the inputs: 1 + erf and 1 + tanh cancel, but are accurate relative to `x`.
        numbers[0] = size;
        let mut x = harness.in_place(&numbers)?;
        kernels::activation::record(&mut harness.recording, len, activation, &x.slice)?;
        reference::activation::compute(activation, x.expected());
        Ok(vec![x])
    })
}

/// Gates and inputs of numbers up to `size`.
pub fn glu(rows: usize, width: usize, activation: Activation, size: f32) -> Case {
    let sizes = label(format_args!("rows={rows} width={width} {activation:?} size={size}"));
    Case::new(kernels::glu::kernel(), POINTWISE, sizes, move |harness| {
        let mut gate_up = harness.random.numbers(rows * 2 * width, size); // [rows, 2 * width]
        (gate_up[0], gate_up[width]) = (size, size);
        let (x, mut y) = (harness.input(&gate_up)?, harness.output(rows * width, Holds::Numbers)?);
        let shape = RowShape { rows, width };
        kernels::glu::record(&mut harness.recording, shape, activation, &x, (&y.slice, harness.lane_layout))?;
        reference::glu::compute(width, activation, &gate_up, y.expected());
        arrange(harness.lane_layout, y.expected());
        Ok(vec![y])
    })
}

/// Some columns of rows, of which about half are clamped.
pub fn clamp(shape: RowShape, part: RowPart) -> Case {
    let sizes = label(format_args!("rows={} width={} {part:?}", shape.rows, shape.width));
    Case::new(kernels::clamp::kernel(), EXACT, sizes, move |harness| {
        let (numbers, bounds) = (harness.random.numbers(shape.rows * part.stride, 2.0), [-1.0, 0.75]);
        let mut x = harness.in_place(&numbers)?;
        let [low, high] = [harness.input(&bounds[..1])?, harness.input(&bounds[1..])?];
        kernels::clamp::record(&mut harness.recording, shape, (&x.slice, part), [&low, &high])?;
        reference::clamp::compute(shape.width, part, bounds, x.expected());
        Ok(vec![x])
    })
}

/// Gates of numbers up to `size`, and factors in wider rows.
pub fn gate_rows(shape: RowShape, part: RowPart, activation: Activation, size: f32) -> Case {
    let RowShape { rows, width } = shape;
    let sizes = label(format_args!("rows={rows} width={width} {part:?} {activation:?} size={size}"));
    Case::new(kernels::gate_rows::kernel(), POINTWISE, sizes, move |harness| {
        let mut gate = harness.random.numbers(rows * width, size); // [rows, width]
        gate[0] = size;
        let skipped = part.offset / part.stride;
        let factors = harness.random.numbers((skipped + rows) * part.stride, 2.0); // [skipped + rows, part.stride]
        let (gate_slice, factors_slice) = (harness.input(&gate)?, harness.input(&factors)?);
        let mut y = harness.output(rows * width, Holds::Numbers)?;
        let (of, to) = ((&factors_slice, part), (&y.slice, harness.lane_layout));
        kernels::gate_rows::record(&mut harness.recording, shape, activation, &gate_slice, of, to)?;
        reference::gate_rows::compute(width, activation, &gate, (&factors, part), y.expected());
        arrange(harness.lane_layout, y.expected());
        Ok(vec![y])
    })
}

/// `turns` turns of the chains in `threads` threads.
pub fn peak(numbers: Numbers, threads: usize, turns: usize) -> Case {
    let tolerance = match numbers {
        Numbers::F32 => SUM,
        Numbers::F16 => HALVES,
        Numbers::Int8 => EXACT,
    };
    Case::new(
        kernels::peak::kernel(numbers),
        tolerance,
        label(format_args!("threads={threads} turns={turns}")),
        move |harness| {
            let x = harness.random.numbers(threads, 1.0); // [threads]
            let (input, mut y) = (harness.input(&x)?, harness.output(threads, Holds::Numbers)?);
            kernels::peak::record(&mut harness.recording, numbers, threads, turns, &input, &y.slice)?;
            let compute = if numbers == Numbers::Int8 { reference::peak::integers } else { reference::peak::floats };
            compute(turns, &x, y.expected());
            Ok(vec![y])
        },
    )
}

/// Numbers up to `size`, the first of them infinite and the second none.
pub fn soft_cap(len: usize, cap: f32, size: f32) -> Case {
    let sizes = label(format_args!("len={len} cap={cap} size={size}"));
    Case::new(kernels::soft_cap::kernel(), POINTWISE, sizes, move |harness| {
        let mut numbers = harness.random.numbers(len, size);
        numbers.iter_mut().zip([f32::INFINITY, f32::NAN, cap]).for_each(|(number, special)| *number = special);
        let mut x = harness.in_place(&numbers)?;
        kernels::soft_cap::record(&mut harness.recording, len, cap, &x.slice)?;
        reference::soft_cap::compute(cap, x.expected());
        Ok(vec![x])
    })
}

/// Rows of numbers up to `size`, whose norms are stored or added.
pub fn rms_norm(
    (tuning, results): (kernels::rms_norm::Tuning, Results),
    (rows, width): (usize, usize),
    eps: f32,
    size: f32,
) -> Case {
    let sizes = label(format_args!("rows={rows} width={width} eps={eps} size={size} {tuning:?}"));
    Case::new(kernels::rms_norm::kernel(tuning, results), SUM, sizes, move |harness| {
        let x = harness.random.numbers(rows * width, size);
        let weight = harness.random.numbers(width, 2.0);
        let residual = harness.random.numbers(rows * width, 2.0);
        let (adds, factor) = (results != Results::Stored, 0.75);
        let factor_slice = harness.input(&[factor])?;
        let factor_slice = (results == Results::Scaled).then_some(&factor_slice);
        let mut y = if adds { harness.in_place(&residual)? } else { harness.output(rows * width, Holds::Numbers)? };
        let (x_slice, weight_slice) = (harness.input(&x)?, harness.input(&harness.lane_layout.arranged(&weight))?);
        let lane_layout = harness.lane_layout;
        let (y_slice, weight_slice) = (&y.slice.clone(), &weight_slice);
        let norm = RmsNorm {
            x: &x_slice,
            rows,
            width,
            eps,
            weight: weight_slice,
            lane_layout,
            y: y_slice,
            adds,
            factor: factor_slice,
        };
        kernels::rms_norm::record(&mut harness.recording, tuning, &norm)?;
        match results {
            Results::Stored => reference::rms_norm::compute(eps, &x, &weight, y.expected()),
            Results::Added => reference::rms_norm::add(eps, &x, &weight, 1.0, y.expected()),
            Results::Scaled => reference::rms_norm::add(eps, &x, &weight, factor, y.expected()),
        }
        Ok(vec![y])
    })
}

/// Rows of numbers up to `size` around random means.
pub fn layer_norm(shape: RowShape, eps: f32, size: f32) -> Case {
    let RowShape { rows, width } = shape;
    let sizes = label(format_args!("rows={rows} width={width} eps={eps} size={size}"));
    Case::new(kernels::layer_norm::kernel(), SUM, sizes, move |harness| {
        let mut x = harness.random.numbers(rows * width, size);
        x.chunks_exact_mut(width).for_each(|row| {
            let mean = harness.random.number() * size;
            row.iter_mut().for_each(|x| *x += mean);
        });
        let [weight, bias] = [2.0, 1.0].map(|size| harness.random.numbers(width, size));
        let mut y = harness.output(rows * width, Holds::Numbers)?;
        let (x_slice, weight_slice, bias_slice) = (harness.input(&x)?, harness.input(&weight)?, harness.input(&bias)?);
        let recording = &mut harness.recording;
        let vectors = [&weight_slice, &bias_slice];
        kernels::layer_norm::record(recording, shape, eps, &x_slice, vectors, &y.slice)?;
        reference::layer_norm::compute(eps, &x, &weight, &bias, y.expected());
        Ok(vec![y])
    })
}

/// Subgroups of `groups` workgroups.
pub fn subgroup_probe(threads: usize, emulated: usize, groups: usize) -> Case {
    let kernel = kernels::subgroup_probe::emulated(threads, emulated);
    Case::new(kernel.clone(), EXACT, label(format_args!("groups={groups} emulated={emulated}")), move |harness| {
        let mut y = harness.output(groups * threads, Holds::Words)?;
        kernels::subgroup_probe::record(&mut harness.recording, kernel.clone(), groups, &y.slice)?;
        reference::subgroup_probe::compute(y.expected_words());
        Ok(vec![y])
    })
}
