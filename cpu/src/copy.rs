//! Copies between spans.

use crate::memory::{Fault, Output, Span, input};
use crate::work::Work;

/// Bytes that a thread copies at a time.
const COPIED_AT_ONCE: usize = 1 << 18;

/// Copies a span to another of at least its length, divided among the threads.
///
/// # Safety
/// The spans are allocated, and nothing else accesses them meanwhile.
pub(crate) unsafe fn copy(from: Span, to: Span, work: &mut Work<'_>) -> Result<(), Fault> {
    // SAFETY: The caller vouches for the memory.
    let source: &[u8] = unsafe { input(from) }?;
    let target = Output::<u8>::of(to)?.expect(source.len())?;
    let overlap = from.at < to.at + to.bytes && to.at < from.at + from.bytes;
    if overlap {
        return Err(Fault::OutOfBounds);
    }
    while let Some(item) = work.next(source.len().div_ceil(COPIED_AT_ONCE)) {
        let first = item * COPIED_AT_ONCE;
        let part = &source[first..source.len().min(first + COPIED_AT_ONCE)];
        // SAFETY: Each item is given to one thread, and items do not overlap.
        unsafe { target.part(first, part.len()) }.copy_from_slice(part);
    }
    Ok(())
}
