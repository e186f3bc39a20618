//! A pointwise activation, in place.

use bytemuck::{Pod, Zeroable};

use super::math::Activation;
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
    activation: u32,
}

/// Writes `x = act(x)`. `x`: `// [len]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Params { len, activation } = launch.params()?;
    let (len, activation) = (len as usize, Activation::of(activation));
    let x = launch.output::<f32, _>(0, [len])?; // [len]
    while let Some(item) = work.next(len.div_ceil(AT_ONCE)) {
        let first = item * AT_ONCE;
        // SAFETY: Each item is given to one thread, within an entry of the set.
        unsafe { activation.all::<I>(x.part(first, AT_ONCE.min(len - first))) }
    }
    Ok(())
}
