//! Keys and values of pictures, for cross-attention layers.
//!
//! A token sees the pictures of the last run of picture tokens at or before it. Their keys and values are stored one picture after another in
//! pages of their own, which text never extends. A pass that begins with a picture computes its keys and values.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use crate::config::{KvPrecision, LayerKind, TextConfig};
use crate::error::{Error, Result};
use crate::gpu::{Allocator, Buffer, Gpu, Purpose, Recording, Slice};
use crate::kernels::cache::{Cache, PAGE, PAGES, rope_table_at};
use crate::kernels::rope_append::{table_row, table_stride};

/// Label of the buffers in messages of the device.
const LABEL: &str = "keys and values of pictures";
/// Largest number of stores at once. A store to which a picture is added exists twice for a short time.
const STORES: usize = 4;

/// Inputs of a cross-attention layer.
#[derive(Debug)]
pub struct PictureState {
    /// Keys and values of the visible pictures, one after another.
    pub cache: Cache,
    /// Their rows.
    pub rows: usize,
    /// Step buffer of a step that sees all rows.
    pub view: Slice,
    /// Rows that the next pass computes first.
    pub fresh: Rc<[FreshRows]>,
}

/// Rows whose keys and values are not there yet.
#[derive(Debug)]
pub struct FreshRows {
    /// Rows of the feature buffer.
    pub features: Range<usize>,
    /// Step buffer of the step that appends these rows, without rotation.
    pub words: Slice,
}

/// The keys and values of a run of pictures. One pass writes them; they never change after that.
#[derive(Debug)]
struct Store {
    /// One cache for each cross-attention layer.
    layers: Vec<Cache>,
    rows: usize,
    /// Step buffers, the first of which sees all rows, and the rope table that they share.
    words: Buffer,
    /// Bytes from one step buffer to the next.
    block: u64,
    /// Serial number.
    serial: u64,
}

/// The pictures of a conversation.
#[derive(Debug, Clone, Default)]
struct Shown {
    /// Entries of picture tokens, in order.
    entries: Vec<usize>,
    store: Option<Rc<Store>>,
    /// Rows of the picture with which the next pass begins.
    fresh: Rc<[FreshRows]>,
}

/// The pictures of all conversations of a model, by page list.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    shown: BTreeMap<u64, Shown>,
    /// Limit of the rows of all conversations together.
    most_rows: Option<usize>,
    /// Stores made so far.
    serial: u64,
}

/// A picture that a pass begins with.
#[derive(Debug, Clone)]
pub struct NewPicture {
    /// The entry of its token.
    pub entry: usize,
    /// Its rows in the feature buffer.
    pub features: Range<usize>,
    /// Rows whose keys and values are computed at a time.
    pub at_once: usize,
}

impl Pictures {
    /// Limits the rows of all conversations together.
    pub(super) fn limit(&mut self, most_rows: usize) {
        self.most_rows = Some(most_rows);
    }

    /// Allocates memory for a picture after the others of its run, and records copies of those in `copies`. Fails with
    /// [`Error::BudgetTooSmall`] if there is no room even without the pictures of other conversations, and like [`Allocator::alloc`]. Returns
    /// the conversations that lost their pictures, with their remaining entries.
    pub(super) fn show(
        &mut self,
        gpu: &dyn Allocator,
        (config, precision): (&TextConfig, KvPrecision),
        list: u64,
        picture: &NewPicture,
        copies: &mut Recording,
    ) -> Result<Vec<(u64, usize)>> {
        let shown = self.shown.entry(list).or_default();
        let goes_on = picture.entry.checked_sub(1).is_some_and(|before| shown.entries.last() == Some(&before));
        if !goes_on {
            shown.store = None;
        }
        let held = shown.store.clone();
        let first = held.as_ref().map_or(0, |store| store.rows);
        let rows = first + picture.features.len();
        let lost = self.make_room(list, rows, config, precision)?;
        let store = self.store(gpu, (config, precision), first..rows, picture.at_once)?;
        if let Some(held) = held {
            keep(&held, &store, copies);
        }
        let chunks = (0..picture.features.len()).step_by(picture.at_once.max(1));
        let fresh = |(index, start): (usize, usize)| {
            let end = picture.features.len().min(start + picture.at_once);
            let features = picture.features.start + start..picture.features.start + end;
            FreshRows { features, words: store.words.all().skip((1 + index as u64) * store.block) }
        };
        let fresh = chunks.enumerate().map(fresh).collect();
        let shown = self.shown.entry(list).or_default();
        shown.entries.push(picture.entry);
        (shown.store, shown.fresh) = (Some(Rc::new(store)), fresh);
        Ok(lost)
    }

    /// Memory for keys and values up to those of `rows`, computed `at_once` rows at a time.
    fn store(
        &mut self,
        gpu: &dyn Allocator,
        (config, precision): (&TextConfig, KvPrecision),
        rows: Range<usize>,
        at_once: usize,
    ) -> Result<Store> {
        self.serial += 1;
        let (block, count) = word_counts(config, rows.clone(), at_once);
        let words = || bytemuck::cast_slice(&words(config, rows.clone(), at_once)).to_vec();
        let words = gpu.upload_with(LABEL, Purpose::KvCache, 4 * count as u64, &words)?;
        let layers = (0..config.count(LayerKind::CrossAttention)).map(|_| planes(gpu, config, precision, rows.end));
        let (layers, block) = (layers.collect::<Result<_>>()?, block as u64 * 4);
        Ok(Store { layers, rows: rows.end, words, block, serial: self.serial })
    }

    /// Entries of a list's pictures, and the rows of the visible ones.
    pub(super) fn shown(&self, list: u64) -> (Vec<usize>, usize) {
        let Some(shown) = self.shown.get(&list) else { return (Vec::new(), 0) };
        (shown.entries.clone(), shown.store.as_ref().map_or(0, |store| store.rows))
    }

    /// Allocates memory for the visible rows of a list with pictures at these entries. Fails and returns like [`Self::show`].
    pub(super) fn restore(
        &mut self,
        gpu: &dyn Allocator,
        of: (&TextConfig, KvPrecision),
        list: u64,
        (entries, rows): (&[usize], usize),
        at_once: usize,
    ) -> Result<Vec<(u64, usize)>> {
        let lost = self.make_room(list, rows, of.0, of.1)?;
        let store = Some(Rc::new(self.store(gpu, of, 0..rows, at_once)?));
        self.shown.insert(list, Shown { entries: entries.to_vec(), store, fresh: Rc::default() });
        Ok(lost)
    }

    /// Takes pictures from other conversations until a store of this many rows fits.
    fn make_room(
        &mut self,
        list: u64,
        rows: usize,
        config: &TextConfig,
        precision: KvPrecision,
    ) -> Result<Vec<(u64, usize)>> {
        let Some(most) = self.most_rows else { return Ok(Vec::new()) };
        let mut lost = Vec::new();
        while self.held_rows() + rows > most || self.stores().len() >= STORES {
            let other = self.shown.iter_mut().find(|(key, shown)| **key != list && shown.store.is_some());
            let Some((&key, shown)) = other else {
                let bytes = |rows: usize| row_bytes(config, precision) * rows as u64;
                return Err(Error::BudgetTooSmall {
                    what: LABEL.into(),
                    budget: bytes(most),
                    needed: bytes(self.held_rows() + rows),
                    parts: Vec::new(),
                });
            };
            lost.push((key, shown.forget_run()));
        }
        Ok(lost)
    }

    /// All stores; conversations may share one.
    fn stores(&self) -> Vec<&Rc<Store>> {
        let mut stores: Vec<_> = self.shown.values().filter_map(|shown| shown.store.as_ref()).collect();
        stores.sort_by_key(|store| store.serial);
        stores.dedup_by_key(|store| store.serial);
        stores
    }

    /// Rows of all stores.
    fn held_rows(&self) -> usize {
        self.stores().iter().map(|store| store.rows).sum()
    }

    /// The inputs of cross-attention layer `index`; none before the first picture.
    pub(super) fn layer(&self, list: u64, index: usize) -> Option<PictureState> {
        let shown = self.shown.get(&list)?;
        let store = shown.store.as_ref()?;
        let (rows, view, fresh) = (store.rows, store.words.all(), shown.fresh.clone());
        Some(PictureState { cache: store.layers.get(index)?.clone(), rows, view, fresh })
    }

    /// Cache key of the visible pictures: prepared step recordings are valid only for them.
    pub(super) fn pictures_key(&self, list: u64) -> u64 {
        let store = self.shown.get(&list).and_then(|shown| shown.store.as_ref());
        store.map_or(0, |store| store.serial)
    }

    /// Marks the rows of the pass as computed.
    pub(super) fn mark_computed(&mut self, list: u64) {
        if let Some(shown) = self.shown.get_mut(&list) {
            shown.fresh = Rc::default();
        }
    }

    /// Rewinds to `to` entries, or to before a run of pictures whose keys and values no longer exist. Returns the remaining entries.
    pub(super) fn rewind(&mut self, list: u64, to: usize) -> usize {
        self.shown.get_mut(&list).map_or(to, |shown| shown.rewind(to))
    }

    /// The number of entries that [`Self::rewind`] would leave.
    pub(super) fn rewind_target(&self, list: u64, to: usize) -> usize {
        self.shown.get(&list).map_or(to, |shown| shown.clone().rewind(to))
    }

    /// Gives the list `copy` the pictures of another one.
    pub(super) fn fork(&mut self, list: u64, copy: u64) {
        if let Some(shown) = self.shown.get(&list).cloned() {
            self.shown.insert(copy, shown);
        }
    }

    /// Removes a list.
    pub(super) fn close(&mut self, list: u64) {
        self.shown.remove(&list);
    }
}

impl Shown {
    /// See [`Pictures::rewind`].
    fn rewind(&mut self, to: usize) -> usize {
        let before = self.entries.len();
        self.entries.retain(|entry| *entry < to);
        if self.entries.len() == before { to } else { self.forget_run().min(to) }
    }

    /// Removes the pictures of the last run. Returns its first entry.
    fn forget_run(&mut self) -> usize {
        (self.store, self.fresh) = (None, Rc::default());
        let mut first = usize::MAX;
        while let Some(entry) = self.entries.pop_if(|entry| first == usize::MAX || *entry + 1 == first) {
            first = entry;
        }
        first
    }
}

/// Bytes of the keys and values of a row in all layers.
fn row_bytes(config: &TextConfig, precision: KvPrecision) -> u64 {
    let head: u64 = precision.head_bytes(config.head_dim).iter().sum();
    head * (config.num_key_value_heads * config.count(LayerKind::CrossAttention)) as u64
}

/// Largest size in bytes of all stores for `rows` rows, computed `at_once` at a time.
pub(super) fn picture_bytes(config: &TextConfig, precision: KvPrecision, rows: usize, at_once: usize) -> u64 {
    let (_, words) = word_counts(config, 0..rows, at_once);
    row_bytes(config, precision) * (rows + STORES * PAGE) as u64 + (4 * STORES * words) as u64
}

/// Bytes of the one store in a state with room.
pub(super) fn store_bytes(config: &TextConfig, precision: KvPrecision, rows: usize) -> u64 {
    let (_, words) = word_counts(config, 0..rows, PAGE);
    row_bytes(config, precision) * rows.next_multiple_of(PAGE) as u64 + 4 * words as u64
}

/// Memory for the keys and values of `rows` rows of a layer.
fn planes(gpu: &dyn Allocator, config: &TextConfig, precision: KvPrecision, rows: usize) -> Result<Cache> {
    let rows = rows.next_multiple_of(PAGE) as u64;
    let bytes = precision.head_bytes(config.head_dim).into_iter();
    let plane =
        |bytes: u64| Ok(gpu.alloc(LABEL, Purpose::KvCache, bytes * config.num_key_value_heads as u64 * rows)?.all());
    Ok(Cache { precision, planes: bytes.map(plane).collect::<Result<_>>()? })
}

/// Copies the rows of a store to another one.
fn keep(held: &Store, store: &Store, copies: &mut Recording) {
    for (from, to) in held.layers.iter().zip(&store.layers) {
        for (from, to) in from.planes.iter().zip(&to.planes) {
            copies.copy(from.clone(), to.buffer.slice(0..from.bytes));
        }
    }
}

/// Number of words of a step buffer without its rope table, and of the result of [`words`].
fn word_counts(config: &TextConfig, rows: Range<usize>, at_once: usize) -> (usize, usize) {
    let (block, at_once) = (rope_table_at(rows.end.div_ceil(PAGE)), at_once.max(1));
    let table = at_once.min(rows.len()) * table_stride(config.head_dim);
    (block, (1 + rows.len().div_ceil(at_once)) * block + table)
}

/// Step buffers as kernels read them: one of a step that sees `rows.end` rows, and those that append `rows`, `at_once` at a time. Pages are in
/// order, and the rotations are identities.
fn words(config: &TextConfig, rows: Range<usize>, at_once: usize) -> Vec<u32> {
    let (pages, (block, count)) = (rows.end.div_ceil(PAGE), word_counts(config, rows.clone(), at_once));
    let entries = [rows.end.saturating_sub(1)].into_iter().chain(rows.step_by(at_once.max(1)));
    let entries: Vec<usize> = entries.collect();
    let mut words = Vec::with_capacity(count);
    for (index, &entry) in entries.iter().enumerate() {
        let table = (entries.len() - index) * block;
        words.extend([0, entry as u32, 0, entry as u32, table as u32]);
        words.resize(index * block + PAGES, 0);
        words.extend((0..pages).map(|page| page as u32));
        words.resize((index + 1) * block, 0);
    }
    let unturned = vec![[1.0, 0.0]; config.head_dim / 2];
    while words.len() < count {
        words.extend(table_row(&unturned, 1.0).map(f32::to_bits));
    }
    words
}

/// Runs the copies recorded by [`Pictures::show`], once the allocation is known to have succeeded.
pub(super) async fn run_copies(gpu: &Gpu, copies: Recording) -> Result<()> {
    gpu.flush_errors().await?;
    if copies.commands().is_empty() { Ok(()) } else { gpu.run("keep pictures", &copies) }
}
