//! A package to an engine: manifest and tokenizer first, then shards in any order.

use super::Engine;
use std::sync::Arc;

use super::events::Clock;
use super::pictures::FeatureCache;
use super::session::Session;
use crate::chat::Tokenizer;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::model::{Model, forward};
use crate::weights::manifest::Manifest;
use crate::weights::upload::Uploader;

/// Context length where the caller names none: a picture and a long talk about it.
const DEFAULT_CONTEXT: usize = 4096;

/// How a model is loaded.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Tokens the context is to hold, at most what the model was made for; `None` for a default.
    pub context: Option<usize>,
    /// The platform's clock.
    pub clock: Clock,
}

/// An engine that waits for its shards.
#[derive(Debug)]
pub struct Loader {
    gpu: Gpu,
    manifest: Manifest,
    tokenizer: Arc<Tokenizer>,
    uploader: Uploader,
    options: LoadOptions,
}

impl Loader {
    /// Checks the manifest and the tokenizer and allocates the weights.
    ///
    /// # Errors
    /// [`crate::Error::InvalidPackage`], [`crate::Error::Integrity`], [`crate::Error::Tokenizer`], [`crate::Error::LimitsTooSmall`],
    /// [`crate::Error::OutOfMemory`].
    pub fn new(gpu: &Gpu, manifest: &[u8], tokenizer: &[u8], options: LoadOptions) -> Result<Self> {
        let manifest = Manifest::parse(manifest)?;
        manifest.tokenizer.verify(tokenizer)?;
        let tokenizer = Arc::new(Tokenizer::from_json(tokenizer)?);
        let uploader = Uploader::new(gpu, &manifest, &forward::joins(&manifest.config))?;
        Ok(Self { gpu: gpu.clone(), manifest, tokenizer, uploader, options })
    }

    /// What is being loaded.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Checks a shard's hash and sends its bytes to the GPU.
    ///
    /// # Errors
    /// [`crate::Error::Integrity`], [`crate::Error::InvalidPackage`].
    pub fn push_shard(&mut self, index: usize, bytes: &[u8]) -> Result<()> {
        if let Some(entry) = self.manifest.shards.get(index) {
            entry.verify(bytes)?;
        }
        self.uploader.push_shard(&self.manifest, index, bytes)
    }

    /// As [`Self::push_shard`] for bytes whose hash the caller has checked.
    ///
    /// # Errors
    /// [`crate::Error::InvalidPackage`].
    pub fn push_verified_shard(&mut self, index: usize, bytes: &[u8]) -> Result<()> {
        self.uploader.push_shard(&self.manifest, index, bytes)
    }

    /// Waits for the uploads and makes the engine.
    ///
    /// # Errors
    /// [`crate::Error::InvalidPackage`] if a shard never came, or what the device complained about.
    pub async fn finish(self) -> Result<Engine> {
        let Self { gpu, manifest, tokenizer, uploader, options } = self;
        let model = Model::new(&gpu, &manifest.config, uploader.finish(&manifest)?)?;
        let made_for = manifest.config.text.max_position_embeddings;
        let context = options.context.unwrap_or(DEFAULT_CONTEXT).clamp(1, made_for);
        let session = Session::new(&gpu, &manifest.config.text, context)?;
        model.settle().await?;
        Ok(Engine { gpu, model, tokenizer, manifest, session, features: FeatureCache::default(), clock: options.clock })
    }
}
