//! Keys and values of every token seen, layer by layer.

use crate::config::{KvPrecision, TextConfig};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Purpose, Recording};
use crate::kernels::cache::Cache;

/// What the buffers are called in the device's messages.
const LABEL: &str = "keys and values";
/// Tokens by which a cache grows.
pub const PAGE: usize = 256;
/// Tokens for which there may be room in vain before memory is given back: a shorter question after a longer one, now and then.
const SPARE: usize = 8 * PAGE;
/// Bytes that the full context of a small model may take before 32-bit floats are too dear for it.
const AFFORDABLE: u64 = 64 << 20;

/// A cache that follows the tokens it holds, up to the context length.
#[derive(Debug)]
pub struct KvCache {
    gpu: Gpu,
    layers: Vec<KvLayer>,
    /// Of each plane of a layer.
    token_bytes: Vec<u64>,
    precision: KvPrecision,
    len: usize,
    context: usize,
}

#[derive(Debug)]
struct KvLayer {
    cache: Cache,
    capacity: usize,
}

impl KvCache {
    /// An empty cache that may grow to `context` tokens; it takes next to no memory yet.
    ///
    /// # Errors
    /// As [`Gpu::alloc`].
    pub fn new(gpu: &Gpu, config: &TextConfig, context: usize, precision: KvPrecision) -> Result<Self> {
        let head_bytes = precision.head_bytes(config.head_dim);
        let empty = || {
            let nothing = |_| Ok(gpu.alloc(LABEL, Purpose::KvCache, 0)?.all());
            let planes = head_bytes.iter().map(nothing).collect::<Result<_>>()?;
            Ok(KvLayer { cache: Cache { precision, planes }, capacity: 0 })
        };
        Ok(Self {
            gpu: gpu.clone(),
            layers: config.layers.iter().map(|_| empty()).collect::<Result<_>>()?,
            token_bytes: head_bytes.iter().map(|bytes| bytes * config.num_key_value_heads as u64).collect(),
            precision,
            len: 0,
            context,
        })
    }

    /// Bytes that a token takes, in all layers together.
    pub fn bytes_per_token(config: &TextConfig, precision: KvPrecision) -> u64 {
        let head_bytes: u64 = precision.head_bytes(config.head_dim).iter().sum();
        (config.layers.len() * config.num_key_value_heads) as u64 * head_bytes
    }

    /// Bytes of a cache that has grown to hold `tokens`: whole pages of [`PAGE`]. A context that is not a whole number of pages
    /// takes less when it is full.
    pub fn bytes_at(config: &TextConfig, precision: KvPrecision, tokens: usize) -> u64 {
        tokens.next_multiple_of(PAGE) as u64 * Self::bytes_per_token(config, precision)
    }

    /// The precision where nobody asks for one: 32-bit floats if the whole context is cheap even so, else 16-bit ones.
    pub fn default_precision(config: &TextConfig, context: usize) -> KvPrecision {
        let bytes = (context as u64).saturating_mul(Self::bytes_per_token(config, KvPrecision::F32));
        if bytes <= AFFORDABLE { KvPrecision::F32 } else { KvPrecision::F16 }
    }

    /// How it holds a number.
    pub fn precision(&self) -> KvPrecision {
        self.precision
    }

    /// Tokens held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no token is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The most tokens it may ever hold.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Tokens there is room for without growing.
    pub fn capacity(&self) -> usize {
        self.layers.iter().map(|layer| layer.capacity).min().unwrap_or(self.context)
    }

    /// The keys and values of layer `index`.
    pub(super) fn layer(&self, index: usize) -> &Cache {
        &self.layers[index].cache
    }

    /// Forgets all but the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Makes room for `tokens` more, and gives much room back that would stay empty. Layers move one after the other, so that
    /// never more than one of them is there twice. If one cannot, all tokens are still held, and there is as much room as before.
    ///
    /// # Errors
    /// [`Error::ContextOverflow`], or as [`Gpu::try_alloc`] and [`Gpu::read`].
    pub async fn reserve(&mut self, tokens: usize) -> Result<()> {
        let needed = self.len.saturating_add(tokens);
        if needed > self.context {
            return Err(Error::ContextOverflow { tokens: needed, context: self.context });
        }
        let capacity = needed.next_multiple_of(PAGE).min(self.context);
        for index in 0..self.layers.len() {
            let room = self.layers[index].capacity;
            if (needed..=capacity + SPARE).contains(&room) {
                continue;
            }
            match self.moved(&self.layers[index].cache, capacity).await {
                Ok(layer) => self.layers[index] = layer,
                // No room to move to a smaller place: then it stays in the larger one.
                Err(Error::OutOfMemory { .. }) if room >= needed => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives back the pages behind the last token, layer by layer. One that cannot move stays where it is.
    ///
    /// # Errors
    /// As [`Gpu::try_alloc`] and [`Gpu::read`], but for [`Error::OutOfMemory`].
    pub async fn trim(&mut self) -> Result<()> {
        let capacity = self.len.next_multiple_of(PAGE).min(self.context);
        for index in 0..self.layers.len() {
            if self.layers[index].capacity > capacity {
                match self.moved(&self.layers[index].cache, capacity).await {
                    Ok(layer) => self.layers[index] = layer,
                    Err(Error::OutOfMemory { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// A layer's tokens in another place, for `capacity`.
    async fn moved(&self, from: &Cache, capacity: usize) -> Result<KvLayer> {
        let mut planes = Vec::with_capacity(from.planes.len());
        for bytes in &self.token_bytes {
            planes.push(self.gpu.try_alloc(LABEL, Purpose::KvCache, bytes * capacity as u64).await?.all());
        }
        if self.len > 0 {
            let mut copies = Recording::new();
            for ((from, to), bytes) in from.planes.iter().zip(&planes).zip(&self.token_bytes) {
                let held = 0..bytes * self.len as u64;
                copies.copy(from.buffer.slice(held.clone()), to.buffer.slice(held));
            }
            self.gpu.run("move the cache", &copies)?;
            // Not before the copies are made can the memory of the old place serve the next layer.
            self.gpu.read(&planes[0].buffer.slice(0..4)).await?;
        }
        Ok(KvLayer { cache: Cache { precision: self.precision, planes }, capacity })
    }

    /// Counts tokens whose keys and values a submitted recording appends.
    pub fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }
}
