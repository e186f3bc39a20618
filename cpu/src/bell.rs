//! Waiting for a word to change: a short while awake, then asleep where the platform has that.

use core::hint;
use core::sync::atomic::{AtomicU32, Ordering};

#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
use core::arch::wasm32;
#[cfg(feature = "native")]
use std::sync::{Condvar, Mutex, PoisonError};

/// Turns of a loop before a waiting thread sleeps, some tens of microseconds: longer than a thread waits within a job, and than the next token takes to
/// be submitted.
const SPINS: u32 = 2_000;

/// Wakes the threads that wait for a word.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    #[cfg(feature = "native")]
    asleep: Mutex<()>,
    #[cfg(feature = "native")]
    rung: Condvar,
    /// Threads that sleep or are about to.
    #[cfg(feature = "native")]
    sleepers: AtomicU32,
}

impl Bell {
    /// Returns after the word has another value than `before`.
    pub(crate) fn wait(&self, word: &AtomicU32, before: u32) {
        let mut spins = 0;
        while word.load(Ordering::Acquire) == before {
            spins += 1;
            if spins < SPINS {
                hint::spin_loop();
            } else {
                self.sleep(word, before);
            }
        }
    }

    #[cfg(feature = "native")]
    fn sleep(&self, word: &AtomicU32, before: u32) {
        let mut asleep = self.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        while word.load(Ordering::SeqCst) == before {
            asleep = self.rung.wait(asleep).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }

    // Apart: V8 of Node 20 compiles a loop around the instruction so that it reads an old value for ever.
    #[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
    #[inline(never)]
    fn sleep(&self, word: &AtomicU32, before: u32) {
        // SAFETY: The word is aligned, and in shared memory, where threads may sleep.
        unsafe { wasm32::memory_atomic_wait32(word.as_ptr().cast(), before as i32, -1) };
    }

    #[cfg(not(any(feature = "native", all(target_arch = "wasm32", target_feature = "atomics"))))]
    fn sleep(&self, _: &AtomicU32, _: u32) {
        hint::spin_loop();
    }

    /// Gives the word another value and wakes those that wait for it.
    pub(crate) fn ring(&self, word: &AtomicU32, value: u32) {
        word.store(value, Ordering::SeqCst);
        self.wake(word);
    }

    /// Adds one to the word and wakes those that wait for it.
    pub(crate) fn add(&self, word: &AtomicU32) {
        word.fetch_add(1, Ordering::SeqCst);
        self.wake(word);
    }

    #[cfg(feature = "native")]
    fn wake(&self, _: &AtomicU32) {
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            // A thread that is about to sleep has the lock, and looks at the word again before it sleeps.
            drop(self.asleep.lock().unwrap_or_else(PoisonError::into_inner));
            self.rung.notify_all();
        }
    }

    #[cfg(not(feature = "native"))]
    #[cfg_attr(
        not(target_feature = "atomics"),
        expect(unused_variables, reason = "nothing waits without shared memory")
    )]
    fn wake(&self, word: &AtomicU32) {
        #[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
        // SAFETY: The word is aligned and in the module's memory.
        unsafe {
            wasm32::memory_atomic_notify(word.as_ptr().cast(), u32::MAX)
        };
    }
}
