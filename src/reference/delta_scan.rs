//! The gated delta rule (<https://arxiv.org/abs/2412.06464>), token by token, after a short causal convolution with silu.

/// Heads of a gated delta net.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaHeads {
    /// Key heads, and query heads.
    pub keys: usize,
    /// Value heads, a multiple of the key heads.
    pub values: usize,
    /// Width of a head; a multiple of [`COLUMNS`](crate::kernels::delta_scan::COLUMNS).
    pub dim: usize,
    /// Value head `i` uses key head `i % keys`, as in GGUF files; otherwise neighbours share a key head.
    pub tiled: bool,
}

impl DeltaHeads {
    /// The key head of a value head.
    pub fn key_head(self, value_head: usize) -> usize {
        if self.tiled { value_head % self.keys } else { value_head / (self.values / self.keys) }
    }
}

/// Rows with gates from a column on.
#[derive(Debug, Clone, Copy)]
pub struct GateRows<'a> {
    /// `// [tokens, stride]`
    pub rows: &'a [f32],
    /// Width of a row.
    pub stride: usize,
    /// Column of the first gate.
    pub offset: usize,
}

/// Added to the sum of squares of queries and keys.
const EPS: f64 = 1e-6;

/// `y[t] = silu(sum of weight[i] * x[t - 3 + i])` for every channel; `before` holds the inputs before the first token.
///
/// `rows`: `// [tokens, stride]`, channels first; `before`: `// [3, channels]`; `weight`: `// [channels, 4]`; returns `// [tokens,
/// channels]`.
pub fn convolved(rows: &[f32], stride: usize, before: &[f32], weight: &[f32]) -> Vec<f64> {
    let channels = weight.len() / 4;
    let seen = |at: usize, c: usize| if at < 3 { before[at * channels + c] } else { rows[(at - 3) * stride + c] };
    let y = |t: usize, c: usize| {
        let sum: f64 = (0..4).map(|i| f64::from(weight[4 * c + i]) * f64::from(seen(t + i, c))).sum();
        sum / (1.0 + (-sum).exp())
    };
    (0..rows.len() / stride).flat_map(|t| (0..channels).map(move |c| y(t, c))).collect()
}

/// For every token: `S *= e^g; d = beta * (v - S^T k); S += k d^T; o = S^T q`, where `g = rate * softplus(a + dt)`, `beta = sigmoid(b)`, and
/// queries and keys have length 1, queries are then divided by the root of `dim`. Computed in `f64`; the state and the outputs are stored in `f32`.
///
/// `y`: q, k and v from [`convolved`] `// [tokens, (2 * keys + values) * dim]`; gates: b of every value head, then a; `rate`, `dt`: `// [values]`; `state`:
/// `// [values, dim, dim]`; `out`: `// [tokens, values, dim]`.
pub fn compute(
    heads: DeltaHeads,
    y: &[f64],
    GateRows { rows, stride, offset }: GateRows<'_>,
    [rate, dt]: [&[f32]; 2],
    state: &mut [f32],
    out: &mut [f32],
) {
    let DeltaHeads { keys, values, dim, .. } = heads;
    let tokens = y.chunks_exact((2 * keys + values) * dim).zip(rows.chunks_exact(stride));
    for ((y, row), out) in tokens.zip(out.chunks_exact_mut(values * dim)) {
        let gates = &row[offset..];
        for head in 0..values {
            let of = |first: usize, head: usize| (0..dim).map(move |i| y[(first + head) * dim + i]);
            let unit = |first: usize| {
                let length = (of(first, heads.key_head(head)).map(|x| x * x).sum::<f64>() + EPS).sqrt();
                of(first, heads.key_head(head)).map(move |x| x / length).collect::<Vec<_>>()
            };
            let (q, k, v) = (unit(0), unit(keys), of(2 * keys, head));
            let (b, a) = (f64::from(gates[head]), f64::from(gates[values + head]) + f64::from(dt[head]));
            let softplus = if a > 20.0 { a } else { a.exp().ln_1p() };
            let (decay, beta) = ((f64::from(rate[head]) * softplus).exp(), 1.0 / (1.0 + (-b).exp()));
            let state = &mut state[head * dim * dim..(head + 1) * dim * dim]; // [keys' lanes, values' lanes]
            for (column, v) in v.enumerate() {
                let seen =
                    |x: &[f64], state: &[f32]| (0..dim).map(|i| x[i] * f64::from(state[i * dim + column])).sum::<f64>();
                let d = beta * (v - decay * seen(&k, state));
                for i in 0..dim {
                    let kept = &mut state[i * dim + column];
                    *kept = (decay * f64::from(*kept) + k[i] * d) as f32;
                }
                out[head * dim + column] = (seen(&q, state) / (dim as f64).sqrt()) as f32;
            }
        }
    }
}
