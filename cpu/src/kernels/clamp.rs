//! Columns of rows clamped between two numbers.

use bytemuck::{Pod, Zeroable};

use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::work::Work;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    rows: u32,
    width: u32,
    stride: u32,
    offset: u32,
}

/// Clamps in place. Bindings: the rows: `// [rows, stride]`, the lower and the upper bound: `// [1]` each.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let p: Params = launch.params()?;
    let [rows, width, stride, offset] = [p.rows, p.width, p.stride, p.offset].map(|size| size as usize);
    if offset.checked_add(width).is_none_or(|end| end > stride) {
        return Err(Fault::OutOfBounds);
    }
    let x = launch.output::<f32, _>(0, [rows, stride])?; // [rows, stride]
    let (low, high) = (launch.input::<f32, _>(1, [1])?[0], launch.input::<f32, _>(2, [1])?[0]);
    while let Some(row) = work.next(rows) {
        // SAFETY: Each row is given to one thread.
        let part = unsafe { x.part(row * stride + offset, width) };
        part.iter_mut().for_each(|x| *x = x.max(low).min(high));
    }
    Ok(())
}
