//! Exports of the wasm module that computes on the processor, for `www/src/worker/cpu.ts`. Addresses are offsets in the module's memory.

#![no_std]
#![cfg(target_arch = "wasm32")]
extern crate alloc;

use alloc::alloc::{alloc_zeroed, dealloc};
use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::panic::PanicInfo;

use dlmalloc::GlobalDlmalloc;
use ocelli_cpu::{Fault, InstructionSet, Scratch, Team};

#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// Alignment of buffers.
const ALIGNMENT: usize = 64;

/// Memory that the only thread works in.
struct Single(UnsafeCell<Scratch>);

// SAFETY: The module has one thread.
unsafe impl Sync for Single {}

static SCRATCH: Single = Single(UnsafeCell::new(Scratch::new()));

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.max(1), ALIGNMENT).ok()
}

/// The address of a new buffer of zeros; 0 if there is no memory for it.
#[unsafe(no_mangle)]
pub extern "C" fn allocate(bytes: usize) -> usize {
    // SAFETY: The layout has at least one byte.
    layout(bytes).map_or(0, |layout| unsafe { alloc_zeroed(layout) } as usize)
}

/// Frees a buffer of so many bytes.
///
/// # Safety
/// [`allocate`] returned the address for the same number of bytes, and nothing uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn release(at: usize, bytes: usize) {
    if let Some(layout) = layout(bytes) {
        // SAFETY: The caller vouches for address and size.
        unsafe { dealloc(at as *mut u8, layout) }
    }
}

/// Carries out a job of `len` words. Returns 0, or the number of a fault.
///
/// # Safety
/// The words are in a buffer, as are all spans of the job.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn run(words: *const u32, len: usize) -> u32 {
    let team = Team::new(1);
    // SAFETY: The caller vouches for the words and spans, and the module has one thread.
    let result = unsafe {
        let words = core::slice::from_raw_parts(words, len);
        ocelli_cpu::run(InstructionSet::WASM, words, &team, &mut *SCRATCH.0.get())
    };
    match result {
        Ok(()) => 0,
        Err(Fault::Malformed) => 1,
        Err(Fault::Missing) => 2,
        Err(Fault::OutOfBounds) => 3,
        Err(Fault::Panicked) => 4,
    }
}
