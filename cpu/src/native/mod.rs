//! Threads of a native process that carry out jobs.

mod heap;
mod machine;
mod pool;

#[cfg(test)]
mod tests;

pub use machine::Machine;
