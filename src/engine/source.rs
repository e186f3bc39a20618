//! Where an engine gets its package's shards: while loading, and again whenever weights have to go back to the GPU.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use crate::error::Result;
use crate::weights::package::Package;
use crate::weights::source::FileSet;

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

impl<S: ShardSource + ?Sized> ShardSource for Rc<S> {
    fn shard(&self, index: usize) -> ShardFuture<'_> {
        (**self).shard(index)
    }
}

/// What both come to, with neither waiting for the other.
pub(super) async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut of_a, mut of_b) = (None, None);
    poll_fn(|context| {
        if of_a.is_none()
            && let Poll::Ready(outcome) = a.as_mut().poll(context)
        {
            of_a = Some(outcome);
        }
        if of_b.is_none()
            && let Poll::Ready(outcome) = b.as_mut().poll(context)
        {
            of_b = Some(outcome);
        }
        match (of_a.take(), of_b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (of_a, of_b) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}
