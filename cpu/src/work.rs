//! Division of launches among threads.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::bell::Bell;
use crate::memory::Fault;

/// Most items of a launch. Only a launch of empty rows, which no recording has, would have more.
const MAX_ITEMS: usize = 1 << 24;

/// Threads that carry out a job together.
#[derive(Debug)]
pub struct Team {
    threads: u32,
    /// The next item of the launch.
    next: AtomicU32,
    /// Threads that have reached the barrier.
    arrived: AtomicU32,
    /// Barriers passed.
    turn: AtomicU32,
    /// 1 after a fault of any thread.
    fault: AtomicU32,
    /// 1 after a thread has panicked: it reaches no barrier any more.
    broken: AtomicU32,
    bell: Bell,
}

impl Team {
    /// A team of so many threads.
    pub fn new(threads: u32) -> Self {
        let zero = || AtomicU32::new(0);
        Self {
            threads: threads.max(1),
            next: zero(),
            arrived: zero(),
            turn: zero(),
            fault: zero(),
            broken: zero(),
            bell: Bell::default(),
        }
    }

    /// Number of threads.
    pub fn threads(&self) -> u32 {
        self.threads
    }

    /// Forgets the last job. No thread may be in one.
    pub fn begin(&self) {
        [&self.next, &self.arrived, &self.fault, &self.broken].iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }
}

impl Team {
    /// Ends the job of all threads, because one has panicked.
    pub(crate) fn break_off(&self) {
        self.broken.store(1, Ordering::Release);
        self.bell.ring(&self.turn, self.turn.load(Ordering::Relaxed).wrapping_add(1));
    }
}

/// Memory that a thread works in.
#[derive(Debug, Default)]
pub struct Scratch(Vec<Line>);

impl Scratch {
    /// Scratch without memory yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }
}

/// A cache line of floats.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// The share of a thread in the launches of a job.
#[derive(Debug)]
pub struct Work<'a> {
    team: &'a Team,
    scratch: &'a mut Scratch,
}

impl<'a> Work<'a> {
    pub(crate) fn new(team: &'a Team, scratch: &'a mut Scratch) -> Self {
        Self { team, scratch }
    }

    /// The next of `count` items that no thread has taken; `None` after the last. More than [`MAX_ITEMS`] are a fault.
    #[inline(always)]
    pub fn next(&mut self, count: usize) -> Option<usize> {
        if count > MAX_ITEMS {
            self.team.fault.store(1, Ordering::Relaxed);
            return None;
        }
        // A launch has fewer items than the counter can count to, even if every thread asks once more.
        let item = self.team.next.fetch_add(1, Ordering::Relaxed) as usize;
        (item < count).then_some(item)
    }

    /// Threads that share the launch.
    pub(crate) fn threads(&self) -> usize {
        self.team.threads as usize
    }

    /// Waits until all threads are here, and begins a new list of items. All threads must call it equally often.
    pub fn barrier(&mut self) {
        let Team { threads, next, arrived, turn, bell, .. } = self.team;
        let before = turn.load(Ordering::Acquire);
        if self.team.broken.load(Ordering::Acquire) > 0 {
            return;
        }
        if arrived.fetch_add(1, Ordering::AcqRel) + 1 == *threads {
            next.store(0, Ordering::Relaxed);
            arrived.store(0, Ordering::Relaxed);
            return bell.ring(turn, before.wrapping_add(1));
        }
        bell.wait(turn, before);
    }

    /// Ends a command: waits for all threads, and returns the fault that any of them has found.
    pub(crate) fn end(&mut self, result: Result<(), Fault>) -> Result<(), Fault> {
        if result.is_err() {
            self.team.fault.store(1, Ordering::Relaxed);
        }
        self.barrier();
        if self.team.broken.load(Ordering::Acquire) > 0 {
            return Err(Fault::Panicked);
        }
        match result {
            Ok(()) if self.team.fault.load(Ordering::Relaxed) > 0 => Err(Fault::OutOfBounds),
            result => result,
        }
    }

    /// `len` floats of this thread, aligned to 64 bytes, with contents of earlier use.
    #[inline(always)]
    pub fn scratch(&mut self, len: usize) -> &mut [f32] {
        let lines = len.div_ceil(16);
        if self.scratch.0.len() < lines {
            self.scratch.0.resize(lines, Line([0.0; 16]));
        }
        let floats = self.scratch.0.as_mut_ptr().cast::<f32>();
        // SAFETY: A `Line` is 16 floats without padding, and there are enough of them.
        unsafe { core::slice::from_raw_parts_mut(floats, len) }
    }
}
