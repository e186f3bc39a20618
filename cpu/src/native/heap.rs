//! Zeroed memory for buffers.

use std::alloc::{Layout, alloc_zeroed, dealloc};

/// Alignment of buffers.
const ALIGNMENT: usize = 64;

/// Allocation of buffers in the memory of the process.
#[derive(Debug)]
pub(super) struct Heap;

impl Heap {
    /// The address of `bytes` zero bytes, aligned to 64; `None` if there is no memory for them.
    pub(super) fn alloc(bytes: u64) -> Option<u64> {
        let layout = layout(bytes)?;
        // SAFETY: The layout has at least one byte.
        let at = unsafe { alloc_zeroed(layout) };
        (!at.is_null()).then_some(at as u64)
    }

    /// Frees a buffer.
    ///
    /// # Safety
    /// [`Self::alloc`] returned the address for the same number of bytes, and nothing accesses it any more.
    pub(super) unsafe fn free(at: u64, bytes: u64) {
        if let Some(layout) = layout(bytes) {
            // SAFETY: The caller vouches for address and size.
            unsafe { dealloc(at as *mut u8, layout) }
        }
    }
}

fn layout(bytes: u64) -> Option<Layout> {
    Layout::from_size_align(usize::try_from(bytes.max(1)).ok()?, ALIGNMENT).ok()
}
