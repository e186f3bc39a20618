//! Cases of the kernels that change or move numbers one by one.

use std::ops::Range;

use ocelli::config::{Activation, RopePairs};
use ocelli::gpu::Features;
use ocelli::kernels::rms_norm::Tuning;
use ocelli::reference::activation::Activation as ReferenceActivation;
use ocelli::{kernels, reference};

use crate::bench::FOREIGN;
use crate::case::{Case, EXACT, POINTWISE, SUM, case};

pub(crate) const ACTIVATIONS: [(Activation, ReferenceActivation); 3] = [
    (Activation::Silu, ReferenceActivation::Silu),
    (Activation::Gelu, ReferenceActivation::Gelu),
    (Activation::GeluTanh, ReferenceActivation::GeluTanh),
];

pub(crate) fn activation(len: usize, kind: usize, size: f32) -> Case {
    let (activation, twin) = ACTIVATIONS[kind];
    case("activation", POINTWISE, format!("len={len} {activation:?} size={size}"), move |bench| {
        let mut numbers = bench.random.numbers(len, size);
        // Whatever the rest, one output is as large as the inputs: 1 + erf and 1 + tanh cancel, relative to `x` they are good.
        numbers[0] = size;
        let mut x = bench.in_place(&numbers)?;
        kernels::activation::record(&mut bench.recording, len, activation, &x.slice)?;
        reference::activation::compute(twin, x.expected());
        bench.expect(x);
        Ok(())
    })
}

pub(crate) fn glu(rows: usize, width: usize, kind: usize, size: f32) -> Case {
    let (activation, twin) = ACTIVATIONS[kind];
    case("glu", POINTWISE, format!("rows={rows} width={width} {activation:?} size={size}"), move |bench| {
        let mut gate_up = bench.random.numbers(rows * 2 * width, size); // [rows, 2 * width]
        (gate_up[0], gate_up[width]) = (size, size);
        let mut y = bench.output(rows * width)?;
        let gate_up_slice = bench.input(&gate_up)?;
        kernels::glu::record(&mut bench.recording, (rows, width), activation, &gate_up_slice, &y.slice)?;
        reference::glu::compute(width, twin, &gate_up, y.expected());
        bench.expect(y);
        Ok(())
    })
}

pub(crate) fn rms_norm(rows: usize, width: usize, eps: f32, size: f32) -> Case {
    rms_norm_as(None, (rows, width), eps, size)
}

/// As [`rms_norm`], with threads that meet as told.
pub(crate) fn rms_norm_as(tuning: Option<Tuning>, (rows, width): (usize, usize), eps: f32, size: f32) -> Case {
    let sizes = format!("rows={rows} width={width} eps={eps} size={size} {tuning:?}");
    case("rms_norm", SUM, sizes, move |bench| {
        let x = bench.random.numbers(rows * width, size);
        let weight = bench.random.numbers(width, 2.0);
        let mut y = bench.output(rows * width)?;
        let (x_slice, weight_slice) = (bench.input(&x)?, bench.input(&weight)?);
        let (recording, sizes) = (&mut bench.recording, (rows, width));
        match tuning {
            None => kernels::rms_norm::record(recording, sizes, eps, &x_slice, &weight_slice, &y.slice)?,
            Some(tuning) => {
                kernels::rms_norm::record_as(tuning, recording, sizes, eps, &x_slice, &weight_slice, &y.slice)?;
            }
        }
        reference::rms_norm::compute(eps, &x, &weight, y.expected());
        bench.expect(y);
        Ok(())
    })
    .using(tuning.map_or(Features::NONE, |tuning| tuning.uses))
}

/// `spare` columns of a row belong to nobody, besides the values that rope leaves alone.
pub(crate) fn rope(tokens: usize, (q, k): (usize, usize), dim: usize, pairs: RopePairs, spare: usize) -> Case {
    case("rope", POINTWISE, format!("tokens={tokens} heads={q}+{k} dim={dim} {pairs:?} spare={spare}"), move |bench| {
        let (width, stride) = ((q + k) * dim, (q + 2 * k) * dim + spare);
        let mut numbers = bench.random.numbers(tokens * stride, 1.0); // [tokens, stride]
        numbers.chunks_exact_mut(stride).for_each(|row| row[width..].fill(FOREIGN));
        let angles: Vec<f32> = (0..tokens * dim / 2)
            .map(|_| bench.random.number() * 4.0)
            .flat_map(|angle| [angle.cos(), angle.sin()])
            .collect(); // [tokens, dim / 2, (cos, sin)]
        let q_scale: Vec<f32> = (0..tokens).map(|_| 1.5 + bench.random.number()).collect();
        let mut qkv = bench.in_place(&numbers)?;
        let (angles_slice, q_scale_slice) = (bench.input(&angles)?, bench.input(&q_scale)?);
        let heads = kernels::rope::Heads { q, k, dim, pairs };
        let recording = &mut bench.recording;
        kernels::rope::record(recording, heads, (tokens, stride), &qkv.slice, &angles_slice, &q_scale_slice)?;
        let heads = reference::rope::Heads { q, k, dim, interleaved: pairs == RopePairs::Interleaved };
        reference::rope::compute(heads, stride, &angles, &q_scale, qkv.expected());
        bench.expect(qkv);
        Ok(())
    })
}

pub(crate) fn patch_merge(rows: usize, columns: usize, merge: usize, channels: usize) -> Case {
    patch_merge_part((rows, columns), merge, channels, 0..rows * columns)
}

/// Only the merged tokens `range`.
pub(crate) fn patch_merge_part(
    (rows, columns): (usize, usize),
    merge: usize,
    channels: usize,
    range: Range<usize>,
) -> Case {
    let sizes = format!("grid={rows}x{columns} merge={merge} channels={channels} {range:?}");
    case("patch_merge", EXACT, sizes, move |bench| {
        let width = merge * merge * channels;
        let x = bench.random.numbers(rows * columns * width, 1.0); // [rows * merge, columns * merge, channels]
        let mut y = bench.output(range.len() * width)?;
        let x_slice = bench.input(&x)?;
        let squares = kernels::patch_merge::Squares { columns, merge, channels };
        kernels::patch_merge::record(&mut bench.recording, squares, range.clone(), &x_slice, &y.slice)?;
        let mut whole = vec![0.0; rows * columns * width]; // [rows * columns, width]
        reference::patch_merge::compute((rows, columns), merge, channels, &x, &mut whole);
        y.expected().copy_from_slice(&whole[range.start * width..range.end * width]);
        bench.expect(y);
        Ok(())
    })
}

pub(crate) fn patchify(rows: usize, columns: usize, side: usize) -> Case {
    patchify_part((rows, columns), side, 0..rows * columns)
}

/// Only the patches `range`.
pub(crate) fn patchify_part((rows, columns): (usize, usize), side: usize, range: Range<usize>) -> Case {
    case("patchify", POINTWISE, format!("grid={rows}x{columns} side={side} {range:?}"), move |bench| {
        let (height, width) = (rows * side, columns * side);
        // The fourth byte of a pixel is noise too: it must not matter.
        let pixels: Vec<u32> = (0..height * width).map(|_| bench.random.bits()).collect(); // [height, width, RGBX]
        let (mean, std) = ([0.481, 0.457, 0.408], [0.268, 0.261, 0.275]);
        let patches = kernels::patchify::Patches { width, height, side, mean, std };
        let numbers = patches.numbers();
        let mut out = bench.output(range.len() * numbers)?;
        let pixels_slice = bench.words(&pixels)?;
        kernels::patchify::record(&mut bench.recording, &patches, range.clone(), &pixels_slice, &out.slice)?;
        let mut whole = vec![0.0; patches.count() * numbers]; // [patches, numbers]
        let patches = reference::patchify::Patches { width, height, side, mean, std };
        reference::patchify::compute(&patches, bytemuck::cast_slice(&pixels), &mut whole);
        out.expected().copy_from_slice(&whole[range.start * numbers..range.end * numbers]);
        bench.expect(out);
        Ok(())
    })
}
