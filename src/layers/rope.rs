//! Tables of rotation angles for the decoder.
//!
//! As `transformers` computes them (`modeling_rope_utils.py`): frequencies and their products with
//! positions are rounded to `f32`, so that far positions rotate by the very angles the model was trained with.

use std::f64::consts::PI;

use crate::config::{QueryScaling, RopeConfig, RopePairs, YarnConfig};

/// Frequencies of a head's pairs. `// [head_dim / 2]`
pub fn inverse_frequencies(rope: &RopeConfig, head_dim: usize) -> Vec<f32> {
    let lanes = rope.pairs.lanes(head_dim);
    if lanes < head_dim {
        let mut frequencies = inverse_frequencies(&RopeConfig { pairs: RopePairs::Half, ..rope.clone() }, lanes);
        // What does not turn has no frequency.
        frequencies.resize(head_dim / 2, 0.0);
        return frequencies;
    }
    let plain = |i: usize| rope.theta.powf(-2.0 * i as f64 / head_dim as f64);
    let divisor =
        |i: usize| rope.divisors.as_ref().and_then(|all| all.get(i)).map_or(1.0, |&divisor| f64::from(divisor));
    let Some(yarn) = &rope.yarn else {
        return (0..head_dim / 2).map(|i| (plain(i) / divisor(i)) as f32).collect();
    };
    let (low, high) = ramp_ends(rope.theta, yarn, head_dim);
    let frequency = |i: usize| {
        // 0 keeps a frequency, 1 divides it by the factor.
        let ramp = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
        plain(i) * ((1.0 - ramp) + ramp / yarn.factor)
    };
    (0..head_dim / 2).map(|i| frequency(i) as f32).collect()
}

/// Between which pairs `YaRN` goes over from keeping to dividing.
fn ramp_ends(theta: f64, yarn: &YarnConfig, head_dim: usize) -> (f64, f64) {
    let dim = head_dim as f64;
    let pair_rotating = |rotations: f64| {
        dim * (yarn.original_max_position_embeddings / (rotations * 2.0 * PI)).ln() / (2.0 * theta.ln())
    };
    let (mut low, mut high) = (pair_rotating(yarn.beta_fast), pair_rotating(yarn.beta_slow));
    if yarn.truncate {
        (low, high) = (low.floor(), high.ceil());
    }
    (low, high) = (low.max(0.0), high.min(dim - 1.0));
    // The end may not meet the start.
    (low, if low == high { high + 0.001 } else { high })
}

/// Cosine and sine of every pair for positions on three axes. `// [positions, head_dim / 2, 2]`
pub fn text_angles(rope: &RopeConfig, frequencies: &[f32], positions: &[[usize; 3]]) -> Vec<[f32; 2]> {
    let factor = rope.yarn.as_ref().map_or(1.0, |yarn| yarn.attention_factor) as f32;
    let axes: Vec<usize> = (0..frequencies.len()).map(|pair| rope.axis(pair)).collect();
    let angles = |position: &[usize; 3]| {
        let pairs = frequencies.iter().zip(&axes);
        pairs.map(|(frequency, &axis)| rotation(frequency * position[axis] as f32, factor)).collect::<Vec<_>>()
    };
    positions.iter().flat_map(angles).collect()
}

/// What queries are multiplied by after the rotation. `// [tokens]`
pub fn query_scales(scaling: Option<&QueryScaling>, positions: &[[usize; 3]]) -> Vec<f32> {
    let scale = |&[position, ..]: &[usize; 3]| {
        let Some(QueryScaling { beta, original_max_position_embeddings }) = scaling else { return 1.0 };
        (1.0 + beta * (1.0 + (position as f64 / original_max_position_embeddings).floor()).ln()) as f32
    };
    positions.iter().map(scale).collect()
}

/// Cosine and sine of an angle, multiplied by a factor.
pub(super) fn rotation(angle: f32, factor: f32) -> [f32; 2] {
    let (sin, cos) = f64::from(angle).sin_cos();
    [cos as f32 * factor, sin as f32 * factor]
}
