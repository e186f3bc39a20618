//! A package to an engine: manifest and tokenizer first, then shard by shard.

use std::sync::Arc;

use super::Engine;
use super::events::{Clock, LoadEvent};
use super::pictures::FeatureCache;
use super::plan::{MemoryOptions, Plan, plan, smaller};
use super::recover::LOSSES;
use super::session::Session;
use super::source::{ShardSource, both};
use super::speculate::{LatencyModel, Speculation};
use super::tower::{Residency, Tower};
use super::tuning::{Arithmetic, BUDGET_MS, Tune, Tuned, tune};
use crate::chat::Tokenizer;
use crate::config::KvPrecision;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, KernelConfig, Purpose};
use crate::kernels::self_test::{Heads, Needs, SelfTestReport, Vision, self_test};
use crate::model::{KvCache, Model, decoder, forward};
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
    /// When ways to compute are tried on the device; where they are, loading takes up to [`BUDGET_MS`](super::BUDGET_MS) longer.
    pub tune: Tune,
    /// Which numbers kernels may come to.
    pub arithmetic: Arithmetic,
    /// What earlier loads found, as remembered under [`tuning_key`](super::tuning_key).
    pub tuned: Tuned,
    /// Whether tokens that stand earlier in the conversation are proposed and verified several at a time.
    pub speculation: Speculation,
    /// The platform's clock.
    pub clock: Clock,
}

impl LoadOptions {
    /// Everything by default, with the platform's clock.
    pub fn new(clock: Clock) -> Self {
        Self {
            context: None,
            kv_precision: None,
            vision: None,
            gpu_memory_budget: None,
            speculation: Speculation::default(),
            tune: Tune::default(),
            arithmetic: Arithmetic::default(),
            tuned: Tuned::default(),
            clock,
        }
    }

    fn memory_options(&self) -> MemoryOptions {
        let Self { context, kv_precision: kv, vision, gpu_memory_budget: budget, speculation, .. } = *self;
        MemoryOptions { budget, context, kv, vision, speculation }
    }
}

/// The part of an engine that is on the device, and gone with it.
#[derive(Debug)]
pub(super) struct Resident {
    pub(super) model: Model,
    /// The weights of the picture side, where they stay.
    pub(super) tower: Option<Tower>,
    pub(super) cache: KvCache,
}

impl Engine {
    /// Checks manifest and tokenizer, plans, tests the device's kernels, allocates the weights and fills them from `shards`. The
    /// engine keeps `shards`: weights may have to be sent again. `on_event` is told the bytes of every shard that has been read, and
    /// the kernels that are compiled.
    ///
    /// Where the device's memory runs out although nobody set a budget, the plan is made again with less. A device that is lost
    /// meanwhile is opened again, and loading starts over.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`], [`Error::Integrity`], [`Error::Tokenizer`], [`Error::BudgetTooSmall`],
    /// [`Error::LimitsTooSmall`], [`Error::OutOfMemory`], [`Error::SelfTestFailed`], what `shards` says, or what the device
    /// complains about.
    pub async fn load(
        gpu: &Gpu,
        manifest: &[u8],
        tokenizer: &[u8],
        shards: Box<dyn ShardSource>,
        options: LoadOptions,
        on_event: &mut dyn FnMut(LoadEvent),
    ) -> Result<Self> {
        let manifest = Manifest::parse(manifest)?;
        manifest.tokenizer.verify(tokenizer)?;
        let tokenizer = Arc::new(Tokenizer::from_json(tokenizer)?);
        let mut plan = plan(&manifest, gpu.max_binding(), options.memory_options())?;
        let (mut gpu, mut losses, mut told) = (gpu.clone(), 0, 0);
        let features = gpu.features() & options.arithmetic.features();
        gpu.set_kernel_config(KernelConfig { features, variants: options.tuned.variants, ..gpu.kernel_config() });
        let mut tunes = options.tune.tunes(gpu.class());
        let (resident, self_test, tuned) = loop {
            let mut sent = 0;
            let mut tell = |event| {
                match event {
                    LoadEvent::Bytes(bytes) => {
                        sent += bytes;
                        if sent > told {
                            on_event(LoadEvent::Bytes(sent - told));
                            told = sent;
                        }
                    }
                    kernels => on_event(kernels),
                }
                Ok(())
            };
            let outcome = match bring_up(&gpu, &manifest, &*shards, &plan, options.clock, &mut tell).await {
                Ok(loaded) => tuned(&gpu, &manifest, &plan, loaded, &options, &mut tunes).await,
                Err(error) => Err(error),
            };
            match outcome {
                Err(Error::DeviceLost { .. }) if losses + 1 < LOSSES => {
                    losses += 1;
                    gpu = gpu.reopen().await?;
                }
                Err(full @ Error::OutOfMemory { .. }) => {
                    plan = smaller(&manifest, gpu.max_binding(), options.memory_options(), &plan).map_err(|_| full)?;
                }
                outcome => break outcome?,
            }
        };
        Ok(Self {
            latency: LatencyModel::new(gpu.class()),
            gpu,
            plan,
            resident: Some(resident),
            tokenizer,
            manifest,
            shards,
            session: Session::default(),
            features: FeatureCache::default(),
            self_test,
            tuned,
            filter_is_tested: false,
            rows_tested: Vec::new(),
            speculation: options.speculation,
            clock: options.clock,
        })
    }
}

/// Tests the device's kernels, sends a model's weights by plan and makes an empty cache. Every shard is read, so that all hashes have been
/// checked. `on_event` may end it with an error.
pub(super) async fn bring_up(
    gpu: &Gpu,
    manifest: &Manifest,
    shards: &dyn ShardSource,
    plan: &Plan,
    clock: Clock,
    on_event: &mut dyn FnMut(LoadEvent) -> Result<()>,
) -> Result<(Resident, SelfTestReport)> {
    let needs = kernel_needs(manifest, vec![plan.kv]);
    // A browser compiles while the first shards come. No weights are there yet: the test has their memory.
    let mut go_on = Ok(());
    let mut on_compiled = |done, total| {
        if go_on.is_ok() {
            go_on = on_event(LoadEvent::Kernels { done, total });
        }
    };
    let test = self_test(gpu, |config| Ok(needs.kernels(gpu, config)), clock, &mut on_compiled);
    let (report, first) = match manifest.shards.is_empty() {
        true => (test.await, None),
        false => {
            let (report, first) = both(test, shards.shard(0)).await;
            (report, Some(first))
        }
    };
    let (report, mut first) = (report?, first);
    go_on?;
    let config = &manifest.config;
    let mut uploader = Uploader::new(gpu, manifest);
    let joins = decoder::joins(config.text());
    let text = Selection { joins: &joins, wanted: &forward::is_text, purpose: Purpose::TextWeights };
    uploader.want(manifest, &text)?;
    let stays = config.vision().filter(|_| plan.vision == Residency::Resident);
    if let Some(vision) = stays {
        Tower::want(&mut uploader, manifest, vision.num_hidden_layers)?;
    }
    gpu.flush_errors().await?;
    for index in 0..manifest.shards.len() {
        let bytes = match first.take() {
            Some(bytes) => bytes?,
            None => shards.shard(index).await?,
        };
        uploader.push_shard(manifest, index, &bytes)?;
        // Before the next one comes: copies on their way take memory too.
        gpu.wait_idle().await?;
        on_event(LoadEvent::Bytes(bytes.len() as u64))?;
    }
    let mut weights = uploader.finish(manifest)?;
    let tower = if stays.is_some() { Tower::take(config, &mut weights)? } else { None };
    let model = Model::new(gpu, config, plan.rows, weights)?;
    let cache = KvCache::new(gpu, config.text(), plan.context, plan.kv)?;
    model.wait_idle().await?;
    Ok((Resident { model, tower, cache }, report))
}

/// Where it `tunes`, and then no more, tries ways to compute on a loaded model, and tests those that are quicker: what computes wrongly
/// is not taken.
async fn tuned(
    gpu: &Gpu,
    manifest: &Manifest,
    plan: &Plan,
    (mut resident, report): (Resident, SelfTestReport),
    options: &LoadOptions,
    tunes: &mut bool,
) -> Result<(Resident, SelfTestReport, Tuned)> {
    let (before, clock) = (gpu.kernel_config(), options.clock);
    if !std::mem::take(tunes) {
        return Ok((resident, report, Tuned { variants: before.variants, ..options.tuned }));
    }
    let until = clock() + BUDGET_MS;
    let mut tuned = tune(gpu, (&mut resident.model, &mut resident.cache), options.tuned, (clock, until)).await?;
    resident.model.rest();
    resident.cache = KvCache::new(gpu, manifest.config.text(), plan.context, plan.kv)?;
    if gpu.kernel_config() == before {
        return Ok((resident, report, tuned));
    }
    let needs = kernel_needs(manifest, vec![plan.kv]);
    let mut tested = self_test(gpu, |config| Ok(needs.kernels(gpu, config)), clock, &mut |_, _| ()).await?;
    tested.failed.splice(0..0, report.failed);
    tuned.variants = gpu.kernel_config().variants;
    Ok((resident, tested, tuned))
}

/// The kernels that a package needs, with caches of these precisions.
pub fn kernel_needs(manifest: &Manifest, caches: Vec<KvPrecision>) -> Needs {
    let (text, vision) = (manifest.config.text(), manifest.config.vision());
    let matrices = manifest.tensors.iter().filter(|tensor| tensor.shape.len() == 2);
    let of_layers = matrices.clone().filter(|tensor| tensor.name.starts_with("layers."));
    let is_embedding = |name: &str| name == "embed_tokens";
    let named = |name: &str| matrices.clone().find(|tensor| tensor.name == name).map(|tensor| tensor.layout);
    let embedding = named("embed_tokens").unwrap_or(manifest.quantization);
    let product = |name: &str| !is_embedding(name) || text.tie_word_embeddings;
    Needs {
        products: matrices.clone().filter(|tensor| product(&tensor.name)).map(|tensor| tensor.layout).collect(),
        step: of_layers.map(|tensor| tensor.layout).collect(),
        head: named("lm_head").unwrap_or(embedding),
        embedding,
        group: text.num_attention_heads / text.num_key_value_heads,
        decoder: Heads { head_dim: text.head_dim, pairs: text.rope.pairs },
        caches,
        vision: vision.as_ref().map(|vision| Vision {
            heads: Heads { head_dim: vision.head_dim, pairs: vision.rope_pairs },
            patch_size: vision.patch_size,
            merge: vision.spatial_merge_size,
            gate: vision.hidden_act,
            projector: vision.projector_act,
        }),
    }
}
