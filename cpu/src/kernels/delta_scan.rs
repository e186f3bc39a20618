//! The gated delta rule (<https://arxiv.org/abs/2412.06464>), token by token, after a short causal convolution with silu.

use bytemuck::{Pod, Zeroable};

use super::heads::sigmoid;
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::{Fault, Output};
use crate::op::Op;
use crate::work::Work;

/// Columns of a state that an item computes.
const COLUMNS: usize = 32;
/// Widest head.
const MAX_DIM: usize = 256;
/// Added to the sum of squares of queries and keys.
const EPS: f32 = 1e-6;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    tokens: u32,
    heads: u32,
    key_heads: u32,
    tiled: u32,
    stride: u32,
    offset: u32,
    keeps: u32,
}

/// Sizes and buffers of a launch.
struct Scan<'a> {
    heads: usize,
    dim: usize,
    stride: usize,
    offset: usize,
    channels: usize,
    rows: &'a [f32],
    before: Output<'a, f32>,
    weight: &'a [[f32; 4]],
    rate: &'a [f32],
    dt: &'a [f32],
}

/// For every token: `S *= e^g; d = beta * (v - S^T k); S += k d^T; o = S^T q`. Bindings: rows of queries, keys, values and gates: `// [tokens,
/// stride]`, the inputs before them: `// [3, channels]`, the weights of the convolution: `// [channels, 4]`, decay rates and biases: `// [heads]`,
/// the state: `// [heads, dim, dim]`, the outputs: `// [tokens, heads, dim]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Op::DeltaScan { dim } = launch.op else { return Err(Fault::Malformed) };
    let p: Params = launch.params()?;
    let [tokens, heads, keys, stride, offset] =
        [p.tokens, p.heads, p.key_heads, p.stride, p.offset].map(|size| size as usize);
    let dim = usize::from(dim);
    let channels = (2 * keys + heads).checked_mul(dim).ok_or(Fault::OutOfBounds)?;
    let fits = channels <= stride && offset.checked_add(2 * heads).is_some_and(|end| end <= stride);
    if dim > MAX_DIM || dim == 0 || dim % COLUMNS != 0 || keys == 0 || heads % keys != 0 || !fits {
        return Err(Fault::OutOfBounds);
    }
    let rows = launch.input(0, [tokens, stride])?; // [tokens, stride]
    let before = launch.output(1, [3, channels])?; // [3, channels], only read
    let (weight, rate, dt) = (launch.input(2, [channels])?, launch.input(3, [heads])?, launch.input(4, [heads])?);
    let state = launch.output::<f32, _>(5, [heads, dim, dim])?; // [heads, dim, dim]
    let out = launch.output::<f32, _>(6, [tokens, heads, dim])?; // [tokens, heads, dim]
    let scan = Scan { heads, dim, stride, offset, channels, rows, before, weight, rate, dt };
    let parts = dim / COLUMNS;
    while let Some(item) = work.next(heads * parts) {
        let (head, first) = (item / parts, item % parts * COLUMNS);
        let key_head = if p.tiled == 1 { head % keys } else { head / (heads / keys) };
        let channels_of = [key_head * dim, (keys + key_head) * dim, (2 * keys + head) * dim + first];
        let held = work.scratch(dim * COLUMNS); // [dim, COLUMNS]
        // SAFETY: Each item's columns are given to one thread.
        unsafe {
            for (row, to) in held.chunks_exact_mut(COLUMNS).enumerate() {
                to.copy_from_slice(state.part((head * dim + row) * dim + first, COLUMNS));
            }
            for token in 0..tokens {
                let to = out.part((token * heads + head) * dim + first, COLUMNS);
                scan.token(token, head, channels_of, held, to);
            }
            if p.keeps == 1 {
                for (row, from) in held.chunks_exact(COLUMNS).enumerate() {
                    state.part((head * dim + row) * dim + first, COLUMNS).copy_from_slice(from);
                }
            }
        }
    }
    Ok(())
}

impl Scan<'_> {
    /// The output of the convolution at a token, after silu.
    #[inline(always)]
    fn convolved(&self, token: usize, channel: usize) -> f32 {
        let input = |at: usize| match at.checked_sub(3) {
            // SAFETY: No thread writes these inputs in this launch.
            None => unsafe { self.before.get(at * self.channels + channel) },
            Some(token) => self.rows[token * self.stride + channel],
        };
        let weight = self.weight[channel];
        let sum: f32 = (0..4).map(|i| weight[i] * input(token + i)).sum();
        sum * sigmoid(sum)
    }

    /// Advances the state of a head's columns by a token. `q_k_v`: the first channels of query, key and value; `state`: `// [dim, COLUMNS]`;
    /// `out`: `// [COLUMNS]`.
    #[inline(always)]
    fn token(&self, token: usize, head: usize, q_k_v: [usize; 3], state: &mut [f32], out: &mut [f32]) {
        let (mut q, mut k) = ([0.0; MAX_DIM], [0.0; MAX_DIM]);
        let (q, k) = (&mut q[..self.dim], &mut k[..self.dim]);
        for (lane, (q, k)) in q.iter_mut().zip(k.iter_mut()).enumerate() {
            (*q, *k) = (self.convolved(token, q_k_v[0] + lane), self.convolved(token, q_k_v[1] + lane));
        }
        let length = |x: &[f32]| libm::sqrtf(x.iter().map(|x| x * x).sum::<f32>() + EPS);
        let q_scale = 1.0 / (length(q) * libm::sqrtf(self.dim as f32));
        let k_scale = 1.0 / length(k);
        let gates = &self.rows[token * self.stride + self.offset..][..2 * self.heads];
        let a = gates[self.heads + head] + self.dt[head];
        let softplus = if a <= 20.0 { libm::log1pf(libm::expf(a)) } else { a };
        let (decay, beta) = (libm::expf(self.rate[head] * softplus), sigmoid(gates[head]));
        let (mut of_q, mut of_k) = ([0.0; COLUMNS], [0.0; COLUMNS]);
        let mut products = 0.0;
        for ((row, &q), &k) in state.chunks_exact(COLUMNS).zip(q.iter()).zip(k.iter()) {
            products += q * k;
            for column in 0..COLUMNS {
                of_q[column] += row[column] * q;
                of_k[column] += row[column] * k;
            }
        }
        let mut d = [0.0; COLUMNS];
        for (column, d) in d.iter_mut().enumerate() {
            let v = self.convolved(token, q_k_v[2] + column);
            *d = (v - decay * k_scale * of_k[column]) * beta;
            out[column] = q_scale * (decay * of_q[column] + k_scale * products * *d);
        }
        for (row, &k) in state.chunks_exact_mut(COLUMNS).zip(k.iter()) {
            let k = k * k_scale;
            row.iter_mut().zip(&d).for_each(|(state, d)| *state = decay * *state + k * d);
        }
    }
}
