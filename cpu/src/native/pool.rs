//! A pool of threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
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
    order: Mutex<Order>,
    changed: Condvar,
    /// Helpers that have finished the present job.
    finished: AtomicU32,
    bell: Bell,
}

#[derive(Debug, Default)]
struct Order {
    /// Number of the present job.
    number: u64,
    /// Address and length of its words, which live until every helper has finished.
    words: (usize, usize),
    /// Helpers that have finished it.
    finished: u32,
    ends: bool,
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
            order: Mutex::default(),
            changed: Condvar::new(),
            finished: AtomicU32::new(0),
            bell: Bell::default(),
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
        {
            let mut order = shared.order.lock().unwrap_or_else(PoisonError::into_inner);
            order.number += 1;
            order.finished = 0;
            order.words = (words.as_ptr() as usize, words.len());
        }
        shared.changed.notify_all();
        // SAFETY: The caller vouches for the spans.
        let result = unsafe { shared.carry_out(words, &mut scratch) };
        loop {
            let finished = shared.finished.load(Ordering::Acquire);
            if finished as usize == self.helpers.len() {
                break;
            }
            shared.bell.wait(&shared.finished, finished);
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

    fn serve(&self) {
        let mut scratch = Scratch::default();
        let mut seen = 0;
        loop {
            let (at, len) = {
                let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
                let order = self
                    .changed
                    .wait_while(order, |order| order.number == seen && !order.ends)
                    .unwrap_or_else(PoisonError::into_inner);
                if order.ends {
                    return;
                }
                seen = order.number;
                order.words
            };
            // SAFETY: `Pool::run` keeps the words until this thread has finished, and its caller vouches for the spans.
            let _fault = unsafe {
                let words = std::slice::from_raw_parts(at as *const u32, len);
                self.carry_out(words, &mut scratch)
            };
            let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
            order.finished += 1;
            self.bell.ring(&self.finished, order.finished);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.order.lock().unwrap_or_else(PoisonError::into_inner).ends = true;
        self.shared.changed.notify_all();
        for helper in self.helpers.drain(..) {
            // A helper that panicked has nothing more to do.
            let _ = helper.join();
        }
    }
}
