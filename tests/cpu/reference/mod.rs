//! The references against independent numbers: the standard library of Python, and layers that `transformers` ran
//! (`tests/fixtures/checkpoints`). The kernels are then tested against the references (`tests/gpu/kernels`).

mod angles;
mod cache;
mod decoder;
mod fixture;
mod rounded;
mod vision;

use ocelli::config::{Activation, RopePairs};
use ocelli::reference::activation;
use ocelli::reference::attention::{self, Heads, Scoring, Shape};
use ocelli::reference::{patch_merge, rms_norm, rope};

/// Largest difference between `f32` results of the same formula, relative to the wanted number.
const ROUNDING: f64 = 1.2e-7;

fn assert_close(found: f32, wanted: f64, what: &str) {
    assert!((f64::from(found) - wanted).abs() <= ROUNDING * wanted.abs(), "{what}: {found} is not {wanted}");
}

/// `python3 -c "import math; print([math.erf(x) for x in (0.001, 0.3, 1, 2, 3.5, 5.9)])"`
#[test]
fn erf_is_exact() {
    let golden = [
        (0.001, 0.0011283787909692365),
        (0.3, 0.3286267594591274),
        (1.0, 0.8427007929497149),
        (2.0, 0.9953222650189527),
        (3.5, 0.9999992569016276),
        (5.9, 0.9999999999999999),
        (1e300, 1.0),
        (0.0, 0.0),
    ];
    for (x, wanted) in golden {
        assert!((activation::erf(x) - wanted).abs() < 1e-15, "erf({x}) = {}", activation::erf(x));
        assert!((activation::erf(-x) + wanted).abs() < 1e-15, "erf(-{x}) = {}", activation::erf(-x));
    }
}

/// ```text
/// python3 -c "import math; X = (-3, -1, -.125, .125, 1, 3)
/// print([x / (1 + math.exp(-x)) for x in X])
/// print([x / 2 * (1 + math.erf(x / 2**.5)) for x in X])
/// print([x / 2 * (1 + math.tanh((2 / math.pi)**.5 * (x + .044715 * x**3))) for x in X])"
/// ```
#[test]
fn activations_are_those_of_python() {
    let x = [-3.0, -1.0, -0.125, 0.125, 1.0, 3.0];
    let golden = [
        (
            Activation::Silu,
            [
                -0.14227761953270035,
                -0.2689414213699951,
                -0.05859882832828047,
                0.06640117167171954,
                0.7310585786300049,
                2.8577223804672998,
            ],
        ),
        (
            Activation::Gelu,
            [
                -0.00404969409489031,
                -0.15865525393145707,
                -0.056282721896235885,
                0.06871727810376412,
                0.8413447460685429,
                2.99595030590511,
            ],
        ),
        (
            Activation::GeluTanh,
            [
                -0.0036373920817729943,
                -0.15880800939172324,
                -0.05628280137577661,
                0.06871719862422339,
                0.8411919906082768,
                2.996362607918227,
            ],
        ),
    ];
    for (kind, wanted) in golden {
        let mut y = x;
        activation::compute(kind, &mut y);
        for ((x, y), wanted) in x.iter().zip(y).zip(wanted) {
            assert_close(y, wanted, &format!("{kind:?}({x})"));
        }
    }
}

#[test]
fn activations_of_large_numbers_are_the_number_or_nothing() {
    for kind in [Activation::Silu, Activation::Gelu, Activation::GeluTanh] {
        for x in [200.0_f32, 1e4, 1e20, f32::MAX] {
            assert_eq!(activation::activate(kind, x), x, "{kind:?}");
            assert_eq!(activation::activate(kind, -x), 0.0, "{kind:?}");
        }
    }
}

/// Scores far apart, far below and far above zero: no overflow, no 0 / 0, and the same weights after adding a constant.
#[test]
fn softmax_does_not_overflow() {
    assert_eq!(attention::softmax(&[1000.0, -1000.0]), [1.0, 0.0]);
    assert_eq!(attention::softmax(&[-1000.0, -1000.0]), [0.5, 0.5]);
    for shift in [-1000.0, 0.0, 1000.0] {
        // exp(-ln 3) = 1 / 3
        let weights = attention::softmax(&[shift, shift - 3.0_f64.ln()]);
        assert!((weights[0] - 0.75).abs() < 1e-12 && (weights[1] - 0.25).abs() < 1e-12, "{weights:?}");
    }
}

/// Two heads of 4 lanes, scale 1/2: scores of a thousand choose a key, equal ones take the mean.
#[test]
fn attention_with_scores_of_a_thousand() {
    let shape = |causal_past| Shape { q_tokens: 2, kv_tokens: 2, q_heads: 2, kv_heads: 1, head_dim: 4, causal_past };
    let heads = |values, stride| Heads { values, stride, offset: 0 };
    // [2, 2, 4]: token 0 looks for key 0 and against it, token 1 for key 1 and for nothing.
    let q = [2000.0, 0.0, 0.0, 0.0, -2000.0, 0.0, 0.0, 0.0, 0.0, 2000.0, 0.0, 0.0, 0.0, 0.0, 9.0, 0.0];
    let k = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]; // [2, 1, 4]
    let v = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]; // [2, 1, 4]
    let run = |causal_past| {
        let mut out = [f32::NAN; 16];
        attention::compute(
            shape(causal_past),
            Scoring::of_heads(4),
            heads(&q, 8),
            heads(&k, 4),
            heads(&v, 4),
            &mut out,
        );
        out
    };
    let (first, second, mean) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [3.0, 4.0, 5.0, 6.0]);
    assert_eq!(run(None).as_slice(), [first, second, second, mean].concat());
    // Token 0 cannot see key 1.
    assert_eq!(run(Some(0)).as_slice(), [first, first, second, mean].concat());
    assert_eq!(run(Some(1)), run(None));
}

/// A head with its lanes in the other order is rotated by the same angles.
#[test]
fn both_rope_pairings_are_one_up_to_the_order_of_lanes() {
    let (tokens, dim, heads) = (3, 8, 3);
    let numbers: Vec<f32> = (0..tokens * heads * dim).map(|i| (i as f32 * 0.7).sin()).collect(); // [tokens, heads, dim]
    let angles: Vec<f32> = (0..tokens * dim / 2).flat_map(|i| [(i as f32).cos(), (i as f32).sin()]).collect(); // [tokens, dim / 2, 2]
    let q_scale = [1.0, 1.5, 0.25];
    // Lane j of the half order is lane 2j of the interleaved one, lane j + dim / 2 is 2j + 1.
    let half_lane = |lane: usize| lane / 2 + lane % 2 * dim / 2;
    let interleave = |numbers: &[f32]| -> Vec<f32> {
        numbers.chunks_exact(dim).flat_map(|head| (0..dim).map(|lane| head[half_lane(lane)])).collect()
    };
    let turned = |numbers: &[f32], pairs| {
        let mut qkv = numbers.to_vec();
        rope::compute(rope::Heads { q: 2, kv: 1, dim, pairs }, heads * dim, &angles, &q_scale, &mut qkv);
        qkv
    };
    let half = turned(&numbers, RopePairs::Half);
    assert_eq!(interleave(&half), turned(&interleave(&numbers), RopePairs::Interleaved));
    assert_ne!(half, numbers);
    // The first pair of the second token's first query: a quarter turn would be 90 degrees, this is 4 radians, times 1.5.
    let at = heads * dim;
    let (a, b) = (f64::from(numbers[at]), f64::from(numbers[at + dim / 2]));
    let (sin, cos) = 4.0_f64.sin_cos();
    assert!((f64::from(half[at]) - 1.5 * (a * cos - b * sin)).abs() < 1e-6);
    assert!((f64::from(half[at + dim / 2]) - 1.5 * (b * cos + a * sin)).abs() < 1e-6);
}

/// The order of `torch.nn.functional.unfold(x.permute(2, 0, 1)[None], kernel_size=2, stride=2)[0].t()`; `vision` tests that the layers of
/// `transformers` expect it.
///
/// ```text
/// python3 -c "R = range(2); print([dy * 12 + column * 4 + dx * 2 + channel
///   for column in range(3) for channel in R for dy in R for dx in R])"
/// ```
#[test]
fn patch_merge_has_the_order_of_unfold() {
    let x: Vec<f32> = (0..24_u8).map(f32::from).collect(); // [2, 6, 2]
    let mut y = [f32::NAN; 24]; // [3, 2 * 2 * 2]
    patch_merge::compute(patch_merge::Squares { columns: 3, merge: 2, channels: 2 }, &x, &mut y);
    let merged = [
        0.0, 2.0, 12.0, 14.0, 1.0, 3.0, 13.0, 15.0, 4.0, 6.0, 16.0, 18.0, 5.0, 7.0, 17.0, 19.0, 8.0, 10.0, 20.0, 22.0,
        9.0, 11.0, 21.0, 23.0,
    ];
    assert_eq!(y, merged);
}

/// Rows (3, 4) and (0, 0): a root mean square of 5 / sqrt(2), and only eps.
#[test]
fn rms_norm_by_hand() {
    let mut y = [f32::NAN; 4];
    rms_norm::compute(0.5, &[3.0, 4.0, 0.0, 0.0], &[2.0, 1.0], &mut y);
    let rms = 13.0_f64.sqrt();
    assert_close(y[0], 6.0 / rms, "first");
    assert_close(y[1], 4.0 / rms, "second");
    assert_eq!(y[2..], [0.0, 0.0]);
}
