//! The vision path composed of references, step by step against the one `transformers` ran (`tied_two_images`: four pictures).

use ocelli::config::{Activation, RopePairs};
use ocelli::reference::activation;
use ocelli::reference::attention::{self, Heads, Scoring, Shape};
use ocelli::reference::patchify::{self, Patches};
use ocelli::reference::{glu, patch_merge, rope};

use super::fixture::{Tensors, add_linear, assert_close, linear, rms_norm};

const CASE: &str = "four_pictures";
const LAYERS: usize = 2;
const SIDE: usize = 14;
const MERGE: usize = 2;
const HIDDEN: usize = 64;
const TEXT_HIDDEN: usize = 96;
const FEED_FORWARD: usize = 160;
const HEAD_DIM: usize = 32;
const HEADS: usize = HIDDEN / HEAD_DIM;

fn checkpoint() -> (Tensors, Tensors) {
    (Tensors::read("tied_two_images/model.safetensors"), Tensors::read("tied_two_images/expected.safetensors"))
}

/// Rows and columns of patches of every picture.
fn grids(expected: &Tensors) -> Vec<(usize, usize)> {
    let sizes = expected.get(&format!("{CASE}.image_sizes")); // [pictures, (height, width)]
    sizes.as_chunks().0.iter().map(|[height, width]| (*height as usize / SIDE, *width as usize / SIDE)).collect()
}

/// The patches of a picture. `// [rows * columns, 3 * SIDE * SIDE]`
fn patches(expected: &Tensors, picture: usize, (rows, columns): (usize, usize)) -> Vec<f32> {
    let rgb = expected.get(&format!("{CASE}.image.{picture}.resized")); // [height, width, 3]
    let pixels: Vec<u8> = rgb.as_chunks().0.iter().flat_map(|[r, g, b]| [*r as u8, *g as u8, *b as u8, 0xee]).collect();
    let patches = Patches {
        width: columns * SIDE,
        height: rows * SIDE,
        side: SIDE,
        merge: 1,
        mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
        std: [0.268_629_55, 0.261_302_6, 0.275_777_1],
    };
    let mut out = vec![f32::NAN; rgb.len()];
    patchify::compute(&patches, &pixels, &mut out);
    out
}

#[test]
fn patches_hold_the_pixels_of_transformers() {
    let (_, expected) = checkpoint();
    for picture in [2, 3] {
        let (rows, columns) = grids(&expected)[picture];
        let wanted = expected.get(&format!("{CASE}.image.{picture}.pixel_values")); // [3, height, width]
        let found = patches(&expected, picture, (rows, columns)); // [rows, columns, 3, SIDE, SIDE]
        let (height, width) = (rows * SIDE, columns * SIDE);
        let at = |i: usize| {
            let (channel, y, x) = (i / (height * width), i / width % height, i % width);
            ((y / SIDE * columns + x / SIDE) * 3 + channel) * SIDE * SIDE + y % SIDE * SIDE + x % SIDE
        };
        let found: Vec<f32> = (0..wanted.len()).map(|i| found[at(i)]).collect();
        assert_close(&found, &wanted, "pixel_values");
    }
}

#[test]
fn patch_embedding_is_that_of_transformers() {
    let (weights, expected) = checkpoint();
    let grids = grids(&expected).into_iter().enumerate();
    let patches: Vec<f32> = grids.flat_map(|(picture, grid)| patches(&expected, picture, grid)).collect();
    let embedded = linear(&patches, 3 * SIDE * SIDE, &weights.get("vision_tower.patch_conv.weight"));
    let normed = rms_norm(&embedded, &weights.get("vision_tower.ln_pre.weight"));
    assert_close(&normed, &expected.get(&format!("{CASE}.vision_hidden.0")), "vision_hidden.0");
}

/// Even frequencies turn with the row, odd ones with the column. `// [rows * columns, HEAD_DIM / 2, (cos, sin)]`
fn angles((rows, columns): (usize, usize)) -> Vec<f32> {
    let frequency = |i: usize| 10_000.0_f32.powf(-2.0 * i as f32 / HEAD_DIM as f32);
    let mut angles = Vec::new();
    for patch in 0..rows * columns {
        let by_row = (0..HEAD_DIM / 2).step_by(2).map(|i| (patch / columns) as f32 * frequency(i));
        let by_column = (1..HEAD_DIM / 2).step_by(2).map(|i| (patch % columns) as f32 * frequency(i));
        angles.extend(by_row.chain(by_column).flat_map(|angle| [angle.cos(), angle.sin()]));
    }
    angles
}

/// A layer of the tower over one picture.
fn layer(weights: &Tensors, index: usize, grid: (usize, usize), mut x: Vec<f32>) -> Vec<f32> {
    const STRIDE: usize = 3 * HIDDEN;
    let name = |name: &str| format!("vision_tower.transformer.layers.{index}.{name}.weight");
    let stacked = |names: &[&str]| weights.stacked(&names.iter().map(|n| name(n)).collect::<Vec<_>>());
    let tokens = grid.0 * grid.1;

    let normed = rms_norm(&x, &weights.get(&name("attention_norm")));
    let mut qkv = linear(&normed, HIDDEN, &stacked(&["attention.q_proj", "attention.k_proj", "attention.v_proj"]));
    let heads = rope::Heads { q: HEADS, kv: HEADS, dim: HEAD_DIM, pairs: RopePairs::Half };
    rope::compute(heads, STRIDE, &angles(grid), &vec![1.0; tokens], &mut qkv);
    let shape = Shape {
        q_tokens: tokens,
        kv_tokens: tokens,
        q_heads: HEADS,
        kv_heads: HEADS,
        head_dim: HEAD_DIM,
        causal_past: None,
    };
    let mut attended = vec![f32::NAN; tokens * HIDDEN];
    let [q, k, v] = [0, HIDDEN, 2 * HIDDEN].map(|offset| Heads { values: &qkv, stride: STRIDE, offset });
    attention::compute(shape, Scoring::of_heads(shape.head_dim), q, k, v, &mut attended);
    add_linear(&attended, HIDDEN, &weights.get(&name("attention.o_proj")), &mut x);

    let normed = rms_norm(&x, &weights.get(&name("ffn_norm")));
    let gate_up = linear(&normed, HIDDEN, &stacked(&["feed_forward.gate_proj", "feed_forward.up_proj"]));
    let mut gated = vec![f32::NAN; tokens * FEED_FORWARD];
    glu::compute(FEED_FORWARD, Activation::Silu, &gate_up, &mut gated);
    add_linear(&gated, FEED_FORWARD, &weights.get(&name("feed_forward.down_proj")), &mut x);
    x
}

#[test]
fn tower_layers_are_those_of_transformers() {
    let (weights, expected) = checkpoint();
    let grids = grids(&expected);
    for index in 0..LAYERS {
        let before = expected.get(&format!("{CASE}.vision_hidden.{index}")); // [patches of all pictures, HIDDEN]
        let mut rest = &before[..];
        let mut after = Vec::new();
        for &grid in &grids {
            let (x, others) = rest.split_at(grid.0 * grid.1 * HIDDEN);
            after.extend(layer(&weights, index, grid, x.to_vec()));
            rest = others;
        }
        let name = format!("{CASE}.vision_hidden.{}", index + 1);
        assert_close(&after, &expected.get(&name), &name);
    }
}

#[test]
fn projector_is_that_of_transformers() {
    let (weights, expected) = checkpoint();
    let weight = |name: &str| weights.get(&format!("multi_modal_projector.{name}.weight"));
    let tower = expected.get(&format!("{CASE}.vision_hidden.{LAYERS}"));
    let normed = rms_norm(&tower, &weight("norm"));
    let mut squares = vec![f32::NAN; normed.len()]; // [merged patches, HIDDEN * MERGE * MERGE]
    let mut done = 0;
    for (rows, columns) in grids(&expected) {
        let numbers = done..done + rows * columns * HIDDEN;
        done = numbers.end;
        let grid = (rows / MERGE, columns / MERGE);
        let merged = patch_merge::Squares { columns: grid.1, merge: MERGE, channels: HIDDEN };
        patch_merge::compute(merged, &normed[numbers.clone()], &mut squares[numbers]);
    }
    let merged = linear(&squares, HIDDEN * MERGE * MERGE, &weight("patch_merger.merging_layer"));
    assert_close(&merged, &expected.get(&format!("{CASE}.merged")), "merged");
    let mut features = linear(&merged, HIDDEN, &weight("linear_1"));
    activation::compute(Activation::Gelu, &mut features);
    let features = linear(&features, TEXT_HIDDEN, &weight("linear_2"));
    assert_close(&features, &expected.get(&format!("{CASE}.image_features")), "image_features");
}
