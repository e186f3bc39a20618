//! Threads that have one memory and no standard library: workers of a page that carry out jobs together.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::bell::Bell;
use crate::isa::InstructionSet;
use crate::memory::Fault;
use crate::work::{Scratch, Team};

/// A thread that brings jobs, and helpers that wait for them.
#[derive(Debug)]
pub struct Crew {
    set: InstructionSet,
    team: Team,
    /// Number of the present job.
    number: AtomicU32,
    /// Address and length of its words.
    words: AtomicUsize,
    len: AtomicUsize,
    /// Helpers that have finished it.
    finished: AtomicU32,
    bell: Bell,
}

impl Crew {
    /// A crew of so many threads, of which all but the first are helpers.
    pub fn new(set: InstructionSet, threads: u32) -> Self {
        Self {
            set,
            team: Team::new(threads),
            number: AtomicU32::new(0),
            words: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            finished: AtomicU32::new(0),
            bell: Bell::default(),
        }
    }

    /// Carries out a job and returns after all helpers have finished it.
    ///
    /// # Errors
    /// See [`crate::run`].
    ///
    /// # Safety
    /// See [`crate::run`]. No other job of the crew runs.
    pub unsafe fn run(&self, words: &[u32], scratch: &mut Scratch) -> Result<(), Fault> {
        self.team.begin();
        self.finished.store(0, Ordering::Relaxed);
        self.words.store(words.as_ptr() as usize, Ordering::Relaxed);
        self.len.store(words.len(), Ordering::Relaxed);
        self.bell.ring(&self.number, self.number.load(Ordering::Relaxed).wrapping_add(1));
        // SAFETY: The caller vouches for the spans.
        let result = unsafe { crate::run(self.set, words, &self.team, scratch) };
        self.settle();
        result
    }

    /// Waits for the job after number `seen`, carries it out as one of the helpers, and returns its number.
    ///
    /// # Safety
    /// See [`crate::run`].
    pub unsafe fn help(&self, seen: u32, scratch: &mut Scratch) -> u32 {
        self.bell.wait(&self.number, seen);
        let number = self.number.load(Ordering::Acquire);
        let (words, len) = (self.words.load(Ordering::Relaxed), self.len.load(Ordering::Relaxed));
        // SAFETY: `run` keeps the words until this helper has finished, and its caller vouches for the spans.
        let _fault = unsafe {
            let words = core::slice::from_raw_parts(words as *const u32, len);
            crate::run(self.set, words, &self.team, scratch)
        };
        self.finish();
        number
    }

    /// Ends the present job of all threads, because this one has panicked, and returns its number. The first thread waits for the others.
    pub fn break_off(&self, thread: u32) -> u32 {
        self.team.break_off();
        let number = self.number.load(Ordering::Acquire);
        if thread == 0 {
            self.settle();
        } else {
            self.finish();
        }
        number
    }

    fn finish(&self) {
        self.bell.add(&self.finished);
    }

    fn settle(&self) {
        loop {
            let finished = self.finished.load(Ordering::Acquire);
            if finished + 1 >= self.team.threads() {
                return;
            }
            self.bell.wait(&self.finished, finished);
        }
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use super::*;
    use crate::{Job, Op, Span};

    /// Rows and numbers of a row.
    const SIZE: [u32; 2] = [64, 100];

    fn norm(x: &[f32], y: &mut [f32], weight: &[f32], groups: u32) -> Job {
        let span = |numbers: &[f32]| Span { at: numbers.as_ptr() as u64, bytes: size_of_val(numbers) as u64 };
        let spans = [span(x), span(y), span(weight)];
        let mut job = Job::default();
        let params = [SIZE[1] / 4, if groups > 0 { 0 } else { 1e-5_f32.to_bits() }, groups];
        job.launch(Op::RmsNorm { adds: false, scales: false }, &params, [SIZE[0], 1, 1], spans.into_iter());
        job
    }

    /// Runs `act` with a crew whose helpers do as those of a page: after a panic they break off and serve again.
    fn with_crew(threads: u32, act: impl FnOnce(&Crew)) {
        let crew = Crew::new(InstructionSet::detected()[0], threads);
        // Number of the last job.
        let last = AtomicU32::new(u32::MAX);
        thread::scope(|scope| {
            for number in 1..threads {
                let (crew, last) = (&crew, &last);
                scope.spawn(move || {
                    let (mut seen, mut scratch) = (0, Scratch::new());
                    while seen != last.load(Ordering::Acquire) {
                        // SAFETY: The spans of jobs live until the crew has finished them.
                        let help = || unsafe { crew.help(seen, &mut scratch) };
                        seen = catch_unwind(AssertUnwindSafe(help)).unwrap_or_else(|_| crew.break_off(number));
                    }
                });
            }
            act(&crew);
            last.store(crew.number.load(Ordering::Acquire) + 1, Ordering::Release);
            // SAFETY: The job is empty.
            unsafe { crew.run(&[], &mut Scratch::new()) }.expect("an empty job");
        });
    }

    #[test]
    fn every_number_of_threads_gives_the_same_bits() {
        let len = (SIZE[0] * SIZE[1]) as usize;
        let x: Vec<f32> = (0..len).map(|i| ((i * 7919) % 1013) as f32 / 500.0 - 1.0).collect();
        let weight = vec![1.5; SIZE[1] as usize];
        let results = [1, 2, 3].map(|threads| {
            let mut y = vec![0.0; len];
            with_crew(threads, |crew| {
                let job = norm(&x, &mut y, &weight, 0);
                for _ in 0..200 {
                    // SAFETY: The spans live until the end of this function.
                    unsafe { crew.run(job.words(), &mut Scratch::new()) }.expect("a job");
                }
            });
            y
        });
        assert!(results[0].iter().any(|y| *y != 0.0));
        assert!(results.iter().all(|result| *result == results[0]));
    }

    #[test]
    fn a_panic_ends_the_job_and_leaves_the_threads_usable() {
        let len = (SIZE[0] * SIZE[1]) as usize;
        let (x, weight) = (vec![1.0; len], vec![1.0; SIZE[1] as usize]);
        for threads in [1, 2, 3] {
            let mut y = vec![0.0; len];
            with_crew(threads, |crew| {
                // A lane layout whose groups do not divide a row.
                let bad = norm(&x, &mut y, &weight, 1);
                let good = norm(&x, &mut y, &weight, 0);
                for _ in 0..3 {
                    let mut scratch = Scratch::new();
                    // SAFETY: The spans live until the end of this function.
                    let run = || unsafe { crew.run(bad.words(), &mut scratch) };
                    let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
                        crew.break_off(0);
                        Err(Fault::Panicked)
                    });
                    assert_eq!(result, Err(Fault::Panicked), "{threads}");
                    // SAFETY: As above.
                    assert_eq!(unsafe { crew.run(good.words(), &mut scratch) }, Ok(()), "{threads}");
                }
            });
        }
    }
}
