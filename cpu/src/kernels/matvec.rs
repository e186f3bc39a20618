//! A few rows times a weight matrix, with an optional norm of the inputs.

use bytemuck::{Pod, Zeroable};

use super::inputs::{Inputs, Norm};
use super::matrix::{GROUP, Matrix};
use super::outputs::Outputs;
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::op::Op;
use crate::work::Work;

/// Most rows of inputs of a launch.
pub(crate) const MAX_ROWS: usize = 64;
/// Groups of four rows of weights of an item.
const GROUPS: usize = 8;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    m: u32,
    n: u32,
    k4: u32,
    blocks: u32,
    tiles: u32,
    eps: f32,
    y_stride: u32,
    y_offset: u32,
    flags: u32,
    first_row: u32,
    y_layout: u32,
}

/// Writes `y = norm(x) * w^T (+ bias) (+ y)`. Bindings: `x`: `// [m, k]`, `y`, the bias, the norm's weight if there is a norm, the planes of
/// `w`: `// [n, k]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Op::Matvec { layout, has_norm, rounds } = launch.op else { return Err(Fault::Malformed) };
    let format = &I::FORMATS[layout as usize];
    let Params { m, n, k4, blocks, eps, y_stride, y_offset, flags, first_row, y_layout, .. } = launch.params()?;
    let [m, n, k] = [m as usize, n as usize, k4 as usize * 4];
    if blocks as usize != k.div_ceil(super::matrix::BLOCK) || m > MAX_ROWS {
        return Err(Fault::OutOfBounds);
    }
    let x = launch.input(0, [m, k])?; // [m, k]
    let norm = if has_norm { Some(Norm { weight: launch.input(3, [k])?, eps }) } else { None };
    let matrix = Matrix::of(launch, 3 + usize::from(has_norm), layout, n, blocks as usize)?;
    let outputs = Outputs::of(launch, (m, n), (y_stride, y_offset), flags, first_row, y_layout)?;
    // SAFETY: As of this function; the scratch is not used otherwise.
    let inputs = unsafe { Inputs::of::<I>((layout, rounds), x, (m, k), norm, work) }?;
    let groups = n.div_ceil(GROUP);
    let mut results = [[0.0; GROUP]; MAX_ROWS];
    while let Some(item) = work.next(groups.div_ceil(GROUPS)) {
        for group in item * GROUPS..groups.min((item + 1) * GROUPS) {
            // SAFETY: The group is within the matrix; each item is given to one thread.
            unsafe {
                (format.group)(&matrix, group, &inputs, &mut results[..m]);
                results[..m].iter().enumerate().for_each(|(row, four)| outputs.store(row, group, *four));
            }
        }
    }
    Ok(())
}
