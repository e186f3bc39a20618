//! A package to an engine: manifest and tokenizer first, then shard by shard.

use std::sync::Arc;

use super::Engine;
use super::events::Clock;
use super::pictures::FeatureCache;
use super::plan::{Plan, Wishes, plan, smaller};
use super::session::Session;
use super::source::ShardSource;
use super::tower::{Residency, Tower};
use crate::chat::Tokenizer;
use crate::config::KvPrecision;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Purpose};
use crate::model::{Model, decoder, forward};
use crate::weights::manifest::Manifest;
use crate::weights::upload::{Selection, Uploader};

/// How a model is loaded.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Tokens the context is to hold, at most what the model was made for; `None` for a default.
    pub context: Option<usize>,
    /// How the cache of keys and values holds a number; `None` for what the plan chooses.
    pub kv_precision: Option<KvPrecision>,
    /// Where the weights of the picture side are; `None` for what the plan chooses.
    pub vision: Option<Residency>,
    /// Bytes of GPU memory that everything together may take; `None` for as many as the device has.
    pub gpu_memory_budget: Option<u64>,
    /// The platform's clock.
    pub clock: Clock,
}

impl LoadOptions {
    /// Everything by default, with the platform's clock.
    pub fn new(clock: Clock) -> Self {
        Self { context: None, kv_precision: None, vision: None, gpu_memory_budget: None, clock }
    }

    fn wishes(&self) -> Wishes {
        let Self { context, kv_precision: kv, vision, gpu_memory_budget: budget, .. } = *self;
        Wishes { budget, context, kv, vision }
    }
}

impl Engine {
    /// Checks manifest and tokenizer, plans, allocates the weights and fills them from `shards`, which the engine keeps: weights
    /// may have to be sent again. `on_bytes` is told the bytes of every shard that has been read.
    ///
    /// Where the device's memory runs out although nobody set a budget, the plan is made again with less.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`], [`Error::Integrity`], [`Error::Tokenizer`], [`Error::BudgetTooSmall`],
    /// [`Error::LimitsTooSmall`], [`Error::OutOfMemory`], what `shards` says, or what the device complains about.
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
        let mut plan = plan(&manifest, gpu.max_binding(), options.wishes())?;
        let loaded = loop {
            match load_weights(gpu, &manifest, &*shards, &plan, on_bytes).await {
                Err(Error::OutOfMemory { detail }) => {
                    match smaller(&manifest, gpu.max_binding(), options.wishes(), &plan) {
                        Ok(less) => plan = less,
                        Err(_) => return Err(Error::OutOfMemory { detail }),
                    }
                }
                loaded => break loaded?,
            }
        };
        let Loaded { model, tower } = loaded;
        let session = Session::new(gpu, &manifest.config.text, plan.context, plan.kv)?;
        model.settle().await?;
        let (gpu, clock, features) = (gpu.clone(), options.clock, FeatureCache::default());
        Ok(Self { gpu, plan, model, tower, tokenizer, manifest, shards, session, features, clock })
    }
}

/// A model's weights on the GPU.
pub(super) struct Loaded {
    pub(super) model: Model,
    /// The picture side, where it stays.
    pub(super) tower: Option<Tower>,
}

/// Sends a model's weights by plan. Every shard is read, so that all hashes have been checked once.
pub(super) async fn load_weights(
    gpu: &Gpu,
    manifest: &Manifest,
    shards: &dyn ShardSource,
    plan: &Plan,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<Loaded> {
    let config = &manifest.config;
    let mut uploader = Uploader::new(gpu, manifest);
    let joins = decoder::joins(&config.text);
    let text = Selection { joins: &joins, wanted: &forward::is_text, purpose: Purpose::TextWeights };
    uploader.want(manifest, &text)?;
    let stays = config.vision.as_ref().filter(|_| plan.vision == Residency::Resident);
    if let Some(vision) = stays {
        Tower::want(&mut uploader, manifest, vision.num_hidden_layers)?;
    }
    for index in 0..manifest.shards.len() {
        let bytes = shards.shard(index).await?;
        uploader.push_shard(manifest, index, &bytes)?;
        // Before the next one comes: copies on their way take memory too.
        gpu.settle().await?;
        on_bytes(bytes.len() as u64);
    }
    let mut weights = uploader.finish(manifest)?;
    let tower = if stays.is_some() { Tower::take(config, &mut weights)? } else { None };
    Ok(Loaded { model: Model::new(gpu, config, plan.rows, weights)?, tower })
}
