//! A soft cap in place.

use bytemuck::{Pod, Zeroable};

use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::work::Work;

/// Numbers of an item.
const AT_ONCE: usize = 4096;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    len: u32,
    cap: f32,
}

/// Writes `x = cap * tanh(x / cap)`; NaN and infinities stay, for the sampler to find. `x`: `// [len]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Params { len, cap } = launch.params()?;
    let len = len as usize;
    let x = launch.output::<f32, _>(0, [len])?; // [len]
    while let Some(item) = work.next(len.div_ceil(AT_ONCE)) {
        let first = item * AT_ONCE;
        // SAFETY: Each item is given to one thread.
        for x in unsafe { x.part(first, AT_ONCE.min(len - first)) } {
            if x.is_finite() {
                *x = cap * libm::tanhf(*x / cap);
            }
        }
    }
    Ok(())
}
