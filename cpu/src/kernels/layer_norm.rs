//! Layer norm of rows (<https://arxiv.org/abs/1607.06450>).

use bytemuck::{Pod, Zeroable};

use super::rms_norm::squares;
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::work::Work;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    width4: u32,
    eps: f32,
}

/// Writes `y = (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias`. Bindings: `x` and `y`: `// [rows, width]`, the weight and the bias:
/// `// [width]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Params { width4, eps } = launch.params()?;
    let (rows, width) = (launch.grid[0] as usize, width4 as usize * 4);
    let len = rows.checked_mul(width).ok_or(Fault::OutOfBounds)?;
    let x: &[f32] = launch.input(0, [len])?; // [rows, width]
    let y = launch.output::<f32, _>(1, [len])?; // [rows, width]
    let (weight, bias): (&[f32], &[f32]) = (launch.input(2, [width])?, launch.input(3, [width])?); // [width]
    while let Some(row) = work.next(rows) {
        let x = &x[row * width..][..width];
        // SAFETY: Each row is given to one thread.
        let y = unsafe { y.part(row * width, width) };
        let mean = sum(x) / width as f32;
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x - mean);
        // SAFETY: Called within an entry of the set.
        let scale = 1.0 / libm::sqrtf(unsafe { squares::<I>(y) } / width as f32 + eps);
        y.iter_mut().zip(weight.iter().zip(bias)).for_each(|(y, (weight, bias))| *y = *y * scale * weight + bias);
    }
    Ok(())
}

/// The sum, of eight sums that need not wait for one another.
fn sum(x: &[f32]) -> f32 {
    let (eights, rest) = x.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        sums.iter_mut().zip(eight).for_each(|(sum, x)| *sum += x);
    }
    sums.iter().chain(rest).sum()
}
