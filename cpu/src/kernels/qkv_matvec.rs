//! Queries, keys and values of a few tokens: norm, product, rotation and append to the cache.

use bytemuck::{Pod, Zeroable};

use super::cache::Store;
use super::inputs::{Inputs, Norm};
use super::matrix::{GROUP, Matrix};
use super::matvec::MAX_ROWS;
use super::step::Step;
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::{Fault, Output};
use crate::op::{Held, Op};
use crate::work::Work;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    m: u32,
    k4: u32,
    blocks: u32,
    tiles: u32,
    eps: f32,
    q_heads: u32,
    kv_heads: u32,
    q_layout: u32,
}

/// Appends rotated keys and values to the cache and writes rotated, scaled queries. Bindings: `x`: `// [m, k]`, the queries: `// [m, q_heads,
/// dim]`, the bias if there is one, the planes of the cache, the step buffer, the norm's weight, the planes of `w`: `// [(q + 2 * kv) * dim, k]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Op::QkvMatvec { layout, head_dim, is_interleaved, held, has_bias, rounds } = launch.op else {
        return Err(Fault::Malformed);
    };
    let format = &I::FORMATS[layout as usize];
    let Params { m, k4, blocks, eps, q_heads, kv_heads, q_layout, .. } = launch.params()?;
    let [m, k, dim, q, kv] = [m, k4 * 4, head_dim.into(), q_heads, kv_heads].map(|size| size as usize);
    if blocks as usize != k.div_ceil(super::matrix::BLOCK) || m > MAX_ROWS || held == Held::Int8 || dim % 8 != 0 {
        return Err(Fault::OutOfBounds);
    }
    let n = (q + 2 * kv) * dim;
    let x = launch.input(0, [m, k])?; // [m, k]
    let queries = launch.output(1, [m, q, dim])?; // [m, q_heads, dim]
    let bias = if has_bias { Some(launch.input(2, [n])?) } else { None };
    let store = Store::of(launch, 2 + usize::from(has_bias), held)?;
    let after = 2 + usize::from(has_bias) + store.bindings();
    let step = Step::of(launch.whole(after)?)?;
    let norm = Norm { weight: launch.input(after + 1, [k])?, eps };
    let matrix = Matrix::of(launch, after + 2, layout, n, blocks as usize)?;
    // SAFETY: As of this function; the scratch is not used otherwise.
    let inputs = unsafe { Inputs::of::<I>((layout, rounds), x, (m, k), Some(norm), work) }?;
    let heads = Heads { dim, q, kv, is_interleaved, bias, store, step, queries, q_layout };
    let (mut a, mut b) = ([[0.0; GROUP]; MAX_ROWS], [[0.0; GROUP]; MAX_ROWS]);
    while let Some(tile) = work.next(n / 8) {
        let [first, second] = heads.groups(tile);
        // SAFETY: Both groups are within the matrix; each item is given to one thread.
        unsafe {
            (format.group)(&matrix, first, &inputs, &mut a[..m]);
            (format.group)(&matrix, second, &inputs, &mut b[..m]);
            for row in 0..m {
                heads.write(row, tile, a[row], b[row])?;
            }
        }
    }
    Ok(())
}

/// Sizes and buffers of a launch.
struct Heads<'a> {
    dim: usize,
    q: usize,
    kv: usize,
    is_interleaved: bool,
    bias: Option<&'a [f32]>,
    store: Store<'a>,
    step: Step<'a>,
    queries: Output<'a, f32>,
    q_layout: u32,
}

impl Heads<'_> {
    /// The two groups of four rows of weights of a tile, which hold four pairs.
    fn groups(&self, tile: usize) -> [usize; 2] {
        let half = self.dim / 8;
        let (head, i) = (tile / half, tile % half);
        let first = head * self.dim / 4;
        if self.is_interleaved { [first + 2 * i, first + 2 * i + 1] } else { [first + i, first + i + half] }
    }

    /// Adds the bias, rotates the pairs of two groups, and stores them.
    ///
    /// # Safety
    /// No other thread writes the tile.
    unsafe fn write(&self, row: usize, tile: usize, mut a: [f32; 4], mut b: [f32; 4]) -> Result<(), Fault> {
        let [first, second] = self.groups(tile);
        if let Some(bias) = self.bias {
            (0..GROUP).for_each(|i| (a[i], b[i]) = (a[i] + bias[first * GROUP + i], b[i] + bias[second * GROUP + i]));
        }
        let half = self.dim / 8;
        let head = tile / half;
        let (keys, values) = (self.q * self.dim, (self.q + self.kv) * self.dim);
        let (conversation, index) = self.step.row(row)?;
        let position = conversation.position.checked_add(index).ok_or(Fault::OutOfBounds)?;
        let at = || Ok(conversation.kv_row(position)?.saturating_mul(self.kv * self.dim));
        if head >= self.q + self.kv {
            let at: usize = at()?;
            // SAFETY: As of this function.
            unsafe {
                self.store.values((first * GROUP - values).saturating_add(at), &a);
                self.store.values((second * GROUP - values).saturating_add(at), &b);
            }
            return Ok(());
        }
        let rotation = conversation.rotation(position, self.dim, (0, 1, self.dim + 4))?;
        let scale = if head < self.q { rotation.scale } else { 1.0 };
        let pairs = tile % half * 4;
        let angle = |pair: usize| [rotation.cos[pairs + pair] * scale, rotation.sin[pairs + pair] * scale];
        if self.is_interleaved {
            for (pair, four) in [&mut a, &mut b].into_iter().enumerate() {
                for i in 0..2 {
                    let ([x, y], [cos, sin]) = ([four[2 * i], four[2 * i + 1]], angle(2 * pair + i));
                    (four[2 * i], four[2 * i + 1]) = (x * cos - y * sin, y * cos + x * sin);
                }
            }
        } else {
            for i in 0..GROUP {
                let ([x, y], [cos, sin]) = ([a[i], b[i]], angle(i));
                (a[i], b[i]) = (x * cos - y * sin, y * cos + x * sin);
            }
        }
        // SAFETY: As of this function.
        unsafe {
            if head < self.q {
                for (group, four) in [(first, a), (second, b)] {
                    let to = row * keys + GROUP * query_place(group, self.q_layout);
                    four.into_iter().enumerate().for_each(|(i, x)| self.queries.set(to + i, x));
                }
            } else {
                let at: usize = at()?;
                self.store.keys((first * GROUP - keys).saturating_add(at), &a);
                self.store.keys((second * GROUP - keys).saturating_add(at), &b);
            }
        }
        Ok(())
    }
}

/// Index of four numbers of a query in the layout for lanes that share keys; 0 for the natural order.
#[inline(always)]
pub(crate) fn query_place(four: usize, log_loads: u32) -> usize {
    if log_loads == 0 { four } else { super::place(four * GROUP, 2, log_loads) / GROUP }
}
