//! Chains of multiply-adds: the arithmetic throughput of a thread.

use core::hint::black_box;

use bytemuck::{Pod, Zeroable};

use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::work::Work;

/// Independent chains, enough to hide the latency of a multiply-add.
const CHAINS: usize = 12;
/// Multiply-adds of a chain in a turn.
const UNROLLED: usize = 4;
/// Most turns of all vectors of a thread together, a few seconds of work.
const MAX_TURNS: usize = 1 << 26;
/// Most lanes of a vector.
const MAX_LANES: usize = 16;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    threads: u32,
    turns: u32,
}

/// Computes twelve chains for each number, of which those with the same start are equal. Bindings: `x` and `y`: `// [threads]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Params { threads, turns } = launch.params()?;
    let count = threads as usize;
    if count.div_ceil(I::LANES).saturating_mul(turns as usize) > MAX_TURNS.saturating_mul(work.threads()) {
        return Err(Fault::OutOfBounds);
    }
    let x: &[f32] = launch.input(0, [count])?; // [threads]
    let y = launch.output::<f32, _>(1, [count])?; // [threads]
    while let Some(item) = work.next(count.div_ceil(I::LANES)) {
        let first = item * I::LANES;
        let own = I::LANES.min(count - first);
        let mut lanes = [0.0; MAX_LANES];
        lanes[..own].copy_from_slice(&x[first..first + own]);
        // SAFETY: Called within an entry of the set; there is room for a vector. Each item is given to one thread.
        unsafe {
            let addend = I::load(lanes.as_ptr());
            let factor = I::mul(addend, I::splat(0.5));
            // The compiler must not know that chains are equal.
            let starts: [f32; CHAINS] = black_box(core::array::from_fn(|chain| (chain % 3) as f32));
            let mut chains = [addend; CHAINS];
            for chain in 0..CHAINS {
                chains[chain] = I::add(addend, I::splat(starts[chain]));
            }
            for _ in 0..turns as usize * UNROLLED {
                for chain in &mut chains {
                    *chain = I::fma(*chain, factor, addend);
                }
            }
            let mut sum = chains[0];
            for chain in &chains[1..] {
                sum = I::add(sum, *chain);
            }
            I::store(lanes.as_mut_ptr(), sum);
            y.part(first, own).copy_from_slice(&lanes[..own]);
        }
    }
    Ok(())
}
