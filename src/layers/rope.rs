//! Tables of rotation angles for the decoder.
//!
//! Frequencies and their products with positions are rounded to `f32` as in `transformers` (`modeling_rope_utils.py`), so that distant
//! positions rotate by the same angles as in training.

use std::f64::consts::PI;

use crate::config::{QueryScaling, RopeConfig, RopePairs, TextConfig, YarnConfig};
use crate::kernels::rope_append::{table_row, table_stride};

/// Frequencies of a decoder's ropes.
#[derive(Debug)]
pub(super) struct RopeTables {
    /// `// [ropes, head_dim / 2]`
    frequencies: Vec<Vec<f32>>,
}

impl RopeTables {
    pub(super) fn new(config: &TextConfig) -> Self {
        Self { frequencies: config.ropes().map(|(rope, head_dim)| inverse_frequencies(rope, head_dim)).collect() }
    }

    /// Rows of the rope table in the step buffer, as words. `// [positions, ropes, table_stride]`
    pub(super) fn rows(&self, config: &TextConfig, positions: &[[usize; 3]]) -> Vec<u32> {
        let scales = query_scales(config.query_scaling.as_ref(), positions); // [positions]
        let mut words = Vec::with_capacity(positions.len() * words_of_position(config));
        for (position, scale) in positions.iter().zip(scales) {
            for ((rope, _), frequencies) in config.ropes().zip(&self.frequencies) {
                let rotations = text_angles(rope, frequencies, std::slice::from_ref(position)); // [head_dim / 2, 2]
                let end = words.len() + table_stride(config.widest_head());
                words.extend(table_row(&rotations, scale).map(f32::to_bits));
                words.resize(end, 0);
            }
        }
        words
    }
}

/// Words of a position in the rope table: a row for each rope, as long as that of the widest heads.
pub(super) fn words_of_position(config: &TextConfig) -> usize {
    config.ropes().count() * table_stride(config.widest_head())
}

/// Frequencies of a head's pairs. `// [head_dim / 2]`
pub fn inverse_frequencies(rope: &RopeConfig, head_dim: usize) -> Vec<f32> {
    let lanes = rope.pairs.lanes(head_dim);
    if lanes < head_dim {
        let mut frequencies = inverse_frequencies(&RopeConfig { pairs: RopePairs::Half, ..rope.clone() }, lanes);
        // Other lanes do not rotate.
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

/// Pairs between which `YaRN` changes from keeping frequencies to dividing them.
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
    // The start and the end must differ.
    (low, if low == high { high + 0.001 } else { high })
}

/// Cosine and sine of every pair, for positions on three axes. `// [positions, head_dim / 2, 2]`
pub fn text_angles(rope: &RopeConfig, frequencies: &[f32], positions: &[[usize; 3]]) -> Vec<[f32; 2]> {
    let factor = rope.yarn.as_ref().map_or(1.0, |yarn| yarn.attention_factor) as f32;
    let axes: Vec<usize> = (0..frequencies.len()).map(|pair| rope.axis(pair)).collect();
    let angles = |position: &[usize; 3]| {
        let pairs = frequencies.iter().zip(&axes);
        pairs.map(|(frequency, &axis)| rotation(frequency * position[axis] as f32, factor)).collect::<Vec<_>>()
    };
    positions.iter().flat_map(angles).collect()
}

/// Factors of queries after the rotation. `// [tokens]`
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
