//! Means of runs of rows, as they are or normed without a weight.

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
    count: u32,
    eps: f32,
    normed: u32,
}

/// Writes `y = mean` or `y = norm(mean)`. Bindings: `x`: `// [runs * count, width]`, `y`: `// [runs, width]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Params { width4, count, eps, normed } = launch.params()?;
    let (runs, width, count) = (launch.grid[0] as usize, width4 as usize * 4, count as usize);
    if count == 0 || width == 0 {
        return Err(Fault::OutOfBounds);
    }
    let x: &[f32] = launch.input(0, [runs, count, width])?; // [runs, count, width]
    let y = launch.output::<f32, _>(1, [runs, width])?; // [runs, width]
    while let Some(run) = work.next(runs) {
        // SAFETY: Each run is given to one thread.
        let y = unsafe { y.part(run * width, width) };
        y.fill(0.0);
        for row in x[run * count * width..][..count * width].chunks_exact(width) {
            y.iter_mut().zip(row).for_each(|(y, x)| *y += x);
        }
        y.iter_mut().for_each(|y| *y /= count as f32);
        if normed == 1 {
            // SAFETY: Called within an entry of the set.
            let scale = 1.0 / libm::sqrtf(unsafe { squares::<I>(y) } / width as f32 + eps);
            y.iter_mut().for_each(|y| *y *= scale);
        }
    }
    Ok(())
}
