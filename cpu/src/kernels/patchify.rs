//! Patches of a picture as rows, normalised, channel by channel.

use bytemuck::{Pod, Zeroable};

use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::work::Work;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    patches: u32,
    columns: u32,
    side: u32,
    width: u32,
    scale: [f32; 4],
    shift: [f32; 4],
    first: u32,
    merge: u32,
}

/// Writes rows of patches. Bindings: the pixels: `// [height, width]`, RGBX in bytes, the rows: `// [patches, 3 * side * side]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let p: Params = launch.params()?;
    let [patches, columns, side, width, first, merge] =
        [p.patches, p.columns, p.side, p.width, p.first, p.merge].map(|size| size as usize);
    let pixels: &[u32] = launch.whole(0)?; // [height, width]
    let area = side.checked_mul(side).ok_or(Fault::OutOfBounds)?;
    let numbers = area.checked_mul(3).ok_or(Fault::OutOfBounds)?;
    let rows = launch.output::<f32, _>(1, [patches, numbers])?; // [patches, numbers]
    if merge == 0 || columns < merge {
        return Err(Fault::OutOfBounds);
    }
    while let Some(patch) = work.next(patches) {
        let [row, column] = super::position_rows::place(first + patch, columns, merge);
        // SAFETY: Each patch is given to one thread.
        let to = unsafe { rows.part(patch * numbers, numbers) };
        for y in 0..side {
            let line = (row * side + y) * width + column * side;
            let line = pixels.get(line..line + side).ok_or(Fault::OutOfBounds)?;
            for (x, pixel) in line.iter().enumerate() {
                for channel in 0..3 {
                    let level = (pixel >> (8 * channel) & 255) as f32;
                    to[channel * area + y * side + x] = level * p.scale[channel] + p.shift[channel];
                }
            }
        }
    }
    Ok(())
}
