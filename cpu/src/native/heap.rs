//! Zeroed memory for buffers.

use std::alloc::{Layout, alloc_zeroed, dealloc};

/// Alignment of buffers.
const ALIGNMENT: usize = 64;

/// Bytes before a buffer for the address of its allocation.
const BEFORE: usize = size_of::<usize>();

/// Allocation of buffers in the memory of the process.
#[derive(Debug)]
pub(super) struct Heap;

impl Heap {
    /// The address of `bytes` zero bytes, aligned to 64; `None` if there is no memory for them. Pages of a large buffer become resident as they are
    /// written: the system gives zeros, which an allocation with a larger alignment would write once more.
    pub(super) fn alloc(bytes: u64) -> Option<u64> {
        let layout = layout(bytes)?;
        // SAFETY: The layout has at least one byte.
        let first = unsafe { alloc_zeroed(layout) };
        if first.is_null() {
            return None;
        }
        let past = ALIGNMENT - first as usize % ALIGNMENT;
        // SAFETY: At least as many bytes as an address has, and at most an alignment, are before the buffer.
        unsafe {
            let at = first.add(past);
            at.sub(BEFORE).cast::<usize>().write(first as usize);
            #[cfg(sanitized)]
            sanitizer::__asan_poison_memory_region(at.add(bytes as usize), ALIGNMENT - past);
            Some(at as u64)
        }
    }

    /// Frees a buffer.
    ///
    /// # Safety
    /// [`Self::alloc`] returned the address for the same number of bytes, and nothing accesses it any more.
    pub(super) unsafe fn free(at: u64, bytes: u64) {
        if let Some(layout) = layout(bytes) {
            // SAFETY: The caller vouches for address and size.
            unsafe {
                let first = (at as *const u8).sub(BEFORE).cast::<usize>().read();
                dealloc(first as *mut u8, layout);
            }
        }
    }
}

/// Room for a buffer and what is before it.
fn layout(bytes: u64) -> Option<Layout> {
    let room = usize::try_from(bytes).ok()?.checked_add(ALIGNMENT)?;
    Layout::from_size_align(room, BEFORE).ok()
}

/// The address sanitizer: it reports accesses to what is between the end of a buffer and that of its allocation.
#[cfg(sanitized)]
mod sanitizer {
    unsafe extern "C" {
        pub(super) fn __asan_poison_memory_region(at: *const u8, bytes: usize);
    }
}
