//! Where an engine gets its package's shards: while loading, and again whenever weights have to go back to the GPU.

use std::fmt;
use std::pin::Pin;

use crate::error::Result;
use crate::package::Package;
use crate::package::source::FileSet;

/// A shard on its way.
pub type ShardFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>>> + 'a>>;

/// The shards of a package, to be had at any time and in any order.
pub trait ShardSource: fmt::Debug {
    /// The bytes of shard `index`, whose hash has been checked.
    fn shard(&self, index: usize) -> ShardFuture<'_>;
}

impl<F: FileSet + fmt::Debug> ShardSource for Package<F> {
    fn shard(&self, index: usize) -> ShardFuture<'_> {
        Box::pin(self.read_shard(index))
    }
}
