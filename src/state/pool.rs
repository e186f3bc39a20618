//! The memory of keys and values: pages of 256 entries, shared by all conversations of a model.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;

use super::LayerState;
use super::outline::plane_bytes;
use super::pages::Pages;
use super::pictures::{NewPicture, Pictures, run_copies};
use crate::config::{KvPrecision, LayerKind, TextConfig};
use crate::error::{Error, Result};
use crate::gpu::{Allocator, Buffer, Gpu, Purpose, Recording, Slice};
use crate::kernels::cache::{Cache, PAGE};

/// Label of the buffers in messages of the device.
const LABEL: &str = "keys and values";

/// Entries of a page that are copied at a time.
pub(super) const COPIED: usize = 16;

/// A pool of pages. Clones share it.
///
/// The first entry allocates all the memory that the pool may ever have, so that nothing moves later; the pool frees it when no conversation
/// has pages any more. If that much is not available, and while the encoding of pictures needs the memory, the pool has only the pages in use,
/// and moves layers one after another when it grows.
#[derive(Debug, Clone)]
pub struct Pool(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    pages: RefCell<Pages>,
    pictures: RefCell<Pictures>,
    /// One entry for each attention layer with keys and values of its own.
    layers: RefCell<Vec<Layer>>,
    /// Shape of the decoder.
    config: TextConfig,
    precision: KvPrecision,
    /// Bytes of an entry in each plane, for each attention layer with keys and values of its own.
    entry_bytes: Vec<Vec<u64>>,
    /// Largest number of pages.
    most: usize,
    /// True if the memory for all pages was not available.
    is_lean: Cell<bool>,
    /// Largest number of rows in a pass over drafts.
    draft_rows: Cell<usize>,
}

/// The pages of a layer.
#[derive(Debug, Clone)]
struct Layer {
    cache: Cache,
    pages: usize,
}

impl Layer {
    fn none(precision: KvPrecision) -> Self {
        Self { cache: Cache { precision, planes: Vec::new() }, pages: 0 }
    }
}

impl Pool {
    /// A pool for at most `entries` entries, without memory yet.
    pub fn new(config: &TextConfig, precision: KvPrecision, entries: usize) -> Self {
        let entry_bytes: Vec<_> = config.kv_layers().map(|layer| config.entry_bytes(layer, precision)).collect();
        let layers = vec![Layer::none(precision); entry_bytes.len()];
        let (pages, layers) = (RefCell::default(), RefCell::new(layers));
        let (most, is_lean, draft_rows) = (entries.div_ceil(PAGE), Cell::new(false), Cell::new(1));
        let (pictures, config) = (RefCell::default(), config.clone());
        Self(Rc::new(Shared { pages, pictures, layers, config, precision, entry_bytes, most, is_lean, draft_rows }))
    }

    /// A pool with memory for `entries` entries. Fails like [`Allocator::alloc`].
    pub fn with_room(gpu: &dyn Allocator, config: &TextConfig, precision: KvPrecision, entries: usize) -> Result<Self> {
        let pool = Self::new(config, precision, entries);
        for (layer, entry_bytes) in pool.0.layers.borrow_mut().iter_mut().zip(&pool.0.entry_bytes) {
            let bytes = entry_bytes.iter().map(|bytes| pool.bytes(*bytes, pool.0.most));
            layer.cache.planes =
                bytes.map(|bytes| Ok(gpu.alloc(LABEL, Purpose::KvCache, bytes)?.all())).collect::<Result<_>>()?;
            layer.pages = pool.0.most;
        }
        pool.pages(|pages| pages.resize(pool.0.most));
        Ok(pool)
    }

    /// Limits the picture rows of all conversations together.
    #[must_use]
    pub fn limited(self, picture_rows: usize) -> Self {
        self.pictures(|pictures| pictures.limit(picture_rows));
        self
    }

    /// Allows passes over drafts of up to `rows` rows.
    #[must_use]
    pub fn drafting(self, rows: usize) -> Self {
        self.0.draft_rows.set(rows);
        self
    }

    /// Largest number of rows in a pass over drafts; 1 if there are none.
    pub(super) fn draft_rows(&self) -> usize {
        self.0.draft_rows.get()
    }

    /// Applies `then` to the pictures of conversations.
    pub(super) fn pictures<T>(&self, then: impl FnOnce(&mut Pictures) -> T) -> T {
        then(&mut self.0.pictures.borrow_mut())
    }

    /// Shows a conversation a picture in a dry run; others may lose theirs. Fails like [`Pictures::show`].
    pub(super) fn place_picture(&self, gpu: &dyn Allocator, list: u64, picture: &NewPicture) -> Result<Recording> {
        let mut copies = Recording::new();
        let of = (&self.0.config, self.0.precision);
        let lost = self.pictures(|pictures| pictures.show(gpu, of, list, picture, &mut copies))?;
        self.pages(|pages| lost.into_iter().for_each(|(list, left)| _ = pages.rewind(list, left)));
        Ok(copies)
    }

    /// [`Self::place_picture`] on a device.
    pub(super) async fn show_picture(&self, gpu: &Gpu, list: u64, picture: &NewPicture) -> Result<()> {
        let copies = self.place_picture(gpu, list, picture)?;
        run_copies(gpu, copies).await
    }

    /// Entries for which there is memory.
    pub fn room(&self) -> usize {
        self.0.layers.borrow().iter().map(|layer| layer.pages).min().unwrap_or(self.0.most) * PAGE
    }

    /// Applies `then` to the page lists.
    pub(super) fn pages<T>(&self, then: impl FnOnce(&mut Pages) -> T) -> T {
        then(&mut self.0.pages.borrow_mut())
    }

    /// Shape of the decoder.
    pub(super) fn config(&self) -> &TextConfig {
        &self.0.config
    }

    /// The keys and values of a conversation in decoder layer `index`, if it is an attention layer.
    pub(super) fn layer(&self, list: u64, index: usize) -> Option<LayerState> {
        let (config, kinds) = (&self.0.config, &self.0.config.layers);
        let kind = kinds.get(index)?;
        let before = kinds[..config.kv_source(index)].iter().filter(|before| before.has_state_of(*kind)).count();
        match kind {
            LayerKind::FullAttention | LayerKind::SlidingAttention => {
                self.0.layers.borrow().get(before).map(|layer| LayerState::Kv(layer.cache.clone()))
            }
            LayerKind::CrossAttention => {
                Some(LayerState::Pictures(self.pictures(|pictures| pictures.layer(list, before))))
            }
            LayerKind::DeltaNet => None,
        }
    }

    /// Precision of keys and values.
    pub(super) fn precision(&self) -> KvPrecision {
        self.0.precision
    }

    /// Buffer ranges of entries of one page in an attention layer, by plane.
    pub(super) fn page(&self, list: u64, layer: usize, entries: &Range<usize>) -> Option<Vec<Slice>> {
        let page = self.pages(|pages| pages.list(list).get(entries.start / PAGE).copied())?;
        let layers = self.0.layers.borrow();
        let entry_bytes = self.0.entry_bytes.get(layer)?;
        Some(slices(&layers.get(layer)?.cache, entry_bytes, page as usize * PAGE, entries))
    }

    /// Buffer ranges of rows of the pictures' keys and values in a cache, by plane.
    pub(super) fn picture_rows(&self, cache: &Cache, rows: &Range<usize>) -> Vec<Slice> {
        let of_any = self.0.config.layers.iter().position(|kind| *kind == LayerKind::CrossAttention).unwrap_or(0);
        slices(cache, &self.0.config.entry_bytes(of_any, self.0.precision), rows.start, rows)
    }

    /// Allocates the keys and values of a conversation's pictures, which may evict those of others. Fails like [`Pictures::show`].
    pub(super) async fn restore_pictures(
        &self,
        gpu: &Gpu,
        list: u64,
        shown: (&[usize], usize),
        at_once: usize,
    ) -> Result<()> {
        let of = (&self.0.config, self.0.precision);
        let lost = self.pictures(|pictures| pictures.restore(gpu, of, list, shown, at_once))?;
        self.pages(|pages| lost.into_iter().for_each(|(list, left)| _ = pages.rewind(list, left)));
        gpu.flush_errors().await
    }

    /// A plane of the first layer, if it is allocated.
    pub(super) fn first_plane(&self) -> Option<Slice> {
        self.0.layers.borrow().first().and_then(|layer| layer.cache.planes.first().cloned())
    }

    /// Removes a list, and frees all memory with the last page in use.
    pub(super) fn close(&self, list: u64) {
        self.pictures(|pictures| pictures.close(list));
        let is_empty = self.pages(|pages| {
            pages.close(list);
            pages.used() == 0
        });
        if is_empty {
            self.0.layers.borrow_mut().iter_mut().for_each(|layer| *layer = Layer::none(self.0.precision));
            self.pages(|pages| pages.resize(0));
            self.0.is_lean.set(false);
        }
    }

    fn bytes(&self, entry_bytes: u64, pages: usize) -> u64 {
        entry_bytes * (pages * PAGE) as u64
    }

    /// Takes pages for `entries` more entries of a list: free pages, then new ones within the limit, then those of the least recently continued
    /// conversations. On failure the list is unchanged: [`Error::OutOfMemory`], or the errors of [`Gpu::flush_errors`] and [`Gpu::read`].
    pub(super) async fn reserve(&self, gpu: &Gpu, list: u64, entries: usize) -> Result<()> {
        let (missing, free) = self.pages(|pages| (pages.missing(list, entries), pages.free()));
        if missing > free {
            let refusal = match self.grow(gpu, missing - free).await {
                Ok(()) => None,
                Err(error @ Error::OutOfMemory { .. }) => Some(error),
                Err(error) => return Err(error),
            };
            let (missing, free) = self.pages(|pages| {
                pages.evict(list, entries);
                (pages.missing(list, entries), pages.free())
            });
            if missing > free {
                return Err(refusal.unwrap_or_else(|| self.is_full(gpu, missing)));
            }
        }
        let shares_last = entries > 0 && self.pages(|pages| pages.shares_last(list));
        let by_way = if shares_last { Some(self.alloc_way(gpu)?) } else { None };
        match (self.pages(|pages| pages.take(list, entries)), by_way) {
            (Some(copy), Some(by_way)) => self.copy_page(gpu, copy, &by_way),
            _ => Ok(()),
        }
    }

    /// The error for a pool whose pages are all in use.
    fn is_full(&self, gpu: &Gpu, pages: usize) -> Error {
        let bytes = self.0.entry_bytes.iter().flatten().map(|bytes| self.bytes(*bytes, pages)).sum::<u64>();
        let detail = format!("all of {} pages are in use", self.pages(|pages| pages.total()));
        gpu.ledger().out_of_memory(LABEL, Purpose::KvCache, bytes, detail)
    }

    /// Allocates memory for all pages, or if that is not available, for `more` more pages.
    async fn grow(&self, gpu: &Gpu, more: usize) -> Result<()> {
        let needed = (self.pages(|pages| pages.total()) + more).min(self.0.most);
        if !self.0.is_lean.get() {
            match self.resize(gpu, self.0.most, needed).await {
                Err(Error::OutOfMemory { .. }) => self.0.is_lean.set(true),
                outcome => return outcome,
            }
        }
        self.resize(gpu, needed, needed).await
    }

    /// Frees the memory of pages without entries, layer by layer. A layer that cannot be moved stays in place. Fails like [`Gpu::flush_errors`]
    /// and [`Gpu::read`], and with [`Error::OutOfMemory`] if the staging page cannot be allocated.
    pub async fn trim(&self, gpu: &Gpu) -> Result<()> {
        let (used, held) = self.pages(|pages| {
            pages.give_back(None);
            (pages.used(), pages.total() - pages.free())
        });
        if held < used {
            let by_way = self.alloc_way(gpu)?;
            for moved in self.pages(Pages::compact) {
                self.copy_page(gpu, moved, &by_way)?;
            }
        }
        self.resize(gpu, held, 0).await
    }

    /// Frees the pages of all lists; from then on the pool allocates only the pages that lists need.
    pub async fn free(&self, gpu: &Gpu) -> Result<()> {
        self.0.is_lean.set(true);
        self.pages(Pages::clear);
        self.trim(gpu).await
    }

    /// Returns true if memory has run out before.
    pub fn is_lean(&self) -> bool {
        self.0.is_lean.get()
    }

    /// Moves layers to buffers of `pages` pages, one after another, so that at most one of them exists twice. If memory runs out, layers of at
    /// least `least` pages stay in place.
    async fn resize(&self, gpu: &Gpu, pages: usize, least: usize) -> Result<()> {
        let count = self.0.layers.borrow().len();
        for index in 0..count {
            let layer = self.0.layers.borrow()[index].clone();
            if layer.pages == pages {
                continue;
            }
            let room = layer.pages;
            match self.moved(gpu, (layer.cache, &self.0.entry_bytes[index]), pages).await {
                Ok(cache) => self.0.layers.borrow_mut()[index] = Layer { cache, pages },
                Err(Error::OutOfMemory { .. }) if room >= least => {}
                Err(error) => return Err(error),
            }
        }
        let room = self.room() / PAGE;
        self.pages(|pages| pages.resize(room));
        Ok(())
    }

    /// Copies a layer to new buffers with room for `pages` pages.
    async fn moved(&self, gpu: &Gpu, (from, entry_bytes): (Cache, &[u64]), pages: usize) -> Result<Cache> {
        let mut planes = Vec::with_capacity(entry_bytes.len());
        for bytes in entry_bytes.iter().filter(|_| pages > 0) {
            let plane = gpu.alloc(LABEL, Purpose::KvCache, self.bytes(*bytes, pages))?;
            // Browsers report failed allocations later.
            gpu.flush_errors().await?;
            planes.push(plane.all());
        }
        let used = self.pages(|pages| pages.used());
        if used > 0 {
            let mut copies = Recording::new();
            for ((from, to), bytes) in from.planes.iter().zip(&planes).zip(entry_bytes) {
                let held = 0..self.bytes(*bytes, used);
                copies.copy(from.buffer.slice(held.clone()), to.buffer.slice(held));
            }
            gpu.run("move the cache", &copies)?;
            // The memory of the old buffers is not available to the next layer before the copies are complete.
            gpu.read(&planes[0].buffer.slice(0..4)).await?;
        }
        Ok(Cache { precision: self.0.precision, planes })
    }

    /// A staging buffer for copies of pages.
    fn alloc_way(&self, gpu: &Gpu) -> Result<Buffer> {
        let bytes = self.0.entry_bytes.iter().flatten().copied().max().unwrap_or(0);
        gpu.alloc("part of a page", Purpose::Staging, bytes * COPIED as u64)
    }

    /// Copies a page to another in all layers, through the staging buffer, because WebGPU cannot copy within one buffer.
    fn copy_page(&self, gpu: &Gpu, pages: [u32; 2], by_way: &Buffer) -> Result<()> {
        let mut copies = Recording::new();
        for (layer, entry_bytes) in self.0.layers.borrow().iter().zip(&self.0.entry_bytes) {
            for (plane, entry_bytes) in layer.cache.planes.iter().zip(entry_bytes) {
                let bytes = entry_bytes * COPIED as u64;
                for entry in (0..PAGE).step_by(COPIED) {
                    let firsts = pages.map(|page| (page as usize * PAGE + entry) as u64 * entry_bytes);
                    let [from, to] = firsts.map(|first| plane.buffer.slice(first..first + bytes));
                    copies.copy(from, by_way.slice(0..bytes));
                    copies.copy(by_way.slice(0..bytes), to);
                }
            }
        }
        gpu.run("copy a page", &copies)
    }
}

/// Buffer ranges of rows of the page that begins at row `first` of a cache, by plane.
fn slices(cache: &Cache, entry_bytes: &[u64], first: usize, rows: &Range<usize>) -> Vec<Slice> {
    let planes = cache.planes.iter().zip(entry_bytes).zip(plane_bytes(entry_bytes, rows.len()));
    let slice = |((plane, entry_bytes), bytes): ((&Slice, &u64), u64)| {
        let start = first as u64 * entry_bytes;
        plane.buffer.slice(start..start + bytes)
    };
    planes.map(slice).collect()
}
