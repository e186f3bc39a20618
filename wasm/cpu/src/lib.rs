//! Exports of the wasm module that computes on the processor, for `www/src/worker/cpu.ts`. Addresses are offsets in the module's memory. Where
//! that is shared, each helper is an instance of the module in a worker of its own.

#![no_std]
#![cfg(target_arch = "wasm32")]
extern crate alloc;

mod heap;

use alloc::alloc::{alloc_zeroed, dealloc};
use alloc::boxed::Box;
use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::panic::PanicInfo;

use ocelli_cpu::{Crew, Fault, InstructionSet, Scratch};

#[global_allocator]
static ALLOCATOR: heap::Heap = heap::Heap::new();

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// Alignment of buffers.
const ALIGNMENT: usize = 64;

/// Memory that the thread that brings jobs works in.
struct First(UnsafeCell<Scratch>);

// SAFETY: Only that thread uses it.
unsafe impl Sync for First {}

static SCRATCH: First = First(UnsafeCell::new(Scratch::new()));

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

/// Makes a crew of so many threads, which lives as long as the memory.
#[unsafe(no_mangle)]
pub extern "C" fn assemble(threads: u32) -> *const Crew {
    Box::leak(Box::new(Crew::new(InstructionSet::WASM, threads)))
}

/// Carries out a job of `len` words. Returns 0, or the number of a fault.
///
/// # Safety
/// [`assemble`] returned the crew, and this is the first thread. The words are in a buffer, as are all spans of the job.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn run(crew: *const Crew, words: *const u32, len: usize) -> u32 {
    // SAFETY: The caller vouches for the words and spans, and no other thread uses the scratch.
    let result = unsafe { (*crew).run(core::slice::from_raw_parts(words, len), &mut *SCRATCH.0.get()) };
    match result {
        Ok(()) => 0,
        Err(Fault::Malformed) => 1,
        Err(Fault::Missing) => 2,
        Err(Fault::OutOfBounds) => 3,
        Err(Fault::Panicked) => 4,
    }
}

/// Carries out all jobs after number `seen` as a helper. Never returns.
///
/// # Safety
/// [`assemble`] returned the crew. The stack of this instance is used by no other one.
#[cfg(target_feature = "atomics")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn serve(crew: *const Crew, seen: u32) {
    let (mut seen, mut scratch) = (seen, Scratch::new());
    loop {
        // SAFETY: The caller of `run` vouches for words and spans.
        seen = unsafe { (*crew).help(seen, &mut scratch) };
    }
}

/// Ends the present job of all threads after a trap of this one, and returns the number of the job.
///
/// # Safety
/// [`assemble`] returned the crew.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn break_off(crew: *const Crew, thread: u32) -> u32 {
    // SAFETY: The caller vouches for the crew.
    unsafe { (*crew).break_off(thread) }
}
