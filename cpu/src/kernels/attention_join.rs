//! Joins the partial results of a split attention of a step.

use bytemuck::{Pod, Zeroable};

use super::heads::{HIDDEN, MAX_DIM, sigmoid};
use super::lane_place;
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::op::Op;
use crate::work::Work;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    rows: u32,
    splits: u32,
    heads: u32,
    q_stride4: u32,
    gate_offset4: u32,
    lane_layout: u32,
}

/// Writes the results of all rows. Bindings: the partial results: `// [splits, rows, dim + 4]`, the results: `// [rows, dim]`, the rows with gates
/// if there are gates: `// [rows / heads, stride]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Op::AttentionJoin { head_dim, is_gated } = launch.op else { return Err(Fault::Malformed) };
    let p: Params = launch.params()?;
    let [rows, splits, heads] = [p.rows, p.splits, p.heads].map(|size| size as usize);
    let [stride, offset] = [p.q_stride4, p.gate_offset4].map(|size| size as usize * 4);
    let (dim, width) = (usize::from(head_dim), usize::from(head_dim) + 4);
    if dim == 0 || dim > MAX_DIM || is_gated && heads == 0 {
        return Err(Fault::OutOfBounds);
    }
    let len = rows.checked_mul(width).and_then(|row| row.checked_mul(splits)).ok_or(Fault::OutOfBounds)?;
    let partials: &[f32] = launch.input(0, [len])?; // [splits, rows, dim + 4]
    let out = launch.output::<f32, _>(1, [rows, dim])?; // [rows, dim]
    let gates: Option<&[f32]> = if is_gated { Some(launch.whole(2)?) } else { None };
    while let Some(row) = work.next(rows) {
        let part = |split: usize| &partials[(split * rows + row) * width..][..width];
        let peak = (0..splits).fold(HIDDEN, |peak, split| peak.max(part(split)[dim]));
        let (mut sums, mut total) = ([0.0_f32; MAX_DIM], 0.0);
        for split in 0..splits {
            let part = part(split);
            let weight = libm::expf(part[dim] - peak);
            total += weight * part[dim + 1];
            sums.iter_mut().zip(&part[..dim]).for_each(|(sum, x)| *sum += weight * x);
        }
        let gates = match gates {
            None => None,
            Some(gates) => {
                let first = (row / heads).checked_mul(stride).map(|first| first + offset + row % heads * dim);
                let rest = first.and_then(|first| gates.get(first..)).and_then(|rest| rest.get(..dim));
                Some(rest.ok_or(Fault::OutOfBounds)?)
            }
        };
        for (at, sum) in sums[..dim].iter().enumerate() {
            let result = sum / total * gates.map_or(1.0, |gates| sigmoid(gates[at]));
            // SAFETY: Each row is given to one thread.
            unsafe { out.set(lane_place(row * dim + at, p.lane_layout), result) };
        }
    }
    Ok(())
}
