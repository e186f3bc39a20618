//! Keys and values of pictures, where layers of cross-attention read them.
//!
//! A token sees the pictures of the last run of picture tokens at or before it. Their keys and values lie one picture after another in pages
//! of their own, which text never continues. A pass that begins with a picture computes that picture's keys and values.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use crate::config::{KvPrecision, LayerKind, TextConfig};
use crate::error::{Error, Result};
use crate::gpu::{Allocator, Buffer, Gpu, Purpose, Recording, Slice};
use crate::kernels::cache::{Cache, PAGE, PAGES, rope_table_at};
use crate::kernels::rope_append::{table_row, table_stride};

/// What the buffers are called in the device's messages.
const LABEL: &str = "keys and values of pictures";
/// Stores that there are at once at most. One that a picture is added to is there twice for a moment.
const STORES: usize = 4;

/// What a layer of cross-attention reads.
#[derive(Debug)]
pub struct PictureState {
    /// Keys and values of the pictures in sight, one after another.
    pub cache: Cache,
    /// Their rows.
    pub rows: usize,
    /// The words of a step that sees all of them.
    pub view: Slice,
    /// What the next pass has to compute first.
    pub fresh: Rc<[FreshRows]>,
}

/// Rows whose keys and values are not there yet.
#[derive(Debug)]
pub struct FreshRows {
    /// Of the buffer of features.
    pub features: Range<usize>,
    /// The words of a step that appends them; nothing is rotated.
    pub words: Slice,
}

/// The keys and values of a run's pictures. Written by one pass, then never again.
#[derive(Debug)]
struct Store {
    /// Of each layer of cross-attention.
    layers: Vec<Cache>,
    rows: usize,
    /// The words of steps, the first of which sees all rows, and the rotations that they share.
    words: Buffer,
    /// Bytes from the words of one step to those of the next.
    block: u64,
    /// Tells it from others.
    serial: u64,
}

/// What a conversation shows.
#[derive(Debug, Clone, Default)]
struct Shown {
    /// Entries of picture tokens, in order.
    entries: Vec<usize>,
    store: Option<Rc<Store>>,
    /// Of the picture that the next pass begins with.
    fresh: Rc<[FreshRows]>,
}

/// The pictures of all conversations with a model, by the lists of their pages.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    shown: BTreeMap<u64, Shown>,
    /// Rows that all conversations together may have, if there is a limit.
    most_rows: Option<usize>,
    /// Stores made so far.
    serial: u64,
}

/// A picture that a pass begins with.
#[derive(Debug, Clone)]
pub struct NewPicture {
    /// The entry of its token.
    pub entry: usize,
    /// Its rows in the buffer of features.
    pub features: Range<usize>,
    /// Rows whose keys and values are computed at a time.
    pub at_once: usize,
}

impl Pictures {
    /// With room for so many rows, of all conversations together.
    pub(super) fn limit(&mut self, most_rows: usize) {
        self.most_rows = Some(most_rows);
    }

    /// Makes memory for a picture, behind the others of its run; `copies` receives what keeps those. Fails with [`Error::BudgetTooSmall`] if
    /// even without other conversations' pictures there is no room, and as [`Allocator::alloc`]. Returns the conversations that lost
    /// their pictures to it, and the entries that they are left with.
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

    /// Memory for the keys and values up to those of `rows`, which are computed so many at once.
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

    /// Entries of the pictures that a list shows, and the rows of those in sight.
    pub(super) fn shown(&self, list: u64) -> (Vec<usize>, usize) {
        let Some(shown) = self.shown.get(&list) else { return (Vec::new(), 0) };
        (shown.entries.clone(), shown.store.as_ref().map_or(0, |store| store.rows))
    }

    /// Gives a list that shows pictures at these entries memory for the keys and values of so many rows, those in sight. Fails and returns as
    /// [`Self::show`].
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

    /// Takes pictures from other conversations until there is room for a store of so many rows.
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

    /// What layer `index` of those of cross-attention reads; nothing where no picture has been shown.
    pub(super) fn layer(&self, list: u64, index: usize) -> Option<PictureState> {
        let shown = self.shown.get(&list)?;
        let store = shown.store.as_ref()?;
        let (rows, view, fresh) = (store.rows, store.words.all(), shown.fresh.clone());
        Some(PictureState { cache: store.layers.get(index)?.clone(), rows, view, fresh })
    }

    /// Which pictures a conversation has in sight: recordings of steps serve for these only.
    pub(super) fn pictures_key(&self, list: u64) -> u64 {
        let store = self.shown.get(&list).and_then(|shown| shown.store.as_ref());
        store.map_or(0, |store| store.serial)
    }

    /// Counts what the pass has computed.
    pub(super) fn mark_computed(&mut self, list: u64) {
        if let Some(shown) = self.shown.get_mut(&list) {
            shown.fresh = Rc::default();
        }
    }

    /// Goes back to `to` entries, or to before a run of pictures whose keys and values are not there. Returns the entries left.
    pub(super) fn rewind(&mut self, list: u64, to: usize) -> usize {
        self.shown.get_mut(&list).map_or(to, |shown| shown.rewind(to))
    }

    /// The entries that [`Self::rewind`] would leave.
    pub(super) fn rewind_target(&self, list: u64, to: usize) -> usize {
        self.shown.get(&list).map_or(to, |shown| shown.clone().rewind(to))
    }

    /// Has a list see what another one sees.
    pub(super) fn fork(&mut self, list: u64, copy: u64) {
        if let Some(shown) = self.shown.get(&list).cloned() {
            self.shown.insert(copy, shown);
        }
    }

    /// Forgets a list.
    pub(super) fn close(&mut self, list: u64) {
        self.shown.remove(&list);
    }
}

impl Shown {
    /// As [`Pictures::rewind`].
    fn rewind(&mut self, to: usize) -> usize {
        let before = self.entries.len();
        self.entries.retain(|entry| *entry < to);
        if self.entries.len() == before { to } else { self.forget_run().min(to) }
    }

    /// Gives up the pictures of the last run. Returns its first entry.
    fn forget_run(&mut self) -> usize {
        (self.store, self.fresh) = (None, Rc::default());
        let mut first = usize::MAX;
        while let Some(entry) = self.entries.pop_if(|entry| first == usize::MAX || *entry + 1 == first) {
            first = entry;
        }
        first
    }
}

/// Bytes of the keys and values of a row, in all layers.
fn row_bytes(config: &TextConfig, precision: KvPrecision) -> u64 {
    let head: u64 = precision.head_bytes(config.head_dim).iter().sum();
    head * (config.num_key_value_heads * config.count(LayerKind::CrossAttention)) as u64
}

/// Bytes that all stores of so many rows together take at most, where keys and values of `at_once` rows are computed at a time.
pub(super) fn picture_bytes(config: &TextConfig, precision: KvPrecision, rows: usize, at_once: usize) -> u64 {
    let (_, words) = word_counts(config, 0..rows, at_once);
    row_bytes(config, precision) * (rows + STORES * PAGE) as u64 + (4 * STORES * words) as u64
}

/// Bytes of the one store that is part of a state with room.
pub(super) fn store_bytes(config: &TextConfig, precision: KvPrecision, rows: usize) -> u64 {
    let (_, words) = word_counts(config, 0..rows, PAGE);
    row_bytes(config, precision) * rows.next_multiple_of(PAGE) as u64 + 4 * words as u64
}

/// Memory for the keys and values of so many rows of a layer.
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

/// Words of a step without its rotations, and of all that [`words`] makes.
fn word_counts(config: &TextConfig, rows: Range<usize>, at_once: usize) -> (usize, usize) {
    let (block, at_once) = (rope_table_at(rows.end.div_ceil(PAGE)), at_once.max(1));
    let table = at_once.min(rows.len()) * table_stride(config.head_dim);
    (block, (1 + rows.len().div_ceil(at_once)) * block + table)
}

/// The words of steps as kernels read them: of one that sees `rows.end` rows, and of those that append `rows`, so many at once. Pages lie in
/// their order, and rotations turn nothing.
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

/// Makes the copies that [`Pictures::show`] asked for, once it is known that there was memory.
pub(super) async fn run_copies(gpu: &Gpu, copies: Recording) -> Result<()> {
    gpu.flush_errors().await?;
    if copies.commands().is_empty() { Ok(()) } else { gpu.run("keep pictures", &copies) }
}
