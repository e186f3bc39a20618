//! Grouped-query attention: scores, a full softmax, the weighted mean of the values (<https://arxiv.org/abs/2305.13245>).

/// A matrix of heads: row `t` holds head `h` from column `offset + h * head_dim` on.
#[derive(Debug, Clone, Copy)]
pub struct Heads<'a> {
    /// `// [tokens, stride]`
    pub values: &'a [f32],
    /// Width of a row.
    pub stride: usize,
    /// Column of the first head.
    pub offset: usize,
}

impl<'a> Heads<'a> {
    pub(super) fn head(&self, token: usize, head: usize, head_dim: usize) -> &'a [f32] {
        let first = token * self.stride + self.offset + head * head_dim;
        &self.values[first..first + head_dim]
    }
}

/// Sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Rows of `q`.
    pub q_tokens: usize,
    /// Rows of `k` and `v`.
    pub kv_tokens: usize,
    /// Query heads; a multiple of `kv_heads`.
    pub q_heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Position of the first query if the attention is causal; `None` if every query sees every key.
    pub causal_past: Option<usize>,
}

/// How scores follow from the products of queries and keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scoring {
    /// Factor of the products, above 0.
    pub scale: f32,
    /// Soft cap: a score becomes `cap * tanh(score / cap)`.
    pub soft_cap: Option<f32>,
    /// Window of a causal attention: keys that a query sees, the one at its own position included.
    pub window: Option<usize>,
}

/// The parts of [`Scoring`] that change a kernel's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ScoreOptions {
    /// There is a window.
    pub is_windowed: bool,
    /// There is a soft cap.
    pub is_capped: bool,
}

impl ScoreOptions {
    /// Their part of a kernel's name.
    pub fn label(self) -> &'static str {
        match (self.is_windowed, self.is_capped) {
            (false, false) => "",
            (true, false) => ",window",
            (false, true) => ",cap",
            (true, true) => ",window,cap",
        }
    }
}

impl Scoring {
    /// The usual scale, `head_dim^-0.5`, and no option.
    pub fn of_heads(head_dim: usize) -> Self {
        Self { scale: (head_dim as f32).sqrt().recip(), soft_cap: None, window: None }
    }

    /// Its options.
    pub fn options(&self) -> ScoreOptions {
        ScoreOptions { is_windowed: self.window.is_some(), is_capped: self.soft_cap.is_some() }
    }

    /// Position of the first key that a query at `position` sees.
    pub fn first_key(&self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }

    /// Factor of the products before their tanh, if there is a soft cap.
    pub fn squash(&self) -> Option<f32> {
        self.soft_cap.map(|cap| self.scale / cap)
    }

    /// The score of a product.
    pub(super) fn score(&self, product: f64) -> f64 {
        let score = product * f64::from(self.scale);
        self.soft_cap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
    }
}

/// Writes `softmax(score(q * k^T)) * v`. `out`: `// [q_tokens, q_heads * head_dim]`.
pub fn compute(shape: Shape, scoring: Scoring, q: Heads<'_>, k: Heads<'_>, v: Heads<'_>, out: &mut [f32]) {
    let Shape { q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past } = shape;
    for token in 0..q_tokens {
        let causal = |past: usize| scoring.first_key(past + token)..kv_tokens.min(past + token + 1);
        let seen = causal_past.map_or(0..kv_tokens, causal);
        for head in 0..q_heads {
            let kv_head = head / (q_heads / kv_heads);
            let query = q.head(token, head, head_dim);
            let score = |position| scoring.score(dot(query, k.head(position, kv_head, head_dim)));
            let weights = softmax(&seen.clone().map(score).collect::<Vec<_>>());
            let first = (token * q_heads + head) * head_dim;
            for (lane, out) in out[first..first + head_dim].iter_mut().enumerate() {
                let value = |position| f64::from(v.head(position, kv_head, head_dim)[lane]);
                *out =
                    seen.clone().zip(&weights).map(|(position, weight)| weight * value(position)).sum::<f64>() as f32;
            }
        }
    }
}

/// Multiplies results by the sigmoid of their gates. `out`, `gates`: `// [tokens, width]`.
pub fn gate(width: usize, gates: Heads<'_>, out: &mut [f32]) {
    for (token, out) in out.chunks_exact_mut(width).enumerate() {
        for (out, gate) in out.iter_mut().zip(gates.head(token, 0, width)) {
            *out = (f64::from(*out) / (1.0 + (-f64::from(*gate)).exp())) as f32;
        }
    }
}

pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// `exp(x) / sum(exp(x))`, relative to the largest score, which prevents overflow.
pub fn softmax(scores: &[f64]) -> Vec<f64> {
    let peak = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - peak).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}
