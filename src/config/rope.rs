//! The rotary position embedding of a decoder.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// Rotary position embedding of a decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RopeConfig {
    /// Base of the frequencies.
    pub theta: f64,
    /// Which lanes of a head form a pair.
    pub pairs: RopePairs,
    /// Context extension by `YaRN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yarn: Option<YarnConfig>,
    /// Context extension by a table: the divisor of each pair's frequency. `// [head_dim / 2]`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divisors: Option<Vec<f32>>,
    /// Pairs of lanes that follow each of three axes, time, rows and columns, in models whose pictures have such positions. The axes
    /// alternate, pair by pair, while they have pairs left; all pairs after that follow time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sections: Option<[usize; 3]>,
}

impl RopeConfig {
    /// A rope without context extension or axes.
    pub fn plain(theta: f64, pairs: RopePairs) -> Self {
        Self { theta, pairs, yarn: None, divisors: None, sections: None }
    }

    /// Returns the axis that a pair of lanes follows. Source: `apply_interleaved_mrope` of `transformers` `modeling_qwen3_vl.py`.
    pub fn axis(&self, pair: usize) -> usize {
        match (self.sections, pair % 3) {
            (Some(sections), axis @ 1..) if pair < 3 * sections[axis] => axis,
            _ => 0,
        }
    }
}

impl Default for RopeConfig {
    /// The rope of the original transformers with rotary embeddings: base 10,000, halves.
    fn default() -> Self {
        Self::plain(10_000.0, RopePairs::Half)
    }
}

/// Context extension of Llama 3, from which [`RopeConfig::divisors`] are computed.
#[derive(Debug, Clone, Copy)]
pub struct Llama3Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// Width of a head.
    pub head_dim: usize,
    /// Stretch of the longest waves.
    pub factor: f64,
    /// Waves longer than `original / low_freq_factor` positions are stretched by the factor.
    pub low_freq_factor: f64,
    /// Waves shorter than `original / high_freq_factor` positions are kept; those between are stretched in part.
    pub high_freq_factor: f64,
    /// Context length before extension.
    pub original_max_position_embeddings: f64,
}

impl Llama3Rope {
    /// Context extension of the published models, whose heads and factors differ.
    pub fn published(head_dim: usize, factor: f64) -> Self {
        let (low_freq_factor, high_freq_factor, original_max_position_embeddings) = (1.0, 4.0, 8192.0);
        Self { theta: 5e5, head_dim, factor, low_freq_factor, high_freq_factor, original_max_position_embeddings }
    }

    /// The divisors. Source: `_compute_llama3_parameters` of `transformers` `modeling_rope_utils.py`.
    pub fn divisors(&self) -> Vec<f32> {
        let (low, high) = (self.low_freq_factor, self.high_freq_factor);
        let divisor = |pair: usize| {
            let wavelength = 2.0 * PI * self.theta.powf(2.0 * pair as f64 / self.head_dim as f64);
            // 0 divides a frequency by the factor, 1 keeps it.
            let kept = ((self.original_max_position_embeddings / wavelength - low) / (high - low)).clamp(0.0, 1.0);
            (1.0 / ((1.0 - kept) / self.factor + kept)) as f32
        };
        (0..self.head_dim / 2).map(divisor).collect()
    }
}

/// The two lanes of a head that rotate together. A property of the weight file, not of the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Hash)]
#[serde(rename_all = "snake_case")]
pub enum RopePairs {
    /// Lanes `j` and `j + head_dim / 2`: Hugging Face checkpoints.
    #[default]
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

    /// Distance between the lanes of the first pairs, which is also the number of these pairs. The lanes of later pairs are neighbours.
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
    /// Length of the extended context relative to the original one.
    pub factor: f64,
    /// Context length before extension.
    pub original_max_position_embeddings: f64,
    /// Rotations above which a frequency is kept.
    pub beta_fast: f64,
    /// Rotations below which a frequency is divided by `factor`.
    pub beta_slow: f64,
    /// Factor on the cosine and sine tables, computed from `mscale`, `mscale_all_dim` or `attention_factor` on import.
    pub attention_factor: f64,
    /// True if the two ends of the ramp are rounded to whole lanes.
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
