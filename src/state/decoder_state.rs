//! The state of a conversation: a list of pages, and the states of recurrent layers.

use std::ops::Range;

use super::pages::Pages;
use super::pictures::{NewPicture, picture_bytes, store_bytes};
use super::pool::{COPIED, Pool};
use super::recurrent::Recurrent;
use super::{ConversationState, LayerState, Positions};
use crate::config::{ImageGrid, KvPrecision, TextConfig};
use crate::error::{Error, Result};
use crate::gpu::{Allocator, Buffer, Gpu, Recording};
use crate::kernels::cache::PAGE;

/// Largest size in bytes for which 32-bit floats hold the full context by default.
const AFFORDABLE: u64 = 64 << 20;

/// The states of all layers of a decoder.
#[derive(Debug)]
pub struct State {
    pub(super) pool: Pool,
    /// Identifier of its page list in the pool.
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

    /// An empty state with a pool of its own that has memory for `room` entries, for passes of `rows` rows over drafts, and for the largest
    /// picture, if pictures have their own keys. Fails like [`Allocator::alloc`].
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

    /// Bytes of one entry in all layers.
    pub fn entry_bytes(config: &TextConfig, precision: KvPrecision) -> u64 {
        config.kv_layers().flat_map(|layer| config.entry_bytes(layer, precision)).sum()
    }

    /// Bytes of the keys and values of `rows` picture rows, of all conversations together and computed `at_once` at a time, in addition to the
    /// one picture for which [`Self::with_room`] has room.
    pub fn further_picture_bytes(config: &TextConfig, precision: KvPrecision, rows: usize, at_once: usize) -> u64 {
        config.cross.as_ref().map_or(0, |cross| {
            let one = store_bytes(config, precision, cross.picture_rows);
            picture_bytes(config, precision, rows, at_once).saturating_sub(one)
        })
    }

    /// Bytes of the staging buffer through which a page is copied.
    pub fn copy_bytes(config: &TextConfig, precision: KvPrecision) -> u64 {
        let widest = config.kv_layers().flat_map(|layer| config.entry_bytes(layer, precision)).max();
        widest.unwrap_or(0) * COPIED as u64
    }

    /// Bytes of the recurrent layers' states, whatever the number of entries.
    pub fn recurrent_bytes(config: &TextConfig) -> u64 {
        Recurrent::new(config, 1).map_or(0, |recurrent| recurrent.bytes())
    }

    /// Bytes of the recurrent layers' states of an idle conversation.
    pub fn idle_bytes(config: &TextConfig) -> u64 {
        Recurrent::new(config, 1).map_or(0, |recurrent| recurrent.idle_bytes())
    }

    /// The default precision: 32-bit floats if the whole context is small, otherwise 16-bit floats.
    pub fn default_precision(config: &TextConfig, context: usize) -> KvPrecision {
        let bytes = (context as u64).saturating_mul(Self::entry_bytes(config, KvPrecision::F32));
        if bytes <= AFFORDABLE { KvPrecision::F32 } else { KvPrecision::F16 }
    }

    /// The largest number of entries.
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

    /// The pages that hold its entries, and pages reserved for more.
    pub(crate) fn pages(&self) -> Vec<u32> {
        self.pool.pages(|pages| pages.list(self.list).to_vec())
    }

    /// Reserves memory for `entries` more. On failure all entries are kept: [`Error::ContextOverflow`], [`Error::OutOfMemory`], or the errors
    /// of [`Gpu::flush_errors`] and [`Gpu::read`].
    pub async fn reserve(&mut self, gpu: &Gpu, entries: usize) -> Result<()> {
        let needed = self.len().saturating_add(entries);
        if needed > self.context {
            return Err(Error::ContextOverflow { tokens: needed, context: self.context });
        }
        self.pool.reserve(gpu, self.list, entries).await
    }

    /// Announces that the next pass begins with a picture that has its own keys and values. Other conversations may lose their pictures to it.
    /// Fails with [`Error::BudgetTooSmall`] or like [`Gpu::flush_errors`].
    pub(crate) async fn show_picture(&mut self, gpu: &Gpu, features: Range<usize>, at_once: usize) -> Result<()> {
        let picture = NewPicture { entry: self.len(), features, at_once };
        self.pool.show_picture(gpu, self.list, &picture).await
    }

    /// Cache key: prepared step recordings are valid only for this set of visible pictures.
    pub(crate) fn pictures_key(&self) -> u64 {
        self.pool.pictures(|pictures| pictures.pictures_key(self.list))
    }

    /// Rope positions of the entries.
    pub(crate) fn positions(&self) -> &Positions {
        &self.positions
    }

    /// Records that a picture with this grid begins at an entry, for models that give pictures their own positions.
    pub(crate) fn place_picture(&mut self, entry: usize, grid: ImageGrid) {
        self.positions.place(entry, grid);
    }

    /// Counts rows whose entries a submitted recording appends.
    pub fn advance(&mut self, rows: usize) {
        self.mark_partial(rows);
        self.pool.pictures(|pictures| pictures.mark_computed(self.list));
        self.pool.pages(|pages| pages.advance(self.list, rows));
    }

    /// Counts the rows of a pass over drafts. Until the next pass, the state can be rewound to any of them.
    pub fn advance_drafts(&mut self, rows: usize) {
        self.recurrent.iter().for_each(|recurrent| recurrent.advance_drafts(rows));
        self.pool.pictures(|pictures| pictures.mark_computed(self.list));
        self.pool.pages(|pages| pages.advance(self.list, rows));
    }

    /// Counts the rows of a failed pass that may have been computed in part: a recurrent state must be rewound to before them.
    pub(crate) fn mark_partial(&mut self, rows: usize) {
        self.recurrent.iter().for_each(|recurrent| recurrent.advance(rows));
    }

    /// Brings recurrent states up to date before a pass. `bring_forward` records the replay of the given number of rows of the last pass over
    /// drafts.
    pub(crate) fn catch_up(
        &self,
        gpu: &Gpu,
        bring_forward: impl FnOnce(&mut Recording, usize) -> Result<()>,
    ) -> Result<()> {
        self.recurrent.as_ref().map_or(Ok(()), |recurrent| recurrent.catch_up(gpu, bring_forward))
    }

    /// A copy of the recurrent states, for [`Self::restore_recurrent`] after passes that must leave no trace. Requires [`Self::catch_up`].
    pub(crate) fn save_recurrent(&self, gpu: &Gpu) -> Result<Option<Buffer>> {
        self.recurrent.as_ref().map_or(Ok(None), |recurrent| recurrent.save(gpu))
    }

    /// Rewinds to `entries`, the length at which `copy` was made.
    pub(crate) fn restore_recurrent(&mut self, gpu: &Gpu, entries: usize, copy: Option<&Buffer>) -> Result<()> {
        if let (Some(recurrent), Some(copy)) = (&self.recurrent, copy) {
            recurrent.put_back(gpu, copy, entries)?;
        }
        self.rewind(entries);
        Ok(())
    }

    /// A buffer that identifies the state: a prepared recording that binds it works on this state only.
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

    /// Shares the pages and the checkpoints of recurrent layers, so it takes no memory. The last page is copied before one of the two states
    /// continues, unless it is full.
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
