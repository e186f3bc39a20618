//! The state of a conversation: a list of pages, and what recurrent layers remember.

use std::ops::Range;

use super::pages::Pages;
use super::pictures::{NewPicture, picture_bytes, store_bytes};
use super::pool::{COPIED, Pool};
use super::recurrent::Recurrent;
use super::{ConversationState, LayerState, Positions};
use crate::config::{ImageGrid, KvPrecision, LayerKind, TextConfig};
use crate::error::{Error, Result};
use crate::gpu::{Allocator, Buffer, Gpu, Recording};
use crate::kernels::cache::PAGE;

/// Bytes that the full context of a small model may take before 32-bit floats are too dear for it.
const AFFORDABLE: u64 = 64 << 20;

/// The states of a decoder's layers.
#[derive(Debug)]
pub struct State {
    pub(super) pool: Pool,
    /// Its pages.
    pub(super) list: u64,
    context: usize,
    pub(super) positions: Positions,
    pub(super) recurrent: Option<Recurrent>,
}

impl Drop for State {
    fn drop(&mut self) {
        self.pool.close(self.list);
    }
}

impl State {
    /// An empty state that may grow to `context` entries in the pages of `pool`.
    pub fn new(pool: &Pool, context: usize) -> Self {
        let (list, recurrent) = (pool.pages(Pages::open), Recurrent::new(pool.config(), pool.draft_rows()));
        Self { pool: pool.clone(), list, context, positions: Positions::default(), recurrent }
    }

    /// An empty state with a pool of its own, which has memory for `room` entries, for passes of `rows` rows over drafts, and for the largest
    /// picture, if pictures have keys of their own. Fails as [`Allocator::alloc`].
    pub fn with_room(
        gpu: &dyn Allocator,
        config: &TextConfig,
        precision: KvPrecision,
        (room, rows): (usize, usize),
    ) -> Result<Self> {
        let state = Self::new(&Pool::with_room(gpu, config, precision, room)?.drafting(rows), room);
        state.recurrent.iter().try_for_each(|recurrent| recurrent.allocate(gpu))?;
        if let Some(cross) = &config.cross {
            let picture = NewPicture { entry: 0, features: 0..cross.picture_rows, at_once: PAGE };
            state.pool.place_picture(gpu, state.list, &picture)?;
        }
        Ok(state)
    }

    /// Bytes that an entry takes, in all layers together.
    pub fn entry_bytes(config: &TextConfig, precision: KvPrecision) -> u64 {
        let head_bytes: u64 = precision.head_bytes(config.head_dim).iter().sum();
        (config.count(LayerKind::FullAttention) * config.num_key_value_heads) as u64 * head_bytes
    }

    /// Bytes of the keys and values of so many rows of pictures, of all conversations together, where those of `at_once` rows are computed at a
    /// time; beyond those of the one picture that [`Self::with_room`] has room for.
    pub fn further_picture_bytes(config: &TextConfig, precision: KvPrecision, rows: usize, at_once: usize) -> u64 {
        config.cross.as_ref().map_or(0, |cross| {
            let one = store_bytes(config, precision, cross.picture_rows);
            picture_bytes(config, precision, rows, at_once).saturating_sub(one)
        })
    }

    /// Bytes by way of which a page is copied.
    pub fn copy_bytes(config: &TextConfig, precision: KvPrecision) -> u64 {
        let head_bytes = precision.head_bytes(config.head_dim).into_iter().max().unwrap_or(0);
        (config.num_key_value_heads * COPIED) as u64 * head_bytes
    }

    /// Bytes of what recurrent layers remember, however many entries there are.
    pub fn recurrent_bytes(config: &TextConfig) -> u64 {
        Recurrent::new(config, 1).map_or(0, |recurrent| recurrent.bytes())
    }

    /// Bytes of what recurrent layers remember of a conversation that rests.
    pub fn idle_bytes(config: &TextConfig) -> u64 {
        Recurrent::new(config, 1).map_or(0, |recurrent| recurrent.idle_bytes())
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
        if let Some(delta) = self.recurrent.as_ref().and_then(|recurrent| recurrent.layer(index)) {
            return delta.map(LayerState::Delta);
        }
        self.pool.layer(self.list, index).ok_or_else(no_layer)
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

    /// Has the next pass begin with a picture that has keys and values of its own. What others see may be lost; fails with
    /// [`Error::BudgetTooSmall`] or as [`Gpu::flush_errors`].
    pub(crate) async fn show_picture(&mut self, gpu: &Gpu, features: Range<usize>, at_once: usize) -> Result<()> {
        let picture = NewPicture { entry: self.len(), features, at_once };
        self.pool.show_picture(gpu, self.list, &picture).await
    }

    /// Which pictures are in sight: recordings of steps serve for these only.
    pub(crate) fn pictures_key(&self) -> u64 {
        self.pool.pictures(|pictures| pictures.pictures_key(self.list))
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
        self.mark_partial(rows);
        self.pool.pictures(|pictures| pictures.mark_computed(self.list));
        self.pool.pages(|pages| pages.advance(self.list, rows));
    }

    /// Counts rows of a pass over drafts. Until the next pass it can be gone back behind any of them.
    pub fn advance_drafts(&mut self, rows: usize) {
        self.recurrent.iter().for_each(|recurrent| recurrent.advance_drafts(rows));
        self.pool.pictures(|pictures| pictures.mark_computed(self.list));
        self.pool.pages(|pages| pages.advance(self.list, rows));
    }

    /// Counts rows of a pass that failed and may have been computed in part: a recurrence has to go back behind them.
    pub(crate) fn mark_partial(&mut self, rows: usize) {
        self.recurrent.iter().for_each(|recurrent| recurrent.advance(rows));
    }

    /// Has recurrent layers find the state that the next pass begins with, by what `bring_forward` records of so many rows of the last pass over
    /// drafts. Before every pass.
    pub(crate) fn catch_up(
        &self,
        gpu: &Gpu,
        bring_forward: impl FnOnce(&mut Recording, usize) -> Result<()>,
    ) -> Result<()> {
        self.recurrent.as_ref().map_or(Ok(()), |recurrent| recurrent.catch_up(gpu, bring_forward))
    }

    /// What recurrent layers remember, to be [put back](Self::restore_recurrent) behind passes of which nothing is to be left. Behind [`Self::catch_up`].
    pub(crate) fn save_recurrent(&self, gpu: &Gpu) -> Result<Option<Buffer>> {
        self.recurrent.as_ref().map_or(Ok(None), |recurrent| recurrent.save(gpu))
    }

    /// Goes back to the `entries` behind which `copy` was set aside.
    pub(crate) fn restore_recurrent(&mut self, gpu: &Gpu, entries: usize, copy: Option<&Buffer>) -> Result<()> {
        if let (Some(recurrent), Some(copy)) = (&self.recurrent, copy) {
            recurrent.put_back(gpu, copy, entries)?;
        }
        self.rewind(entries);
        Ok(())
    }

    /// A buffer that tells the states of a model from others: a prepared recording that binds it works on this state.
    pub(crate) fn identity_buffer(&self) -> Option<Buffer> {
        let recurrent = self.recurrent.as_ref().and_then(Recurrent::buffer);
        recurrent.or_else(|| self.pool.first_plane().map(|plane| plane.buffer))
    }
}

impl ConversationState for State {
    fn len(&self) -> usize {
        self.pool.pages(|pages| pages.len(self.list))
    }

    fn checkpoint(&mut self) {
        self.recurrent.iter().for_each(Recurrent::checkpoint);
    }

    fn rewind(&mut self, to: usize) -> usize {
        // Keys and values of an entry depend on no later one.
        let mut left = self.pool.pages(|pages| pages.rewind(self.list, to));
        left = self.pool.pictures(|pictures| pictures.rewind(self.list, left));
        self.pool.pages(|pages| pages.rewind(self.list, left));
        if let Some(recurrent) = &self.recurrent {
            left = left.min(recurrent.rewind(left));
            self.pool.pages(|pages| pages.rewind(self.list, left));
        }
        self.positions.rewind(left);
        left
    }

    /// In the same pages, and with the same places that recurrent layers remember: takes no memory. Before one of the two is continued,
    /// the last page is copied if it is not full.
    fn fork(&self) -> Self {
        let Self { pool, context, positions, .. } = self;
        let list = pool.pages(|pages| pages.fork(self.list));
        pool.pictures(|pictures| pictures.fork(self.list, list));
        let recurrent = self.recurrent.as_ref().map(Recurrent::fork);
        let mut fork = Self { pool: pool.clone(), list, context: *context, positions: positions.clone(), recurrent };
        fork.make_idle();
        fork
    }

    fn rewind_target(&self, to: usize) -> usize {
        let left = self.pool.pictures(|pictures| pictures.rewind_target(self.list, self.len().min(to)));
        self.recurrent.as_ref().map_or(left, |recurrent| recurrent.rewind_target(left))
    }

    fn idle_len(&self) -> usize {
        self.recurrent.as_ref().map_or(self.len(), |recurrent| self.rewind_target(recurrent.last_place()))
    }

    fn pin(&mut self, pinned: bool) {
        self.pool.pages(|pages| pages.pin(self.list, pinned));
    }

    fn make_idle(&mut self) -> usize {
        self.rewind(self.idle_len());
        self.recurrent.iter().for_each(Recurrent::make_idle);
        self.len()
    }
}
