//! Source of a package's shards, while loading and whenever weights are uploaded again.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;

use crate::error::{Error, Result};
use crate::package::Package;
use crate::package::source::FileSet;

/// Pending read of a shard.
pub type ShardFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>>> + 'a>>;

/// The shards of a package, available at any time and in any order.
pub trait ShardSource: fmt::Debug {
    /// Reads shard `index` and checks its hash.
    fn shard(&self, index: usize) -> ShardFuture<'_>;

    /// Reads some bytes of shard `index`, whose hash was checked when it was stored or loaded.
    fn part(&self, index: usize, range: Range<usize>) -> ShardFuture<'_> {
        Box::pin(async move {
            let bytes = self.shard(index).await?;
            let short = || Error::Internal { detail: format!("bytes {range:?} of shard {index}") };
            bytes.get(range.clone()).map(<[u8]>::to_vec).ok_or_else(short)
        })
    }
}

impl<F: FileSet + fmt::Debug> ShardSource for Package<F> {
    fn shard(&self, index: usize) -> ShardFuture<'_> {
        Box::pin(self.read_shard(index))
    }

    fn part(&self, index: usize, range: Range<usize>) -> ShardFuture<'_> {
        Box::pin(self.read_part(index, range))
    }
}
