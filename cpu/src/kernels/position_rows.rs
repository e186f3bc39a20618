//! Learned positions of patches: a square table stretched over a picture, with linear interpolation.

use bytemuck::{Pod, Zeroable};

use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::work::Work;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    patches: u32,
    first: u32,
    rows: u32,
    columns: u32,
    merge: u32,
    side: u32,
    width4: u32,
}

/// Row and column of a patch; patches come in squares of `merge` x `merge`, row by row of squares.
pub(super) fn place(index: usize, columns: usize, merge: usize) -> [usize; 2] {
    let (square, inside) = (index / (merge * merge), index % (merge * merge));
    let squares = columns / merge;
    [square / squares * merge + inside / merge, square % squares * merge + inside % merge]
}

/// Lower and upper place in a table of `side` for place `i` of `n` on an axis, and the weight of the upper one.
fn between(i: usize, n: usize, side: usize) -> (usize, usize, f32) {
    let at = i as f32 * (side - 1) as f32 / (n.max(2) - 1) as f32;
    let low = libm::floorf(at).min((side - 1) as f32);
    (low as usize, (low as usize + 1).min(side - 1), at - low)
}

/// Adds positions to patches. Bindings: the table: `// [side, side, width]`, `x`: `// [patches, width]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let p: Params = launch.params()?;
    let [patches, first, rows, columns, merge, side, width] =
        [p.patches, p.first, p.rows, p.columns, p.merge, p.side, p.width4 * 4].map(|size| size as usize);
    let cells = side.checked_mul(side).and_then(|cells| cells.checked_mul(width)).ok_or(Fault::OutOfBounds)?;
    let table: &[f32] = launch.input(0, [cells])?; // [side, side, width]
    let x = launch.output::<f32, _>(1, [patches, width])?; // [patches, width]
    if merge == 0 || columns < merge || side == 0 {
        return Err(Fault::OutOfBounds);
    }
    let entry = |row: usize, column: usize| &table[(row * side + column) * width..][..width];
    while let Some(patch) = work.next(patches) {
        let [row, column] = place(first + patch, columns, merge);
        let (top, bottom, down) = between(row, rows, side);
        let (left, right, across) = between(column, columns, side);
        let corners = [entry(top, left), entry(top, right), entry(bottom, left), entry(bottom, right)];
        // SAFETY: Each patch is given to one thread.
        for (at, x) in unsafe { x.part(patch * width, width) }.iter_mut().enumerate() {
            let upper = corners[0][at] * (1.0 - across) + corners[1][at] * across;
            let lower = corners[2][at] * (1.0 - across) + corners[3][at] * across;
            *x += upper * (1.0 - down) + lower * down;
        }
    }
    Ok(())
}
