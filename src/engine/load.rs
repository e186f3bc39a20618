//! A package to an engine: manifest and tokenizer first, then shard by shard.

use std::sync::Arc;

use super::Engine;
use super::events::Clock;
use super::pictures::FeatureCache;
use super::session::Session;
use super::source::ShardSource;
use crate::chat::Tokenizer;
use crate::config::KvPrecision;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::model::{KvCache, Model, forward};
use crate::weights::manifest::Manifest;
use crate::weights::upload::Uploader;

/// Context length where the caller names none: a picture and a long talk about it.
const DEFAULT_CONTEXT: usize = 4096;

/// How a model is loaded.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Tokens the context is to hold, at most what the model was made for; `None` for a default.
    pub context: Option<usize>,
    /// How the cache of keys and values holds a number; `None` for [`KvCache::default_precision`].
    pub kv_precision: Option<KvPrecision>,
    /// The platform's clock.
    pub clock: Clock,
}

impl Engine {
    /// Checks manifest and tokenizer, allocates the weights and fills them from `shards`, which the engine keeps: weights may
    /// have to be sent again. `on_bytes` is told the bytes of every shard that has been sent.
    ///
    /// # Errors
    /// [`crate::Error::InvalidPackage`], [`crate::Error::Integrity`], [`crate::Error::Tokenizer`],
    /// [`crate::Error::LimitsTooSmall`], [`crate::Error::OutOfMemory`], what `shards` says, or what the device complains about.
    pub async fn load(
        gpu: &Gpu,
        manifest: &[u8],
        tokenizer: &[u8],
        shards: Box<dyn ShardSource>,
        options: LoadOptions,
        on_bytes: &mut dyn FnMut(u64),
    ) -> Result<Self> {
        let manifest = Manifest::parse(manifest)?;
        manifest.tokenizer.verify(tokenizer)?;
        let tokenizer = Arc::new(Tokenizer::from_json(tokenizer)?);
        let model = load_model(gpu, &manifest, &*shards, on_bytes).await?;
        let made_for = manifest.config.text.max_position_embeddings;
        let context = options.context.unwrap_or(DEFAULT_CONTEXT).clamp(1, made_for);
        let text = &manifest.config.text;
        let precision = options.kv_precision.unwrap_or_else(|| KvCache::default_precision(text, context));
        let session = Session::new(gpu, text, context, precision)?;
        model.settle().await?;
        let (gpu, clock) = (gpu.clone(), options.clock);
        Ok(Self { gpu, model, tokenizer, manifest, shards, session, features: FeatureCache::default(), clock })
    }
}

/// Fills a model's weights.
async fn load_model(
    gpu: &Gpu,
    manifest: &Manifest,
    shards: &dyn ShardSource,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<Model> {
    let mut uploader = Uploader::new(gpu, manifest, &forward::joins(&manifest.config))?;
    for index in 0..manifest.shards.len() {
        let bytes = shards.shard(index).await?;
        uploader.push_shard(manifest, index, &bytes)?;
        gpu.check()?;
        on_bytes(bytes.len() as u64);
    }
    Model::new(gpu, &manifest.config, uploader.finish(manifest)?)
}
