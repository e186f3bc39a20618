//! Common part of the sampling kernels: rules, and the buffers of an answer.
//!
//! Without filters a token is drawn by the exponential race, also known as the Gumbel-max trick: every token gets a random number that
//! depends only on the seed, the count of tokens drawn and its id, and the largest sum of tempered logit and Gumbel number wins
//! (<https://arxiv.org/abs/1611.00712>, 3.2). Filters first find their threshold; the same race then decides among the remaining tokens.

use crate::error::{Error, Result};
use crate::gpu::{Allocator, Buffer, Purpose, Slice};
use crate::sampling::options::{Past, SamplingOptions};

pub use crate::reference::sample_scan::NONE;
use crate::reference::sample_scan::{SEEN, repeated};

/// Most chunks that `sample_filter` can list, as in `shared/threshold.wgsl`.
const MAX_CHUNKS: usize = 2048;
/// Fewest tokens of a chunk.
const MIN_ROUNDS: usize = 16;
/// Lanes of a workgroup of `sample_scan`.
const LANES: usize = 64;
/// Limit of the sums of weights in `shared/u64.wgsl`.
const MAX_VOCAB: usize = 1 << 24;

/// Parameters of the sampling kernels: `Params` in `shared/sampling.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Rules {
    pub(super) vocab: u32,
    rounds: u32,
    /// Partial results of a scan.
    pub(super) chunks: u32,
    /// Partial results among which the token is chosen.
    pub(super) candidates: u32,
    greedy: u32,
    filters: u32,
    adjusts: u32,
    top_k: u32,
    seed: [u32; 2],
    top_p: u32,
    tail: f32,
    temperature: f32,
    frequency: f32,
    presence: f32,
    gap: f32,
    row: u32,
    masked: u32,
    repeated: [f32; 2],
}

/// Tokens of a chunk of a vocabulary, and number of chunks.
fn chunking(vocab: usize) -> (usize, usize) {
    let rounds = vocab.div_ceil(MAX_CHUNKS).next_power_of_two().max(MIN_ROUNDS);
    (rounds, vocab.div_ceil(LANES * rounds).max(1) * LANES)
}

impl Rules {
    /// Rules for a vocabulary.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for an option out of its range or a bias on a token the model does not have, [`Error::Internal`] for a
    /// vocabulary of 2^24 tokens or more.
    pub fn new(vocab: usize, options: &SamplingOptions) -> Result<Self> {
        options.validate()?;
        if vocab >= MAX_VOCAB {
            return Err(Error::Internal { detail: format!("a vocabulary of {vocab} tokens") });
        }
        let &SamplingOptions { temperature, top_p, min_p, seed, frequency_penalty, presence_penalty, .. } = options;
        let top_k = options.top_k.unwrap_or(vocab).min(vocab);
        if let Some(id) = options.logit_bias.keys().find(|&&id| id as usize >= vocab) {
            return Err(Error::request(format!("logit_bias.{id}"), "the model has no such token"));
        }
        // With one token left the result is the same as at temperature 0.
        let greedy = temperature == 0.0 || top_k <= 1 || top_p == 0.0;
        let filters = [top_k < vocab, top_p < 1.0, min_p > 0.0];
        let filters = (0..).zip(filters).map(|(bit, is_on)| u32::from(is_on && !greedy) << bit).sum();
        let (rounds, chunks) = chunking(vocab);
        // Lower temperatures make no difference, but would be subnormal.
        let temperature = temperature.max(1e-37);
        Ok(Self {
            vocab: vocab as u32,
            rounds: rounds as u32,
            chunks: chunks as u32,
            candidates: if filters == 0 { chunks as u32 } else { 1 },
            greedy: greedy.into(),
            filters,
            adjusts: options.adjusts().into(),
            top_k: top_k as u32,
            seed: [seed as u32, (seed >> 32) as u32],
            // Not read at 1.
            top_p: (f64::from(top_p) * 2f64.powi(32)).round() as u32,
            tail: (1.0 - f64::from(top_p)) as f32,
            temperature,
            frequency: frequency_penalty,
            presence: presence_penalty,
            gap: (f64::from(temperature) * f64::from(min_p).ln()).max(f32::MIN.into()) as f32,
            row: 0,
            masked: 0,
            repeated: repeated(options.repetition_penalty),
        })
    }

    /// Returns true if [`sample_filter`](super::sample_filter) is needed.
    pub fn filters(&self) -> bool {
        self.filters != 0
    }

    /// Returns true if the likeliest token is taken.
    pub fn is_greedy(&self) -> bool {
        self.greedy != 0
    }

    /// Returns true if there is a bias or a penalty.
    pub fn adjusts(&self) -> bool {
        self.adjusts != 0
    }

    /// Rules for row `row` of the logits; `masked` restricts them to the tokens of a mask.
    #[must_use]
    pub fn of_row(self, row: usize, masked: bool) -> Self {
        Self { row: row as u32, masked: masked.into(), ..self }
    }

    /// Returns true if only tokens of a mask are allowed.
    pub fn is_masked(&self) -> bool {
        self.masked != 0
    }

    /// The kernels' parameters.
    pub(super) fn bytes(&self) -> Vec<u8> {
        bytemuck::bytes_of(self).to_vec()
    }
}

/// The sampling of one answer on the GPU.
#[derive(Debug, Clone)]
pub struct Sampling {
    /// How tokens are drawn.
    pub rules: Rules,
    /// Winner of each chunk or [`NONE`]; first unusable logit in the format of [`super::sample::read`] or [`NONE`]. `// [chunks, 2]` in u32
    pub words: Slice,
    /// Logit of each chunk's winner; its Gumbel number, or with filters the weight of the chunk. `// [chunks, 2]`
    pub values: Slice,
    /// Bias of each token and how often it was drawn, [`SEEN`] more if the prompt contains it; not read unless the rules adjust logits. `// [vocab, 2]`
    pub adjust: Slice,
    /// Allowed tokens, if the rules have a mask: token `i` is bit `i % 32` of word `i / 32`. `// [rows, vocab / 32]` in u32
    pub mask: Slice,
}

/// Words of the mask for a row of logits.
pub fn mask_words(vocab: usize) -> usize {
    vocab.div_ceil(u32::BITS as usize)
}

impl Sampling {
    /// Bytes of the partial results of `rows` rows of logits.
    pub fn partials_bytes(vocab: usize, rows: usize) -> u64 {
        let (_, chunks) = chunking(vocab);
        2 * (rows * chunks * size_of::<[u32; 2]>()) as u64
    }

    /// Greedy sampling of each of `rows` rows of logits, with `partials` of [`Self::partials_bytes`]. `unread` is any other buffer.
    ///
    /// # Errors
    /// The same as for [`Rules::new`].
    pub fn greedy(vocab: usize, rows: usize, partials: &Buffer, unread: &Slice) -> Result<Self> {
        let options = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
        let half = Self::partials_bytes(vocab, rows) / 2;
        let (words, values) = (partials.slice(0..half), partials.slice(half..2 * half));
        let rules = Rules::new(vocab, &options)?;
        Ok(Self { rules, words, values, adjust: unread.clone(), mask: unread.clone() })
    }

    /// Buffers for one answer after `past`: 16 bytes a chunk, of which there are at most 2048, and with a bias or
    /// penalties 8 bytes a token.
    ///
    /// # Errors
    /// The same as for [`Rules::new`] and [`Allocator::alloc`].
    pub fn new(gpu: &dyn Allocator, vocab: usize, options: &SamplingOptions, past: Past<'_>) -> Result<Self> {
        let rules = Rules::new(vocab, options)?;
        let mut adjust = vec![[0f32; 2]; if rules.adjusts() { vocab } else { 1 }]; // [vocab, (bias, times drawn)]
        for (&id, &bias) in &options.logit_bias {
            if let Some([own, _]) = adjust.get_mut(id as usize) {
                *own = bias;
            }
        }
        for &id in past.drawn.iter().filter(|_| rules.adjusts()) {
            if let Some([_, times]) = adjust.get_mut(id as usize) {
                *times += 1.0;
            }
        }
        for &id in past.seen.iter().filter(|_| rules.adjusts()) {
            if let Some([_, times]) = adjust.get_mut(id as usize) {
                *times = times.floor() + SEEN;
            }
        }
        let partials = |label| gpu.alloc(label, Purpose::Activations, 8 * u64::from(rules.chunks));
        let words = partials("tokens of chunks")?.all();
        let values = partials("logits of chunks")?.all();
        let bytes: &[u8] = bytemuck::cast_slice(&adjust);
        let adjust =
            gpu.upload_with("bias and penalties", Purpose::Activations, bytes.len() as u64, &|| bytes.to_vec())?.all();
        let mask = adjust.clone();
        Ok(Self { rules, words, values, adjust, mask })
    }

    /// Restricts the sampling to a mask, which takes a bit for each token.
    ///
    /// # Errors
    /// The same as for [`Allocator::alloc`].
    pub fn masked(self, gpu: &dyn Allocator) -> Result<Self> {
        let bytes = size_of::<u32>() * mask_words(self.rules.vocab as usize);
        let mask = gpu.alloc("mask", Purpose::Activations, bytes as u64)?.all();
        Ok(Self { rules: self.rules.of_row(0, true), mask, ..self })
    }
}
