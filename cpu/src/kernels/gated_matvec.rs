//! Gate and up of a feed-forward layer for a few rows, with an optional norm of the inputs.

use bytemuck::{Pod, Zeroable};

use super::inputs::{Inputs, Norm};
use super::math::Activation;
use super::matrix::{GROUP, Matrix};
use super::matvec::MAX_ROWS;
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::op::Op;
use crate::work::Work;

/// Groups of four outputs of an item.
const GROUPS: usize = 4;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    m: u32,
    k4: u32,
    blocks: u32,
    tiles: u32,
    eps: f32,
    activation: u32,
    y_layout: u32,
}

/// Writes `y = act(norm(x) * gate^T) * (norm(x) * up^T)`. Bindings: `x`: `// [m, k]`, `y`: `// [m, n]`, the norm's weight if there is a norm, the
/// planes of the gate's rows and then those of up: `// [2 * n, k]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Op::GatedMatvec { layout, has_norm, rounds } = launch.op else { return Err(Fault::Malformed) };
    let format = &I::FORMATS[layout as usize];
    let Params { m, k4, blocks, tiles, eps, activation, y_layout } = launch.params()?;
    let [m, k, tiles] = [m as usize, k4 as usize * 4, tiles as usize];
    if blocks as usize != k.div_ceil(super::matrix::BLOCK) || m > MAX_ROWS {
        return Err(Fault::OutOfBounds);
    }
    let n = tiles * GROUP;
    let x = launch.input(0, [m, k])?; // [m, k]
    let y = launch.output::<f32, _>(1, [m, n])?; // [m, n]
    let norm = if has_norm { Some(Norm { weight: launch.input(2, [k])?, eps }) } else { None };
    let matrix = Matrix::of(launch, 2 + usize::from(has_norm), layout, 2 * n, blocks as usize)?;
    // SAFETY: As of this function; the scratch is not used otherwise.
    let inputs = unsafe { Inputs::of::<I>((layout, rounds), x, (m, k), norm, work) }?;
    let activation = Activation::of(activation);
    let (mut gate, mut up) = ([[0.0; GROUP]; MAX_ROWS], [[0.0; GROUP]; MAX_ROWS]);
    while let Some(item) = work.next(tiles.div_ceil(GROUPS)) {
        for tile in item * GROUPS..tiles.min((item + 1) * GROUPS) {
            // SAFETY: Both groups are within the matrix; each item is given to one thread.
            unsafe {
                (format.group)(&matrix, tile, &inputs, &mut gate[..m]);
                (format.group)(&matrix, tile + tiles, &inputs, &mut up[..m]);
                for (row, (gate, up)) in gate[..m].iter().zip(&up[..m]).enumerate() {
                    for column in 0..GROUP {
                        let at = super::lane_place(row * n + tile * GROUP + column, y_layout);
                        y.set(at, activation.one::<I>(gate[column]) * up[column]);
                    }
                }
            }
        }
    }
    Ok(())
}
