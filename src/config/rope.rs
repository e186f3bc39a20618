//! The rotary position embedding of a decoder.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// Rotary position embedding of the decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RopeConfig {
    /// Base of the frequencies.
    pub theta: f64,
    /// Which lanes of a head form a pair.
    pub pairs: RopePairs,
    /// Context extension by `YaRN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yarn: Option<YarnConfig>,
    /// Context extension by a table: what the frequency of each pair of lanes is divided by. `// [head_dim / 2]`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divisors: Option<Vec<f32>>,
    /// Where pictures have positions on three axes, time, rows and columns: pairs of lanes that follow each. The axes take turns, pair by
    /// pair, for as long as they have pairs left; behind that all follow time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sections: Option<[usize; 3]>,
}

impl RopeConfig {
    /// A rope that is nothing but a base.
    pub fn plain(theta: f64, pairs: RopePairs) -> Self {
        Self { theta, pairs, yarn: None, divisors: None, sections: None }
    }

    /// The axis that a pair of lanes follows. Source: `apply_interleaved_mrope` of `transformers` `modeling_qwen3_vl.py`.
    pub fn axis(&self, pair: usize) -> usize {
        match (self.sections, pair % 3) {
            (Some(sections), axis @ 1..) if pair < 3 * sections[axis] => axis,
            _ => 0,
        }
    }
}

/// [`RopeConfig::divisors`] of Llama 3: waves longer than `original / low` positions are stretched by `factor`, those shorter than
/// `original / high` kept, those between in part. Source: `_compute_llama3_parameters` of `transformers` `modeling_rope_utils.py`.
pub fn llama_3_divisors(theta: f64, head_dim: usize, factor: f64, (low, high): (f64, f64), original: f64) -> Vec<f32> {
    let divisor = |i: usize| {
        let wavelength = 2.0 * PI * theta.powf(2.0 * i as f64 / head_dim as f64);
        // 0 divides a frequency by the factor, 1 keeps it.
        let kept = ((original / wavelength - low) / (high - low)).clamp(0.0, 1.0);
        (1.0 / ((1.0 - kept) / factor + kept)) as f32
    };
    (0..head_dim / 2).map(divisor).collect()
}

/// Which two lanes of a head rotate together. A property of the weight file, not of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Hash)]
#[serde(rename_all = "snake_case")]
pub enum RopePairs {
    /// Lanes `j` and `j + head_dim / 2`: Hugging Face checkpoints.
    Half,
    /// Lanes `2j` and `2j + 1`: consolidated and GGUF checkpoints.
    Interleaved,
    /// Lanes `j` and `j + n / 2` of the first `n`; the others do not rotate.
    First(usize),
}

impl RopePairs {
    /// Lanes of a head that rotate.
    pub fn lanes(self, head_dim: usize) -> usize {
        if let Self::First(lanes) = self { lanes } else { head_dim }
    }

    /// How far apart the lanes of the first pairs are, which is how many such pairs there are; the lanes of those behind are neighbours.
    pub fn apart(self, head_dim: usize) -> usize {
        if self == Self::Interleaved { 0 } else { self.lanes(head_dim) / 2 }
    }

    /// The lanes of a pair.
    pub fn of(self, pair: usize, head_dim: usize) -> [usize; 2] {
        let apart = self.apart(head_dim);
        if pair < apart { [pair, pair + apart] } else { [2 * pair, 2 * pair + 1] }
    }
}

/// `YaRN` (<https://arxiv.org/abs/2309.00071>), as `transformers` `modeling_rope_utils.py` computes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct YarnConfig {
    /// How much longer the extended context is.
    pub factor: f64,
    /// Context length before extension.
    pub original_max_position_embeddings: f64,
    /// Rotations above which a frequency is kept.
    pub beta_fast: f64,
    /// Rotations below which a frequency is divided by `factor`.
    pub beta_slow: f64,
    /// Factor on the cosine and sine tables, already worked out from `mscale`, `mscale_all_dim` or `attention_factor`.
    pub attention_factor: f64,
    /// Whether the two ends of the ramp are rounded to whole lanes.
    #[serde(default = "yes")]
    pub truncate: bool,
}

impl YarnConfig {
    /// [`Self::attention_factor`] by `_compute_yarn_parameters`: the ratio of both scales if both are given and not zero, else the paper's
    /// own.
    pub(crate) fn scale(factor: f64, mscale: Option<f64>, mscale_all_dim: Option<f64>) -> f64 {
        let scale = |mscale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 };
        match (mscale.filter(|m| *m != 0.0), mscale_all_dim.filter(|m| *m != 0.0)) {
            (Some(mscale), Some(all_dim)) => scale(mscale) / scale(all_dim),
            _ => scale(1.0),
        }
    }
}

fn yes() -> bool {
    true
}
