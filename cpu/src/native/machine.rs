//! A processor with its memory and threads, without unsafe functions.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::heap::Heap;
use super::pool::Pool;
use crate::isa::InstructionSet;
use crate::job::{Command, Commands, Job};
use crate::memory::{Fault, Span};

/// A processor that carries jobs out over buffers of its own.
#[derive(Debug)]
pub struct Machine {
    pool: Pool,
    /// Bytes of the buffers by address. Locked while a job runs: nothing else accesses their memory then.
    buffers: Mutex<Buffers>,
}

#[derive(Debug, Default)]
struct Buffers {
    bytes: BTreeMap<u64, u64>,
    /// Number of frees so far: the spans of a job stay valid while it does not change.
    freed: u64,
}

impl Buffers {
    /// Checks that a span lies within a buffer.
    fn check(&self, span: Span) -> Result<(), Fault> {
        let (start, bytes) = self.bytes.range(..=span.at).next_back().ok_or(Fault::OutOfBounds)?;
        let end = span.at.checked_add(span.bytes).ok_or(Fault::OutOfBounds)?;
        if end <= start + bytes { Ok(()) } else { Err(Fault::OutOfBounds) }
    }

    fn check_job(&self, words: &[u32]) -> Result<(), Fault> {
        Commands::of(words).try_for_each(|command| match command? {
            Command::Launch(launch) => launch.spans().iter().try_for_each(|&span| self.check(span)),
            Command::Copy { from, to } => self.check(from).and_then(|()| self.check(to)),
        })
    }
}

impl Machine {
    /// A machine of so many threads.
    ///
    /// # Errors
    /// An error of the system if no thread can be started.
    pub fn new(set: InstructionSet, threads: usize) -> std::io::Result<Self> {
        Ok(Self { pool: Pool::new(set, threads)?, buffers: Mutex::default() })
    }

    /// Its instruction set.
    pub fn set(&self) -> InstructionSet {
        self.pool.set()
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    fn buffers(&self) -> MutexGuard<'_, Buffers> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of a new buffer of zeros, aligned to 64 bytes; `None` if there is no memory for it.
    pub fn alloc(&self, bytes: u64) -> Option<u64> {
        let mut buffers = self.buffers();
        let at = Heap::alloc(bytes)?;
        buffers.bytes.insert(at, bytes);
        Some(at)
    }

    /// Frees the buffer at an address; nothing if there is none.
    pub fn free(&self, at: u64) {
        let mut buffers = self.buffers();
        if let Some(bytes) = buffers.bytes.remove(&at) {
            buffers.freed += 1;
            // SAFETY: The buffer was allocated with this size, and no job runs while the lock is held.
            unsafe { Heap::free(at, bytes) }
        }
    }

    /// Copies bytes into a buffer.
    ///
    /// # Errors
    /// [`Fault::OutOfBounds`].
    pub fn write(&self, at: u64, bytes: &[u8]) -> Result<(), Fault> {
        let buffers = self.buffers();
        buffers.check(Span { at, bytes: bytes.len() as u64 })?;
        // SAFETY: The span lies within a buffer, which is not accessed elsewhere while the lock is held.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) };
        Ok(())
    }

    /// The bytes of a span.
    ///
    /// # Errors
    /// [`Fault::OutOfBounds`].
    pub fn read(&self, span: Span) -> Result<Vec<u8>, Fault> {
        let buffers = self.buffers();
        buffers.check(span)?;
        // SAFETY: The span lies within a buffer, which is not written while the lock is held.
        Ok(unsafe { std::slice::from_raw_parts(span.at as *const u8, span.bytes as usize) }.to_vec())
    }

    /// Carries out a job and returns after all threads have finished it. `checked` is kept with the job between runs: it spares a second check of
    /// spans whose buffers still exist.
    ///
    /// # Errors
    /// See [`crate::run`]; [`Fault::OutOfBounds`] if a span is not within a buffer.
    pub fn run(&self, job: &Job, checked: &mut Option<u64>) -> Result<(), Fault> {
        let buffers = self.buffers();
        if *checked != Some(buffers.freed) {
            buffers.check_job(job.words())?;
            *checked = Some(buffers.freed);
        }
        // SAFETY: Every span lies within a buffer, and only the threads of the pool access buffers while the lock is held.
        unsafe { self.pool.run(job) }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for (at, bytes) in std::mem::take(&mut self.buffers().bytes) {
            // SAFETY: The buffer was allocated with this size, and the pool runs no job.
            unsafe { Heap::free(at, bytes) }
        }
    }
}
