//! An allocator that counts the bytes held by the current thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::io::Write as _;

/// Larger than any valid allocation. The process ends, because a failed allocation could not be reported later.
const LARGEST_ALLOWED: usize = 4 << 30;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    static CASE: Cell<(&'static str, u64)> = const { Cell::new(("", 0)) };
}

fn grow(bytes: usize) {
    if bytes > LARGEST_ALLOWED {
        let (parser, case) = CASE.get();
        // No allocation is allowed here.
        let _ = writeln!(std::io::stderr(), "{parser}:{case} asks for {bytes} bytes at once");
        std::process::abort();
    }
    LIVE.set(LIVE.get() + bytes as i64);
    PEAK.set(PEAK.get().max(LIVE.get()));
    LARGEST.set(LARGEST.get().max(bytes));
}

fn shrink(bytes: usize) {
    LIVE.set(LIVE.get() - bytes as i64);
}

// SAFETY: every call is forwarded unchanged to the system's allocator; the counters are plain cells that never allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: guaranteed by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: guaranteed by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        shrink(layout.size());
        // SAFETY: guaranteed by the caller.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Counted as a copy: both blocks may exist for a moment.
        grow(size);
        shrink(layout.size());
        // SAFETY: guaranteed by the caller.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Memory use of a piece of work.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    /// Most bytes held at a time, beyond those held before.
    pub(crate) peak: u64,
    /// Bytes of the largest single allocation.
    pub(crate) largest: u64,
    /// Bytes still held at the end, including the result.
    pub(crate) kept: i64,
}

/// Runs `work` and measures it. `case` identifies the input in a report of an impossible request.
pub(crate) fn measured<T>(case: (&'static str, u64), work: impl FnOnce() -> T) -> (T, Taken) {
    CASE.set(case);
    LARGEST.set(0);
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    (result, Taken { peak: (PEAK.get() - before) as u64, largest: LARGEST.get() as u64, kept: LIVE.get() - before })
}

#[test]
fn the_peak_and_the_largest_are_counted() {
    let (sum, taken) = measured(("memory", 0), || {
        let first = vec![1u8; 1000];
        drop(black_box(vec![1u8; 5000]));
        let second = vec![1u8; 2000];
        first.len() + second.len()
    });
    assert_eq!(sum, 3000);
    assert_eq!((taken.peak, taken.largest), (6000, 5000));
}
