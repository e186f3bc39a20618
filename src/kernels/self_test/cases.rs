//! A launch of every kernel that is needed. Sizes cross the borders of tiles and are small otherwise.

use half::f16;

use super::bench::{Bench, UNWRITTEN};
use super::{Heads, Needs, Vision, decoder, sampling, steps};
use crate::config::{Activation, RopePairs};
use crate::error::Result;
use crate::gpu::{Features, Recording};
use crate::kernels::attention::{self, Attention, KeysValues};
use crate::kernels::attention_step::Tuning as StepTuning;
use crate::kernels::gemv::Tuning;
use crate::kernels::patchify::{self, Patches};
use crate::kernels::{self, Linear, activation, embed_rows, glu, matmul, matvec, patch_merge, rms_norm, rope};
use crate::reference;
use crate::weights::layout::{Layout, MatrixShape, PlaneKind};
use crate::weights::quant;
use crate::weights::upload::Weight;

/// Records all that a model needs.
pub(super) fn all(bench: &mut Bench<'_>, needs: &Needs) -> Result<()> {
    let kernel_config = bench.recording.kernel_config();
    for &layout in &needs.products {
        let k = if layout.is_k_quant() { 2 } else { 3 } * unit(layout);
        product(bench, layout, (matmul::record, matmul::Tuning::of(kernel_config).uses), (33, k))?;
    }
    step(bench, needs, 1)?;
    embedding(bench, needs.embedding)?;
    norm(bench)?;
    for &precision in &needs.caches {
        decoder::attention(bench, needs.decoder.head_dim, precision)?;
        steps::append(bench, needs.decoder, precision)?;
    }
    gate(bench, Activation::Silu)?;
    sampling::plain(bench)?;
    let Some(vision) = needs.vision else { return Ok(()) };
    cut(bench, vision)?;
    rotation(bench, vision.heads)?;
    full_attention(bench, vision.heads)?;
    gate(bench, vision.gate)?;
    merge(bench, vision)?;
    pointwise(bench, vision.projector)
}

/// Records what a step of so many rows needs.
pub(super) fn step(bench: &mut Bench<'_>, needs: &Needs, rows: usize) -> Result<()> {
    let kernel_config = bench.recording.kernel_config();
    for &layout in &needs.step {
        product(bench, layout, (matvec::record, Tuning::of(kernel_config).uses), (rows, STEP_INPUTS / 2))?;
        steps::gated(bench, (layout, rows), Tuning::of(kernel_config))?;
        for &precision in &needs.caches {
            let is_fused = steps::qkv(bench, (layout, rows, Tuning::of(kernel_config)), needs.decoder, precision)?;
            if !is_fused && layout != needs.head {
                steps::normed_product(bench, (layout, rows), Tuning::of(kernel_config))?;
            }
        }
    }
    steps::normed_product(bench, (needs.head, rows), Tuning::of(kernel_config))?;
    for &precision in &needs.caches {
        steps::attention(bench, (needs.decoder.head_dim, needs.group, rows), precision, StepTuning::of(kernel_config))?;
    }
    Ok(())
}

/// A random matrix on the GPU, and the numbers that its layout keeps. `// [rows, cols]`
pub(super) fn matrix(bench: &mut Bench<'_>, layout: Layout, shape: MatrixShape) -> Result<(Weight, Vec<f32>)> {
    let specs = layout.matrix_planes(shape).unwrap_or_default();
    let has_supers = specs.iter().any(|spec| spec.kind == PlaneKind::SuperScales);
    let mut planes = Vec::with_capacity(specs.len());
    for spec in specs {
        let bytes = spec.bytes as usize;
        planes.push(match spec.kind {
            PlaneKind::Values if layout == Layout::F32 => bytemuck::cast_slice(&bench.numbers(bytes / 4)).to_vec(),
            PlaneKind::Values => halves(bench, bytes, 1.0),
            PlaneKind::Scales if !has_supers => halves(bench, bytes, 0.02),
            PlaneKind::SuperScales => halves(bench, bytes, 0.001),
            PlaneKind::Quants | PlaneKind::HighBits | PlaneKind::Scales => {
                (0..bytes).map(|_| bench.bits() as u8).collect()
            }
        });
    }
    let numbers = quant::decode(layout, &[shape.rows, shape.cols], &planes)?;
    Ok((kernels::upload_planes(bench.gpu, layout, shape, &planes)?, numbers))
}

/// 16-bit floats up to `size`.
fn halves(bench: &mut Bench<'_>, bytes: usize, size: f32) -> Vec<u8> {
    bench.numbers(bytes / 2).into_iter().flat_map(|x| f16::from_f32(x * size).to_le_bytes()).collect()
}

/// Inputs of products of a step with few outputs: whole units of every layout, and blocks for all lanes that may share a row, twice
/// for some. With many outputs the test would take more memory than a small model.
pub(super) const STEP_INPUTS: usize = 80 * 32;

/// Columns that make up one unit of all planes.
pub(super) fn unit(layout: Layout) -> usize {
    layout.plane_units().iter().map(|plane| plane.cols).max().unwrap_or(1)
}

/// Records a product.
type Product = fn(&mut Recording, &Linear<'_>) -> Result<()>;

/// Inputs of a product that uses these features: none is rounded.
pub(super) fn inputs(bench: &mut Bench<'_>, len: usize, uses: Features) -> Vec<f32> {
    if uses.dot || uses.f16 { bench.whole(len) } else { bench.numbers(len) }
}

fn product(
    bench: &mut Bench<'_>,
    layout: Layout,
    (record, uses): (Product, Features),
    (m, k): (usize, usize),
) -> Result<()> {
    // Of many inputs fewer outputs: as little memory as a small model has.
    let n = if k >= STEP_INPUTS / 2 { 20 } else { 68 };
    let (y_stride, y_offset) = (n + 7, 5);
    let (w, numbers) = matrix(bench, layout, MatrixShape { rows: n, cols: k })?; // [n, k]
    let (x, bias, mut y) = (inputs(bench, m * k, uses), bench.numbers(n), bench.numbers(m * y_stride));
    let (x_slice, bias_slice, y_slice) = (bench.upload(&x)?, bench.upload(&bias)?, bench.upload(&y)?);
    let (weight, bias_slice) = (&w, Some(&bias_slice));
    let linear = Linear { x: &x_slice, m, weight, bias: bias_slice, y: &y_slice, y_stride, y_offset, accumulate: true };
    record(&mut bench.recording, &linear)?;
    let shape = reference::matmul::Shape { m, n, k, y_stride, y_offset, accumulate: true };
    reference::matmul::compute(shape, &x, &numbers, Some(&bias), &mut y);
    bench.expect(&y_slice, y);
    Ok(())
}

fn embedding(bench: &mut Bench<'_>, layout: Layout) -> Result<()> {
    let (rows, width, tokens) = (20, unit(layout), 7);
    let (table, numbers) = matrix(bench, layout, MatrixShape { rows, cols: width })?; // [rows, width]
    let features = bench.numbers(3 * width); // [3, width]
    let source = |t: u32| if t % 3 == 1 { embed_rows::FEATURE | (t % 2 + 1) } else { t * 5 % 20 };
    let sources: Vec<u32> = (0..tokens).map(source).collect();
    let mut out = vec![UNWRITTEN; sources.len() * width];
    let out_slice = bench.upload(&out)?;
    let (sources_slice, features_slice) = (bench.upload(&sources)?, bench.upload(&features)?);
    let recording = &mut bench.recording;
    embed_rows::record(recording, &table, sources.len(), &sources_slice, &features_slice, &out_slice)?;
    reference::embed_rows::compute(width, &numbers, &sources, &features, &mut out);
    bench.expect(&out_slice, out);
    Ok(())
}

fn norm(bench: &mut Bench<'_>) -> Result<()> {
    let (rows, width, eps) = (3, 260, 1e-5);
    let (x, weight) = (bench.numbers(rows * width), bench.numbers(width));
    let mut y = vec![UNWRITTEN; rows * width];
    let (x_slice, weight_slice, y_slice) = (bench.upload(&x)?, bench.upload(&weight)?, bench.upload(&y)?);
    rms_norm::record(&mut bench.recording, (rows, width), eps, &x_slice, &weight_slice, &y_slice)?;
    reference::rms_norm::compute(eps, &x, &weight, &mut y);
    bench.expect(&y_slice, y);
    Ok(())
}

fn rotation(bench: &mut Bench<'_>, heads: Heads) -> Result<()> {
    let (tokens, q, k, dim) = (5, 3, 1, heads.head_dim);
    let stride = (q + k + 1) * dim;
    let turns = bench.numbers(tokens * dim / 2);
    let angles: Vec<f32> = turns.iter().flat_map(|turn| [(turn * 3.0).cos(), (turn * 3.0).sin()]).collect();
    let (q_scale, mut qkv) = (bench.numbers(tokens), bench.numbers(tokens * stride));
    let (qkv_slice, angles_slice, scale_slice) = (bench.upload(&qkv)?, bench.upload(&angles)?, bench.upload(&q_scale)?);
    let turned = rope::Heads { q, k, dim, pairs: heads.pairs };
    rope::record(&mut bench.recording, turned, (tokens, stride), &qkv_slice, &angles_slice, &scale_slice)?;
    let turned = reference::rope::Heads { q, k, dim, interleaved: heads.pairs == RopePairs::Interleaved };
    reference::rope::compute(turned, stride, &angles, &q_scale, &mut qkv);
    bench.expect(&qkv_slice, qkv);
    Ok(())
}

/// Every patch sees every patch; queries, keys and values side by side.
fn full_attention(bench: &mut Bench<'_>, heads: Heads) -> Result<()> {
    let (count, head_dim, tokens) = (2, heads.head_dim, 33);
    let width = count * head_dim;
    let qkv = bench.numbers(tokens * 3 * width);
    let shape = reference::attention::Shape {
        q_tokens: tokens,
        kv_tokens: tokens,
        q_heads: count,
        kv_heads: count,
        head_dim,
        causal_past: None,
    };
    let fused = bench.upload(&qkv)?;
    let [q, k, v] =
        [0, 1, 2].map(|part| attention::Heads { buffer: fused.clone(), stride: 3 * width, offset: part * width });
    let parts =
        [0, 1, 2].map(|part| reference::attention::Heads { values: &qkv, stride: 3 * width, offset: part * width });
    attend(bench, shape, &q, KeysValues::Rows { k: &k, v: &v }, parts, vec![UNWRITTEN; tokens * width])
}

/// Records an attention over queries, keys and values that the reference finds in `parts`.
pub(super) fn attend(
    bench: &mut Bench<'_>,
    shape: reference::attention::Shape,
    q: &attention::Heads,
    kv: KeysValues<'_>,
    parts: [reference::attention::Heads<'_>; 3],
    mut out: Vec<f32>,
) -> Result<()> {
    let reference::attention::Shape { q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past } = shape;
    let out_slice = bench.upload(&out)?;
    let launch = Attention { q, kv, out: &out_slice, q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past };
    attention::record(&mut bench.recording, &launch)?;
    let [q, k, v] = parts;
    reference::attention::compute(shape, q, k, v, &mut out);
    bench.expect(&out_slice, out);
    Ok(())
}

/// The reference's name for it: that room imports nothing.
pub(super) fn by_reference(activation: Activation) -> reference::activation::Activation {
    match activation {
        Activation::Silu => reference::activation::Activation::Silu,
        Activation::Gelu => reference::activation::Activation::Gelu,
        Activation::GeluTanh => reference::activation::Activation::GeluTanh,
    }
}

fn gate(bench: &mut Bench<'_>, activation: Activation) -> Result<()> {
    let (rows, width) = (3, 37);
    let gate_up: Vec<f32> = bench.numbers(rows * 2 * width).iter().map(|x| x * 6.0).collect();
    let mut y = vec![UNWRITTEN; rows * width];
    let (in_slice, y_slice) = (bench.upload(&gate_up)?, bench.upload(&y)?);
    glu::record(&mut bench.recording, (rows, width), activation, &in_slice, &y_slice)?;
    reference::glu::compute(width, by_reference(activation), &gate_up, &mut y);
    bench.expect(&y_slice, y);
    Ok(())
}

fn pointwise(bench: &mut Bench<'_>, kind: Activation) -> Result<()> {
    let mut x: Vec<f32> = bench.numbers(131).iter().map(|x| x * 6.0).collect();
    let x_slice = bench.upload(&x)?;
    activation::record(&mut bench.recording, x.len(), kind, &x_slice)?;
    reference::activation::compute(by_reference(kind), &mut x);
    bench.expect(&x_slice, x);
    Ok(())
}

/// All merged tokens but the first.
fn merge(bench: &mut Bench<'_>, vision: Vision) -> Result<()> {
    let ((rows, columns), channels, merge) = ((2, 3), 5, vision.merge);
    let (tokens, width) = (rows * columns, channels * merge * merge);
    let x = bench.numbers(tokens * width); // [tokens * merge * merge, channels]
    let mut y = vec![UNWRITTEN; tokens * width];
    let (x_slice, y_slice) = (bench.upload(&x)?, bench.upload(&y[width..])?);
    let squares = patch_merge::Squares { columns, merge, channels };
    patch_merge::record(&mut bench.recording, squares, 1..tokens, &x_slice, &y_slice)?;
    reference::patch_merge::compute((rows, columns), merge, channels, &x, &mut y);
    bench.expect(&y_slice, y.split_off(width));
    Ok(())
}

/// All patches but the first.
fn cut(bench: &mut Bench<'_>, vision: Vision) -> Result<()> {
    let side = vision.patch_size;
    let (width, height, mean, std) = (3 * side, 2 * side, [0.48, 0.46, 0.41], [0.27, 0.26, 0.28]);
    let words: Vec<u32> = (0..width * height).map(|_| bench.bits() & 0x00ff_ffff).collect(); // [height, width]
    let pixels: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut rows = vec![UNWRITTEN; width * height * 3];
    let patches = Patches { width, height, side, mean, std };
    let (words_slice, rows_slice) = (bench.upload(&words)?, bench.upload(&rows[patches.numbers()..])?);
    patchify::record(&mut bench.recording, &patches, 1..patches.count(), &words_slice, &rows_slice)?;
    reference::patchify::compute(&reference::patchify::Patches { width, height, side, mean, std }, &pixels, &mut rows);
    bench.expect(&rows_slice, rows.split_off(patches.numbers()));
    Ok(())
}
