//! Keys and values of every token seen, layer by layer.

use crate::config::TextConfig;
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Gpu, Purpose, Recording};

/// Tokens a new cache holds.
const FIRST_CAPACITY: usize = 256;

/// A cache that grows as tokens come, up to the context length.
#[derive(Debug)]
pub struct KvCache {
    gpu: Gpu,
    layers: Vec<KvLayer>,
    width: usize,
    len: usize,
    capacity: usize,
    context: usize,
}

/// The keys and values of one layer. `// [capacity, kv_heads * head_dim]` each
#[derive(Debug, Clone)]
pub struct KvLayer {
    /// Keys, rotated.
    pub k: Buffer,
    /// Values.
    pub v: Buffer,
}

impl KvCache {
    /// An empty cache that may grow to `context` tokens.
    ///
    /// # Errors
    /// As [`Gpu::alloc`].
    pub fn new(gpu: &Gpu, config: &TextConfig, context: usize) -> Result<Self> {
        let width = config.num_key_value_heads * config.head_dim;
        let capacity = FIRST_CAPACITY.min(context);
        let layers = config.layers.iter().map(|_| KvLayer::new(gpu, width, capacity)).collect::<Result<_>>()?;
        Ok(Self { gpu: gpu.clone(), layers, width, len: 0, capacity, context })
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

    /// The keys and values of layer `index`.
    pub(super) fn layer(&self, index: usize) -> &KvLayer {
        &self.layers[index]
    }

    /// Width of the keys of a token in one layer, and of its values.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Forgets all but the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Makes room for `tokens` more.
    ///
    /// # Errors
    /// [`Error::ContextOverflow`], or as [`Gpu::alloc`].
    pub(super) fn reserve(&mut self, tokens: usize) -> Result<()> {
        let needed = self.len + tokens;
        if needed > self.context {
            return Err(Error::ContextOverflow { tokens: needed, context: self.context });
        }
        if needed <= self.capacity {
            return Ok(());
        }
        let capacity = needed.max(2 * self.capacity).min(self.context);
        let held = (self.len * self.width * size_of::<f32>()) as u64;
        for layer in &mut self.layers {
            let larger = KvLayer::new(&self.gpu, self.width, capacity)?;
            if held > 0 {
                let mut copy = Recording::new();
                copy.copy(layer.k.slice(0..held), larger.k.slice(0..held));
                copy.copy(layer.v.slice(0..held), larger.v.slice(0..held));
                self.gpu.run("grow the cache", &copy)?;
            }
            *layer = larger;
        }
        self.capacity = capacity;
        Ok(())
    }

    /// Counts tokens whose keys and values a submitted recording appends.
    pub(super) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }
}

impl KvLayer {
    fn new(gpu: &Gpu, width: usize, capacity: usize) -> Result<Self> {
        let bytes = (width * capacity * size_of::<f32>()) as u64;
        let alloc = |label| gpu.alloc(label, Purpose::KvCache, bytes);
        Ok(Self { k: alloc("keys")?, v: alloc("values")? })
    }
}
