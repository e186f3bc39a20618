//! Ocelli's kernels on a processor. A [`Job`] lists launches of a recording as words, with operations ([`Op`]), parameters and spans of memory;
//! [`run`] carries it out by vector instructions, divided among the threads of a [`Team`]. Work is divided by outputs, never along a sum:
//! results do not depend on the number of threads.
//!
//! The crate knows addresses and shapes, nothing of packages or models. Raw addresses are dereferenced in `memory` and `isa` only.

#![cfg_attr(not(feature = "native"), no_std)]
// Waiting for a word of shared memory; builds for pages allow unstable features.
#![cfg_attr(all(target_arch = "wasm32", target_feature = "atomics"), feature(stdarch_wasm_atomic_wait))]
extern crate alloc;

mod bell;
mod copy;
mod crew;
mod isa;
mod job;
mod kernels;
mod memory;
#[cfg(feature = "native")]
pub mod native;
mod op;
mod op_words;
mod work;

pub use crew::Crew;
pub use isa::InstructionSet;
pub use job::{Command, Commands, Job, Launch};
pub use memory::{Fault, Output, Span};
pub use op::{Held, Layout, Norms, Op, Plain, Results, Scores, Source};
pub use work::{Scratch, Team, Work};

/// A hash of this crate's sources: results are identical where it is, and the instruction set.
pub const SOURCES: &str = env!("OCELLI_CPU_SOURCES");

/// Carries out a job as one of the threads of a team. Every thread of the team calls it with the same words.
///
/// # Errors
/// A [`Fault`] if the words are no job, or a launch needs more memory than its spans have. Launches before the faulty one have run.
///
/// # Safety
/// Each span of the job is memory that stays allocated, and that nothing but this team accesses until all its threads have returned.
pub unsafe fn run(set: InstructionSet, words: &[u32], team: &Team, scratch: &mut Scratch) -> Result<(), Fault> {
    let mut work = Work::new(team, scratch);
    for command in Commands::of(words) {
        let result = match command {
            // SAFETY: The caller vouches for the spans.
            Ok(Command::Copy { from, to }) => unsafe { copy::copy(from, to, &mut work) },
            // SAFETY: The set was detected on this machine, and the caller vouches for the spans.
            Ok(Command::Launch(launch)) => unsafe { set.kernel(launch.op)(&launch, &mut work) },
            Err(fault) => Err(fault),
        };
        work.end(result)?;
    }
    Ok(())
}
