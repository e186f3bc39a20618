//! States that follow the entries they hold, up to the context length.

use super::{KvLayer, LayerState, States};
use crate::config::{KvPrecision, LayerKind, TextConfig};
use crate::error::{Error, Result};
use crate::gpu::{Allocator, Gpu, Purpose, Recording};
use crate::kernels::cache::Cache;

/// What the buffers are called in the device's messages.
const LABEL: &str = "keys and values";
/// Entries by which a cache grows.
pub const PAGE: usize = 256;
/// Entries for which room may stay unused before memory is given back: a shorter question after a longer one, now and then.
const SPARE: usize = 8 * PAGE;
/// Bytes that the full context of a small model may take before 32-bit floats are too dear for it.
const AFFORDABLE: u64 = 64 << 20;

/// The states of a decoder's layers. They take next to no memory while they are empty.
#[derive(Debug)]
pub struct State {
    layers: Vec<LayerState>,
    /// Bytes of an entry in each plane of a layer.
    entry_bytes: Vec<u64>,
    precision: KvPrecision,
    len: usize,
    context: usize,
}

impl State {
    /// An empty state that may grow to `context` entries. Fails as [`Allocator::alloc`].
    pub fn new(gpu: &dyn Allocator, config: &TextConfig, context: usize, precision: KvPrecision) -> Result<Self> {
        Self::with_room(gpu, config, context, precision, 0)
    }

    /// As [`Self::new`], with room for `capacity` entries at once.
    pub fn with_room(
        gpu: &dyn Allocator,
        config: &TextConfig,
        context: usize,
        precision: KvPrecision,
        capacity: usize,
    ) -> Result<Self> {
        let heads = config.num_key_value_heads as u64;
        let entry_bytes: Vec<u64> = precision.head_bytes(config.head_dim).iter().map(|bytes| bytes * heads).collect();
        let layer = |kind: &LayerKind| match kind {
            LayerKind::FullAttention => {
                let plane = |bytes: &u64| Ok(gpu.alloc(LABEL, Purpose::KvCache, bytes * capacity as u64)?.all());
                let planes = entry_bytes.iter().map(plane).collect::<Result<_>>()?;
                Ok(LayerState::Kv(KvLayer { cache: Cache { precision, planes }, capacity }))
            }
        };
        let layers = config.layers.iter().map(layer).collect::<Result<_>>()?;
        Ok(Self { layers, entry_bytes, precision, len: 0, context })
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

    /// Entries there is room for without growing.
    pub fn capacity(&self) -> usize {
        self.layers.iter().map(|LayerState::Kv(layer)| layer.capacity).min().unwrap_or(self.context)
    }

    /// The state of layer `index`.
    pub(crate) fn layer(&self, index: usize) -> &LayerState {
        &self.layers[index]
    }

    /// Makes room for `entries` more, and gives much room back that would stay unused. Layers move one after the other, so that
    /// never more than one of them is there twice. If one cannot, all entries are still held, and there is as much room as before:
    /// [`Error::ContextOverflow`], or as [`Gpu::flush_errors`] and [`Gpu::read`].
    pub async fn reserve(&mut self, gpu: &Gpu, entries: usize) -> Result<()> {
        let needed = self.len.saturating_add(entries);
        if needed > self.context {
            return Err(Error::ContextOverflow { tokens: needed, context: self.context });
        }
        let capacity = needed.next_multiple_of(PAGE).min(self.context);
        self.resize(gpu, capacity, |room| !(needed..=capacity + SPARE).contains(&room), needed).await
    }

    /// Gives back the pages behind the last entry, layer by layer. One that cannot move stays where it is. Fails as [`Gpu::flush_errors`] and
    /// [`Gpu::read`], but for [`Error::OutOfMemory`].
    pub async fn trim(&mut self, gpu: &Gpu) -> Result<()> {
        let capacity = self.len.next_multiple_of(PAGE).min(self.context);
        self.resize(gpu, capacity, |room| room > capacity, 0).await
    }

    /// Moves every layer whose room `is_wrong` to buffers for `capacity` entries. Where memory runs out, one with room for `needed`
    /// stays where it is.
    async fn resize(
        &mut self,
        gpu: &Gpu,
        capacity: usize,
        is_wrong: impl Fn(usize) -> bool,
        needed: usize,
    ) -> Result<()> {
        for index in 0..self.layers.len() {
            let LayerState::Kv(layer) = &self.layers[index];
            let room = layer.capacity;
            if !is_wrong(room) {
                continue;
            }
            match self.moved(gpu, &layer.cache, capacity).await {
                Ok(layer) => self.layers[index] = LayerState::Kv(layer),
                Err(Error::OutOfMemory { .. }) if room >= needed => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A layer's entries in other buffers, with room for `capacity`.
    async fn moved(&self, gpu: &Gpu, from: &Cache, capacity: usize) -> Result<KvLayer> {
        let mut planes = Vec::with_capacity(from.planes.len());
        for bytes in &self.entry_bytes {
            let plane = gpu.alloc(LABEL, Purpose::KvCache, bytes * capacity as u64)?;
            // A browser tells later whether it has the memory.
            gpu.flush_errors().await?;
            planes.push(plane.all());
        }
        if self.len > 0 {
            let mut copies = Recording::new();
            for ((from, to), bytes) in from.planes.iter().zip(&planes).zip(&self.entry_bytes) {
                let held = 0..bytes * self.len as u64;
                copies.copy(from.buffer.slice(held.clone()), to.buffer.slice(held));
            }
            gpu.run("move the cache", &copies)?;
            // The memory of the old buffers cannot serve the next layer before the copies are made.
            gpu.read(&planes[0].buffer.slice(0..4)).await?;
        }
        Ok(KvLayer { cache: Cache { precision: self.precision, planes }, capacity })
    }

    /// What the rotation of an entry stands for: here its number. Families that give the patches of a picture other positions than
    /// they have entries answer differently.
    pub(crate) fn position_id(&self, entry: usize) -> usize {
        entry
    }

    /// Counts rows whose entries a submitted recording appends.
    pub fn advance(&mut self, rows: usize) {
        self.len += rows;
    }

    /// A buffer that tells this state from others: a prepared recording that binds it works on this state.
    pub(crate) fn place(&self) -> Option<crate::gpu::Buffer> {
        self.layers.first().and_then(|LayerState::Kv(layer)| Some(layer.cache.planes.first()?.buffer.clone()))
    }
}

impl States for State {
    fn len(&self) -> usize {
        self.len
    }

    fn checkpoint(&mut self) {}

    fn rewind(&mut self, to: usize) -> usize {
        // Keys and values of an entry depend on no later one.
        self.len = self.len.min(to);
        self.len
    }
}
