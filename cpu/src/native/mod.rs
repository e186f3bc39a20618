//! Threads of a native process that carry out jobs.

mod heap;
mod pool;

#[cfg(test)]
mod tests;

pub use heap::Heap;
pub use pool::Pool;
