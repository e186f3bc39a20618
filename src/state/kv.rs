//! The state of a conversation with a decoder of attention layers: a list of pages.

use super::pages::Pages;
use super::pool::Pool;
use super::{LayerState, Positions, States};
use crate::config::{ImageGrid, KvPrecision, TextConfig};
use crate::error::{Error, Result};
use crate::gpu::{Allocator, Buffer, Gpu};

/// Bytes that the full context of a small model may take before 32-bit floats are too dear for it.
const AFFORDABLE: u64 = 64 << 20;

/// The states of a decoder's layers.
#[derive(Debug)]
pub struct State {
    pool: Pool,
    /// Its pages.
    list: u64,
    context: usize,
    positions: Positions,
}

impl Drop for State {
    fn drop(&mut self) {
        self.pool.close(self.list);
    }
}

impl State {
    /// An empty state that may grow to `context` entries in the pages of `pool`.
    pub fn new(pool: &Pool, context: usize) -> Self {
        let list = pool.pages(Pages::open);
        Self { pool: pool.clone(), list, context, positions: Positions::default() }
    }

    /// An empty state with a pool of its own, which has memory for `room` entries. Fails as [`Allocator::alloc`].
    pub fn with_room(gpu: &dyn Allocator, config: &TextConfig, precision: KvPrecision, room: usize) -> Result<Self> {
        Ok(Self::new(&Pool::with_room(gpu, config, precision, room)?, room))
    }

    /// A state with the same entries, in the same pages: what either of them is continued by, the other does not see. Takes no memory;
    /// before one of them is continued, the last page is copied if it is not full.
    #[must_use]
    pub fn fork(&self) -> Self {
        let list = self.pool.pages(|pages| pages.fork(self.list));
        Self { pool: self.pool.clone(), list, context: self.context, positions: self.positions.clone() }
    }

    /// Bytes that an entry takes, in all layers together.
    pub fn entry_bytes(config: &TextConfig, precision: KvPrecision) -> u64 {
        let head_bytes: u64 = precision.head_bytes(config.head_dim).iter().sum();
        (config.layers.len() * config.num_key_value_heads) as u64 * head_bytes
    }

    /// The precision where nobody asks for one: 32-bit floats if the whole context is cheap even so, else 16-bit ones.
    pub fn default_precision(config: &TextConfig, context: usize) -> KvPrecision {
        let bytes = (context as u64).saturating_mul(Self::entry_bytes(config, KvPrecision::F32));
        if bytes <= AFFORDABLE { KvPrecision::F32 } else { KvPrecision::F16 }
    }

    /// The most entries it may ever hold.
    pub fn context(&self) -> usize {
        self.context
    }

    /// The state of layer `index`.
    pub(crate) fn layer(&self, index: usize) -> Result<LayerState> {
        let no_layer = || Error::Internal { detail: format!("there is no state of layer {index}") };
        self.pool.layer(index).ok_or_else(no_layer)
    }

    /// The pages that hold its entries, and those that were reserved for more.
    pub(crate) fn pages(&self) -> Vec<u32> {
        self.pool.pages(|pages| pages.list(self.list).to_vec())
    }

    /// Makes room for `entries` more. If there is none, all entries are still held: [`Error::ContextOverflow`],
    /// [`Error::OutOfMemory`], or as [`Gpu::flush_errors`] and [`Gpu::read`].
    pub async fn reserve(&mut self, gpu: &Gpu, entries: usize) -> Result<()> {
        let needed = self.len().saturating_add(entries);
        if needed > self.context {
            return Err(Error::ContextOverflow { tokens: needed, context: self.context });
        }
        self.pool.reserve(gpu, self.list, entries).await
    }

    /// What the rotations of entries stand for.
    pub(crate) fn positions(&self) -> &Positions {
        &self.positions
    }

    /// States that a picture of such a grid begins at an entry, of a model that gives pictures positions of their own.
    pub(crate) fn place_picture(&mut self, entry: usize, grid: ImageGrid) {
        self.positions.place(entry, grid);
    }

    /// Counts rows whose entries a submitted recording appends.
    pub fn advance(&mut self, rows: usize) {
        self.pool.pages(|pages| pages.advance(self.list, rows));
    }

    /// A buffer that tells the states of a model from others: a prepared recording that binds it works on this state.
    pub(crate) fn place(&self) -> Option<Buffer> {
        self.pool.first_plane().map(|plane| plane.buffer)
    }
}

impl States for State {
    fn len(&self) -> usize {
        self.pool.pages(|pages| pages.len(self.list))
    }

    fn checkpoint(&mut self) {}

    fn rewind(&mut self, to: usize) -> usize {
        // Keys and values of an entry depend on no later one.
        let left = self.pool.pages(|pages| pages.rewind(self.list, to));
        self.positions.rewind(left);
        left
    }
}
