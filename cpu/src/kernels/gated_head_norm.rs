//! Norm of the heads of a gated delta net with their gates, and the inputs of the convolution that the next tokens need.

use bytemuck::{Pod, Zeroable};

use super::heads::{MAX_DIM, sigmoid};
use super::lane_place;
use super::rms_norm::squares;
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::{Fault, Output};
use crate::work::Work;

/// Tokens before a row whose inputs the convolution reads.
const SEEN: usize = 3;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    tokens: u32,
    heads: u32,
    dim: u32,
    channels: u32,
    stride: u32,
    offset: u32,
    first: u32,
    eps: f32,
    lane_layout: u32,
}

/// Writes `x = x / sqrt(mean(x^2) + eps) * weight * silu(gate)` of each head, and keeps the last inputs of the convolution. Bindings: `x`:
/// `// [tokens, heads, dim]`, the rows with inputs and gates: `// [tokens, stride]`, the weight: `// [dim]`, the inputs: `// [3, channels]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let p: Params = launch.params()?;
    let [tokens, heads, dim, channels] = [p.tokens, p.heads, p.dim, p.channels].map(|size| size as usize);
    let [stride, offset, first] = [p.stride, p.offset, p.first].map(|size| size as usize);
    let gates = heads.checked_mul(dim).and_then(|width| width.checked_add(offset)).ok_or(Fault::OutOfBounds)?;
    if dim > MAX_DIM || dim == 0 || gates > stride || channels > stride || first > tokens {
        return Err(Fault::OutOfBounds);
    }
    let x = launch.output::<f32, _>(0, [tokens, heads, dim])?; // [tokens, heads, dim]
    let rows: &[f32] = launch.input(1, [tokens, stride])?; // [tokens, stride]
    let weight: &[f32] = launch.input(2, [dim])?; // [dim]
    let seen = launch.output::<f32, _>(3, [SEEN, channels])?; // [3, channels]
    // Rows of workgroups of the GPU's kernel: those of tokens, then one that keeps inputs.
    let end = first.saturating_add(launch.grid[1] as usize);
    let normed = end.min(tokens) - first;
    let keeps = usize::from(end > tokens);
    while let Some(item) = work.next(normed * heads + keeps) {
        if item == normed * heads {
            // SAFETY: One thread has this item, and heads are elsewhere.
            unsafe { keep(&seen, rows, (tokens, channels, stride)) };
            continue;
        }
        let (token, head) = (first + item / heads, item % heads);
        let at = (token * heads + head) * dim;
        let mut values = [0.0; MAX_DIM];
        // SAFETY: Each head is given to one thread, within an entry of the set.
        let (to, scale) = unsafe {
            let to = x.part(at, dim);
            values[..dim].copy_from_slice(to);
            (to, 1.0 / libm::sqrtf(squares::<I>(&values[..dim]) / dim as f32 + p.eps))
        };
        let gates = &rows[token * stride + offset + head * dim..][..dim];
        for (index, gate) in gates.iter().enumerate() {
            if let Some(to) = to.get_mut(lane_place(index, p.lane_layout)) {
                *to = values[index] * scale * weight[index] * gate * sigmoid(*gate);
            }
        }
    }
    Ok(())
}

/// Replaces the inputs before the rows by the last ones of the rows.
///
/// # Safety
/// No other thread uses them.
unsafe fn keep(seen: &Output<'_, f32>, rows: &[f32], (tokens, channels, stride): (usize, usize, usize)) {
    for channel in 0..channels {
        // SAFETY: As of this function.
        unsafe {
            let input = |t: usize| match t.checked_sub(SEEN) {
                None => seen.get(t * channels + channel),
                Some(t) => rows[t * stride + channel],
            };
            let last: [f32; SEEN] = core::array::from_fn(|i| input(tokens + i));
            last.into_iter().enumerate().for_each(|(i, x)| seen.set(i * channels + channel, x));
        }
    }
}
