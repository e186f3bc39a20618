//! The gate of a gated feed-forward.

use bytemuck::{Pod, Zeroable};

use super::lane_place;
use super::math::Activation;
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::work::Work;

/// Numbers that are activated at a time.
const AT_ONCE: usize = 256;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    rows: u32,
    width: u32,
    activation: u32,
    lane_layout: u32,
}

/// Writes `y = act(gate) * up`. Bindings: gate and up of each row: `// [rows, 2 * width]`, `y`: `// [rows, width]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Params { rows, width, activation, lane_layout } = launch.params()?;
    let (rows, width, activation) = (rows as usize, width as usize, Activation::of(activation));
    let len = rows.checked_mul(width).ok_or(Fault::OutOfBounds)?;
    let x: &[f32] = launch.input(0, [len, 2])?; // [rows, 2 * width]
    let y = launch.output::<f32, _>(1, [len])?; // [rows, width]
    while let Some(row) = work.next(rows) {
        let (gate, up) = x[2 * row * width..][..2 * width].split_at(width);
        for (first, (gate, up)) in (0..).step_by(AT_ONCE).zip(gate.chunks(AT_ONCE).zip(up.chunks(AT_ONCE))) {
            let mut part = [0.0; AT_ONCE];
            let part = &mut part[..gate.len()];
            part.copy_from_slice(gate);
            // SAFETY: Called within an entry of the set.
            unsafe { activation.all::<I>(part) };
            for (at, (gate, up)) in part.iter().zip(up).enumerate() {
                // SAFETY: Each row is given to one thread.
                unsafe { y.set(lane_place(row * width + first + at, lane_layout), gate * up) };
            }
        }
    }
    Ok(())
}
