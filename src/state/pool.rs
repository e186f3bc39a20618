//! The memory of keys and values: pages of 256 entries that all conversations with a model share.

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

/// What the buffers are called in the device's messages.
const LABEL: &str = "keys and values";

/// Entries of a page that are copied at a time.
pub(super) const COPIED: usize = 16;

/// A pool of pages. Clones share it.
///
/// All the memory that it may ever have is taken when the first entry comes, so that nothing moves later, and given back when no
/// conversation has pages any more. Where that much is not to be had, and while pictures are encoded that need it, it has what is held:
/// then layers move one after the other when it grows.
#[derive(Debug, Clone)]
pub struct Pool(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    pages: RefCell<Pages>,
    pictures: RefCell<Pictures>,
    /// Of each layer of attention.
    layers: RefCell<Vec<Layer>>,
    /// What the decoder is like.
    config: TextConfig,
    precision: KvPrecision,
    /// Bytes of an entry in each plane of a layer.
    entry_bytes: Vec<u64>,
    /// Pages that there are at most.
    most: usize,
    /// Whether it has turned out that there is no memory for all of them.
    is_lean: Cell<bool>,
    /// Rows of a pass over drafts at most.
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
    /// A pool for so many entries at most, which takes no memory yet.
    pub fn new(config: &TextConfig, precision: KvPrecision, entries: usize) -> Self {
        let heads = config.num_key_value_heads as u64;
        let entry_bytes = precision.head_bytes(config.head_dim).iter().map(|bytes| bytes * heads).collect();
        let layers = vec![Layer::none(precision); config.count(LayerKind::FullAttention)];
        let (pages, layers) = (RefCell::default(), RefCell::new(layers));
        let (most, is_lean, draft_rows) = (entries.div_ceil(PAGE), Cell::new(false), Cell::new(1));
        let (pictures, config) = (RefCell::default(), config.clone());
        Self(Rc::new(Shared { pages, pictures, layers, config, precision, entry_bytes, most, is_lean, draft_rows }))
    }

    /// A pool with memory for so many entries. Fails as [`Allocator::alloc`].
    pub fn with_room(gpu: &dyn Allocator, config: &TextConfig, precision: KvPrecision, entries: usize) -> Result<Self> {
        let pool = Self::new(config, precision, entries);
        for layer in pool.0.layers.borrow_mut().iter_mut() {
            let bytes = pool.0.entry_bytes.iter().map(|bytes| pool.bytes(*bytes, pool.0.most));
            layer.cache.planes =
                bytes.map(|bytes| Ok(gpu.alloc(LABEL, Purpose::KvCache, bytes)?.all())).collect::<Result<_>>()?;
            layer.pages = pool.0.most;
        }
        pool.pages(|pages| pages.resize(pool.0.most));
        Ok(pool)
    }

    /// With room for so many rows of pictures, of all conversations together.
    #[must_use]
    pub fn limited(self, picture_rows: usize) -> Self {
        self.pictures(|pictures| pictures.limit(picture_rows));
        self
    }

    /// Of a model that has passes over drafts of so many rows at most.
    #[must_use]
    pub fn drafting(self, rows: usize) -> Self {
        self.0.draft_rows.set(rows);
        self
    }

    /// Rows of a pass over drafts at most; 1 where there are none.
    pub(super) fn draft_rows(&self) -> usize {
        self.0.draft_rows.get()
    }

    /// What `then` makes of the pictures of conversations.
    pub(super) fn pictures<T>(&self, then: impl FnOnce(&mut Pictures) -> T) -> T {
        then(&mut self.0.pictures.borrow_mut())
    }

    /// Shows a conversation a picture, on paper; others may lose theirs to it. Fails as [`Pictures::show`].
    pub(super) fn place_picture(&self, gpu: &dyn Allocator, list: u64, picture: &NewPicture) -> Result<Recording> {
        let mut copies = Recording::new();
        let of = (&self.0.config, self.0.precision);
        let lost = self.pictures(|pictures| pictures.show(gpu, of, list, picture, &mut copies))?;
        self.pages(|pages| lost.into_iter().for_each(|(list, left)| _ = pages.rewind(list, left)));
        Ok(copies)
    }

    /// As [`Self::place_picture`], on a device.
    pub(super) async fn show_picture(&self, gpu: &Gpu, list: u64, picture: &NewPicture) -> Result<()> {
        let copies = self.place_picture(gpu, list, picture)?;
        run_copies(gpu, copies).await
    }

    /// Entries that there is memory for.
    pub fn room(&self) -> usize {
        self.0.layers.borrow().iter().map(|layer| layer.pages).min().unwrap_or(self.0.most) * PAGE
    }

    /// What `then` makes of the lists of pages.
    pub(super) fn pages<T>(&self, then: impl FnOnce(&mut Pages) -> T) -> T {
        then(&mut self.0.pages.borrow_mut())
    }

    /// What the decoder is like.
    pub(super) fn config(&self) -> &TextConfig {
        &self.0.config
    }

    /// What layer `index` of the decoder has for a conversation, if it is one of attention.
    pub(super) fn layer(&self, list: u64, index: usize) -> Option<LayerState> {
        let kinds = &self.0.config.layers;
        let kind = kinds.get(index)?;
        let before = kinds[..index].iter().filter(|before| *before == kind).count();
        match kind {
            LayerKind::FullAttention => {
                self.0.layers.borrow().get(before).map(|layer| LayerState::Kv(layer.cache.clone()))
            }
            LayerKind::CrossAttention => {
                Some(LayerState::Pictures(self.pictures(|pictures| pictures.layer(list, before))))
            }
            LayerKind::DeltaNet => None,
        }
    }

    /// How it holds a number.
    pub(super) fn precision(&self) -> KvPrecision {
        self.0.precision
    }

    /// Where entries of one page of a list are in one of the layers of attention.
    pub(super) fn page(&self, list: u64, layer: usize, entries: &Range<usize>) -> Option<Vec<Slice>> {
        let page = self.pages(|pages| pages.list(list).get(entries.start / PAGE).copied())?;
        let layers = self.0.layers.borrow();
        Some(self.slices(&layers.get(layer)?.cache, page as usize * PAGE, entries))
    }

    /// Where rows of one page are, which begins at row `first` of a cache.
    pub(super) fn slices(&self, cache: &Cache, first: usize, rows: &Range<usize>) -> Vec<Slice> {
        let lengths = plane_bytes(&self.0.entry_bytes, rows.len());
        let planes = cache.planes.iter().zip(&self.0.entry_bytes).zip(lengths);
        let slice = |((plane, entry_bytes), bytes): ((&Slice, &u64), u64)| {
            let start = first as u64 * entry_bytes;
            plane.buffer.slice(start..start + bytes)
        };
        planes.map(slice).collect()
    }

    /// Gives a conversation memory for the keys and values of pictures, which others may lose to it. Fails as [`Pictures::show`].
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

    /// A plane of the first layer, if there is memory yet.
    pub(super) fn first_plane(&self) -> Option<Slice> {
        self.0.layers.borrow().first().and_then(|layer| layer.cache.planes.first().cloned())
    }

    /// Gives up a list, and with the last page that is in one all memory.
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

    /// Takes pages for `entries` more of a list: those that are free, new ones as far as there may be more, then those of conversations
    /// that nobody has continued for longest. Where that is not enough the list is as it was: [`Error::OutOfMemory`], or as
    /// [`Gpu::flush_errors`] and [`Gpu::read`].
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

    /// The error where all pages are in use.
    fn is_full(&self, gpu: &Gpu, pages: usize) -> Error {
        let bytes = self.0.entry_bytes.iter().map(|bytes| self.bytes(*bytes, pages)).sum::<u64>();
        let bytes = bytes * self.0.layers.borrow().len() as u64;
        let detail = format!("all of {} pages are in use", self.pages(|pages| pages.total()));
        gpu.ledger().out_of_memory(LABEL, Purpose::KvCache, bytes, detail)
    }

    /// Takes memory for all pages there may be, or where there is not that much, for so many more than there are.
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

    /// Gives back the memory of the pages that hold no entries, layer by layer. One that cannot move stays where it is. Fails as
    /// [`Gpu::flush_errors`] and [`Gpu::read`], and with [`Error::OutOfMemory`] where there is no room for a page on its way.
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

    /// Gives all pages back that lists have, and takes no more memory from now on than lists need.
    pub async fn free(&self, gpu: &Gpu) -> Result<()> {
        self.0.is_lean.set(true);
        self.pages(Pages::clear);
        self.trim(gpu).await
    }

    /// Whether memory has run out before.
    pub fn is_lean(&self) -> bool {
        self.0.is_lean.get()
    }

    /// Moves layers to buffers of so many pages, one after the other, so that never more than one of them is there twice. Where memory
    /// runs out, one with `least` stays where it is.
    async fn resize(&self, gpu: &Gpu, pages: usize, least: usize) -> Result<()> {
        let count = self.0.layers.borrow().len();
        for index in 0..count {
            let layer = self.0.layers.borrow()[index].clone();
            if layer.pages == pages {
                continue;
            }
            let room = layer.pages;
            match self.moved(gpu, layer.cache, pages).await {
                Ok(cache) => self.0.layers.borrow_mut()[index] = Layer { cache, pages },
                Err(Error::OutOfMemory { .. }) if room >= least => {}
                Err(error) => return Err(error),
            }
        }
        let room = self.room() / PAGE;
        self.pages(|pages| pages.resize(room));
        Ok(())
    }

    /// A layer's pages in other buffers, with room for so many.
    async fn moved(&self, gpu: &Gpu, from: Cache, pages: usize) -> Result<Cache> {
        let mut planes = Vec::with_capacity(self.0.entry_bytes.len());
        for bytes in self.0.entry_bytes.iter().filter(|_| pages > 0) {
            let plane = gpu.alloc(LABEL, Purpose::KvCache, self.bytes(*bytes, pages))?;
            // A browser tells later whether it has the memory.
            gpu.flush_errors().await?;
            planes.push(plane.all());
        }
        let used = self.pages(|pages| pages.used());
        if used > 0 {
            let mut copies = Recording::new();
            for ((from, to), bytes) in from.planes.iter().zip(&planes).zip(&self.0.entry_bytes) {
                let held = 0..self.bytes(*bytes, used);
                copies.copy(from.buffer.slice(held.clone()), to.buffer.slice(held));
            }
            gpu.run("move the cache", &copies)?;
            // The memory of the old buffers cannot serve the next layer before the copies are made.
            gpu.read(&planes[0].buffer.slice(0..4)).await?;
        }
        Ok(Cache { precision: self.0.precision, planes })
    }

    /// A buffer by way of which pages are copied.
    fn alloc_way(&self, gpu: &Gpu) -> Result<Buffer> {
        let bytes = self.0.entry_bytes.iter().copied().max().unwrap_or(0);
        gpu.alloc("part of a page", Purpose::Staging, bytes * COPIED as u64)
    }

    /// Copies a page to another one in all layers, by way of another buffer: nothing can be copied within one.
    fn copy_page(&self, gpu: &Gpu, pages: [u32; 2], by_way: &Buffer) -> Result<()> {
        let mut copies = Recording::new();
        for layer in self.0.layers.borrow().iter() {
            for (plane, entry_bytes) in layer.cache.planes.iter().zip(&self.0.entry_bytes) {
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
