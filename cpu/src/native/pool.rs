//! A pool of threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::bell::Bell;
use crate::isa::InstructionSet;
use crate::job::Job;
use crate::memory::Fault;
use crate::work::{Scratch, Team};

/// Threads that wait for jobs. The thread that brings a job takes part in it.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    /// Memory of the thread that brings a job; jobs are carried out one at a time.
    own: Mutex<Scratch>,
    helpers: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    set: InstructionSet,
    team: Team,
    /// Number of the present job.
    number: AtomicU32,
    called: Bell,
    /// Address and length of its words, which live until every helper has finished.
    words: (AtomicUsize, AtomicUsize),
    ends: AtomicBool,
    /// Helpers that have finished the present job.
    finished: AtomicU32,
    done: Bell,
}

impl Pool {
    /// A pool of `threads` threads with an instruction set.
    ///
    /// # Errors
    /// An error of the system if no thread can be started.
    pub(super) fn new(set: InstructionSet, threads: usize) -> std::io::Result<Self> {
        let threads = threads.max(1);
        let shared = Arc::new(Shared {
            set,
            team: Team::new(threads as u32),
            number: AtomicU32::new(0),
            called: Bell::default(),
            words: Default::default(),
            ends: AtomicBool::new(false),
            finished: AtomicU32::new(0),
            done: Bell::default(),
        });
        let mut pool = Self { shared, own: Mutex::default(), helpers: Vec::new() };
        for number in 1..threads {
            let shared = pool.shared.clone();
            let name = format!("ocelli-cpu-{number}");
            pool.helpers.push(thread::Builder::new().name(name).spawn(move || shared.serve())?);
        }
        Ok(pool)
    }

    /// Its instruction set.
    pub(super) fn set(&self) -> InstructionSet {
        self.shared.set
    }

    /// Number of threads.
    pub(super) fn threads(&self) -> usize {
        self.shared.team.threads() as usize
    }

    /// Carries out a job and returns after all threads have finished it.
    ///
    /// # Errors
    /// See [`crate::run`].
    ///
    /// # Safety
    /// See [`crate::run`].
    pub(super) unsafe fn run(&self, job: &Job) -> Result<(), Fault> {
        let mut scratch = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &self.shared;
        let words = job.words();
        shared.finished.store(0, Ordering::Relaxed);
        shared.team.begin();
        shared.words.0.store(words.as_ptr() as usize, Ordering::Relaxed);
        shared.words.1.store(words.len(), Ordering::Relaxed);
        shared.call();
        // SAFETY: The caller vouches for the spans.
        let result = unsafe { shared.carry_out(words, &mut scratch) };
        loop {
            let finished = shared.finished.load(Ordering::Acquire);
            if finished as usize == self.helpers.len() {
                break;
            }
            shared.done.wait(&shared.finished, finished);
        }
        result
    }
}

impl Shared {
    /// Carries out the job of a thread. A panic ends the job of all threads.
    ///
    /// # Safety
    /// See [`crate::run`].
    unsafe fn carry_out(&self, words: &[u32], scratch: &mut Scratch) -> Result<(), Fault> {
        // SAFETY: As of this function.
        let run = || unsafe { crate::run(self.set, words, &self.team, scratch) };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            self.team.break_off();
            Err(Fault::Panicked)
        })
    }

    /// Gives the helpers the next job, or their end.
    fn call(&self) {
        self.called.ring(&self.number, self.number.load(Ordering::Relaxed).wrapping_add(1));
    }

    fn serve(&self) {
        let mut scratch = Scratch::default();
        let mut seen = 0;
        loop {
            self.called.wait(&self.number, seen);
            if self.ends.load(Ordering::Acquire) {
                return;
            }
            // No other job begins before this one has finished.
            seen = seen.wrapping_add(1);
            let (at, len) = (self.words.0.load(Ordering::Relaxed), self.words.1.load(Ordering::Relaxed));
            // SAFETY: `Pool::run` keeps the words until this thread has finished, and its caller vouches for the spans.
            let _fault = unsafe {
                let words = std::slice::from_raw_parts(at as *const u32, len);
                self.carry_out(words, &mut scratch)
            };
            self.done.add(&self.finished);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        self.shared.call();
        for helper in self.helpers.drain(..) {
            // A helper that panicked has nothing more to do.
            let _ = helper.join();
        }
    }
}
