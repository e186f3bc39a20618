//! Squares of patches, each gathered into a row: channel slowest, then row, then column.

use bytemuck::{Pod, Zeroable};

use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::work::Work;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    tokens: u32,
    columns: u32,
    merge: u32,
    channels: u32,
    first: u32,
}

/// Writes the merged tokens. Bindings: the patches: `// [patches, channels]`, the tokens: `// [tokens, channels * merge * merge]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Params { tokens, columns, merge, channels, first } = launch.params()?;
    let [tokens, columns, merge, channels, first] = [tokens, columns, merge, channels, first].map(|size| size as usize);
    let square = merge.checked_mul(merge).ok_or(Fault::OutOfBounds)?;
    let width = channels.checked_mul(square).ok_or(Fault::OutOfBounds)?;
    let x: &[f32] = launch.whole(0)?; // [patches, channels]
    let y = launch.output::<f32, _>(1, [tokens, width])?; // [tokens, width]
    if columns == 0 || channels == 0 {
        return Err(Fault::OutOfBounds);
    }
    while let Some(token) = work.next(tokens) {
        let index = first + token;
        // SAFETY: Each token is given to one thread.
        let y = unsafe { y.part(token * width, width) };
        for inside in 0..square {
            let (row, column) = (index / columns * merge + inside / merge, index % columns * merge + inside % merge);
            let patch = (row * columns * merge + column) * channels;
            let patch = x.get(patch..patch + channels).ok_or(Fault::OutOfBounds)?;
            y.iter_mut().skip(inside).step_by(square).zip(patch).for_each(|(y, x)| *y = *x);
        }
    }
    Ok(())
}
