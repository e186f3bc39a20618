//! Source of a package's shards, while loading and whenever weights are uploaded again.

use std::fmt;
use std::pin::Pin;

use crate::error::Result;
use crate::package::Package;
use crate::package::source::FileSet;

/// Pending read of a shard.
pub type ShardFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>>> + 'a>>;

/// The shards of a package, available at any time and in any order.
pub trait ShardSource: fmt::Debug {
    /// Reads shard `index` and checks its hash.
    fn shard(&self, index: usize) -> ShardFuture<'_>;
}

impl<F: FileSet + fmt::Debug> ShardSource for Package<F> {
    fn shard(&self, index: usize) -> ShardFuture<'_> {
        Box::pin(self.read_shard(index))
    }
}
