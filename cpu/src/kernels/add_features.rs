//! Features of a deeper layer of a picture, added to its image tokens.

use bytemuck::{Pod, Zeroable};

use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::work::Work;

/// Set in a source where the rest is a row of features.
const FEATURE: u32 = 0x8000_0000;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    tokens: u32,
    width4: u32,
    offset: u32,
}

/// Writes `x[t] += features[row + offset]` for tokens whose source is a row of features. Bindings: the sources: `// [tokens]`, the features: `// [rows,
/// width]`, `x`: `// [tokens, width]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Params { tokens, width4, offset } = launch.params()?;
    let [tokens, width, offset] = [tokens, width4 * 4, offset].map(|size| size as usize);
    let sources: &[u32] = launch.input(0, [tokens])?; // [tokens]
    let features: &[f32] = launch.whole(1)?; // [rows, width]
    let x = launch.output::<f32, _>(2, [tokens, width])?; // [tokens, width]
    while let Some(token) = work.next(tokens) {
        let source = sources[token];
        if source & FEATURE == 0 {
            continue;
        }
        let first = ((source & !FEATURE) as usize + offset) * width;
        let row = features.get(first..first + width).ok_or(Fault::OutOfBounds)?;
        // SAFETY: Each token is given to one thread.
        unsafe { x.part(token * width, width) }.iter_mut().zip(row).for_each(|(x, feature)| *x += feature);
    }
    Ok(())
}
