//! Root-mean-square norm of rows (<https://arxiv.org/abs/1910.07467>).

use bytemuck::{Pod, Zeroable};

use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::op::Op;
use crate::work::Work;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    width4: u32,
    eps: f32,
    weight_layout: u32,
}

/// Writes `y = x / sqrt(mean(x^2) + eps) * weight`, or adds it and may multiply the sum by a factor. `x`, `y`: `// [rows, width]`; `weight`:
/// `// [width]`; the factor: `// [1]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Params { width4, eps, weight_layout } = launch.params()?;
    let (rows, width) = (launch.grid[0] as usize, width4 as usize * 4);
    let len = rows.checked_mul(width).ok_or(Fault::OutOfBounds)?;
    let x: &[f32] = launch.input(0, [len])?; // [rows, width]
    let y = launch.output::<f32, _>(1, [len])?; // [rows, width]
    let weight: &[f32] = launch.input(2, [width])?; // [width]
    let Op::RmsNorm { adds, scales } = launch.op else { return Err(Fault::Malformed) };
    let factor = if scales { launch.input::<f32, _>(3, [1])?[0] } else { 1.0 };
    while let Some(row) = work.next(rows) {
        let x = &x[row * width..][..width];
        // SAFETY: Each row is given to one thread.
        let y = unsafe { y.part(row * width, width) };
        // SAFETY: Called within an entry of the set.
        let scale = 1.0 / libm::sqrtf(unsafe { squares::<I>(x) } / width as f32 + eps);
        for (index, (x, y)) in x.iter().zip(y).enumerate() {
            let normed = x * scale * weight[super::lane_place(index, weight_layout)];
            *y = if adds { *y + normed } else { normed } * factor;
        }
    }
    Ok(())
}

/// The sum of squares.
///
/// # Safety
/// The instruction set is there.
#[inline(always)]
pub(super) unsafe fn squares<I: Isa>(x: &[f32]) -> f32 {
    let (whole, rest) = x.split_at(x.len() / I::LANES * I::LANES);
    // SAFETY: The caller has the instructions, and chunks are whole vectors.
    let sum = unsafe {
        let mut sum = I::splat(0.0);
        for chunk in whole.chunks_exact(I::LANES) {
            let x = I::load(chunk.as_ptr());
            sum = I::fma(x, x, sum);
        }
        I::sum(sum)
    };
    rest.iter().fold(sum, |sum, x| sum + x * x)
}
