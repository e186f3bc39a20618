//! A gate of some columns of wider rows.

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
    stride: u32,
    offset: u32,
    lane_layout: u32,
}

/// Writes `y = act(gate) * factors`. Bindings: the gate: `// [rows, width]`, rows with the factors: `// [rows, stride]`, `y`: `// [rows, width]`.
/// An offset beyond the first row skips rows of factors.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let p: Params = launch.params()?;
    let [rows, width, stride, offset] = [p.rows, p.width, p.stride, p.offset].map(|size| size as usize);
    let activation = Activation::of(p.activation);
    let first = rows.saturating_sub(1).checked_mul(stride).and_then(|first| first.checked_add(offset));
    let len = first.and_then(|first| first.checked_add(width)).ok_or(Fault::OutOfBounds)?;
    let gate: &[f32] = launch.input(0, [rows, width])?; // [rows, width]
    let factors: &[f32] = launch.input(1, [len])?; // [rows, stride], from the first row of the binding to the end of the last factors
    let y = launch.output::<f32, _>(2, [rows, width])?; // [rows, width]
    while let Some(row) = work.next(rows) {
        let (gate, factors) = (&gate[row * width..][..width], &factors[row * stride + offset..][..width]);
        for (first, (gate, factors)) in (0..).step_by(AT_ONCE).zip(gate.chunks(AT_ONCE).zip(factors.chunks(AT_ONCE))) {
            let mut part = [0.0; AT_ONCE];
            let part = &mut part[..gate.len()];
            part.copy_from_slice(gate);
            // SAFETY: Called within an entry of the set.
            unsafe { activation.all::<I>(part) };
            for (at, (gate, factor)) in part.iter().zip(factors).enumerate() {
                // SAFETY: Each row is given to one thread.
                unsafe { y.set(lane_place(row * width + first + at, p.lane_layout), gate * factor) };
            }
        }
    }
    Ok(())
}
