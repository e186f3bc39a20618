//! Loading a package: manifest and tokenizer first, then shard by shard. Also a check that the planned memory exists.

use std::rc::Rc;
use std::sync::Arc;

use super::features::FeatureCache;
use super::test::Test;
use super::tuning::{Arithmetic, Tune};
use super::weight_source::ShardSource;
use super::{Device, bring_up};
use crate::chat::Tokenizer;
use crate::config::{KvPrecision, PixelSize};
use crate::engine::Engine;
use crate::engine::answer::speculate::{LatencyModel, Speculation};
use crate::engine::control::LOSSES;
use crate::engine::events::{Calendar, Clock, LoadEvent};
use crate::engine::prompt::picture_cost::PictureCost;
use crate::engine::prompt::picture_size::PictureLimits;
use crate::engine::tuned::Tuned;
use crate::error::{Error, Result};
use crate::families::definition;
use crate::gpu::{Allocator, DeviceClass, Gpu, KernelConfig, unusable};
use crate::image::{Decode, ReadSize, decode, size};
use crate::layers::vision::Pixels;
use crate::memory::{MemoryOptions, Plan, Residency, plan, smaller};
use crate::model::{Draw, LanguageModel};
use crate::package::manifest::Manifest;
use crate::sampling::{Past, SamplingOptions};

/// Options for loading a model.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Context length in tokens, at most the model's own; `None` for a default.
    pub context: Option<usize>,
    /// Longest context in tokens to choose by default, where memory is plentiful.
    pub longest_context: Option<usize>,
    /// Precision of the KV cache; `None` to let the plan choose.
    pub kv_precision: Option<KvPrecision>,
    /// Residency of the tower's weights; `None` to let the plan choose.
    pub vision: Option<Residency>,
    /// Limit of all GPU memory in bytes; `None` for the memory of the device.
    pub gpu_memory_budget: Option<u64>,
    /// Condition for tuning, which prolongs loading by up to [`BUDGET_MS`](crate::engine::BUDGET_MS).
    pub tune: Tune,
    /// Accuracy of kernels.
    pub arithmetic: Arithmetic,
    /// Results of earlier loads, stored under [`tuning_key`](crate::engine::tuning_key).
    pub tuned: Tuned,
    /// Mode of speculative decoding.
    pub speculation: Speculation,
    /// Limits of pictures.
    pub pictures: PictureLimits,
    /// Decoder of picture files.
    pub decode_picture: Decode,
    /// Reader of the sizes in their headers, by which pictures are refused before any is decoded.
    pub read_picture_size: Option<ReadSize>,
    /// The platform's clock.
    pub clock: Clock,
    /// The date, for default system prompts that name it.
    pub today: Calendar,
}

impl LoadOptions {
    /// Defaults with the platform's clock and no date.
    pub fn new(clock: Clock) -> Self {
        Self { read_picture_size: Some(size), ..Self::with_decoder(clock, decode) }
    }

    /// [`Self::new`] with another decoder of pictures, so that a wasm module does not contain the default one.
    pub fn with_decoder(clock: Clock, decode_picture: Decode) -> Self {
        Self {
            context: None,
            longest_context: None,
            kv_precision: None,
            vision: None,
            gpu_memory_budget: None,
            tune: Tune::default(),
            arithmetic: Arithmetic::default(),
            tuned: Tuned::default(),
            speculation: Speculation::default(),
            pictures: PictureLimits::default(),
            decode_picture,
            read_picture_size: None,
            clock,
            today: || None,
        }
    }

    fn memory_options(&self, class: DeviceClass) -> MemoryOptions {
        let Self { context, longest_context, kv_precision: kv, vision, gpu_memory_budget: budget, .. } = *self;
        // CPUs are slow at reading 16-bit floats, and have enough memory.
        let is_wide = kv.is_none() && class != DeviceClass::Hardware;
        let vision_kv = is_wide.then_some(KvPrecision::F32);
        MemoryOptions { budget, context, longest_context, kv, vision_kv, vision }
    }
}

/// Returns true for errors after which the processor may still run the model.
fn rules_out_gpu(error: &Error) -> bool {
    use Error::{DeviceLost, LimitsTooSmall, SelfTestFailed, WebgpuUnavailable};
    matches!(error, DeviceLost { .. } | LimitsTooSmall { .. } | SelfTestFailed { .. } | WebgpuUnavailable { .. })
}

/// A plan that the memory of the device has room for, as far as that is known.
fn plan_within(manifest: &Manifest, gpu: &Gpu, memory_options: MemoryOptions) -> Result<Plan> {
    let wanted = plan(manifest, gpu.max_binding(), memory_options)?;
    match gpu.report().max_memory.filter(|&most| most < wanted.peak) {
        Some(most) => plan(manifest, gpu.max_binding(), MemoryOptions { budget: Some(most), ..memory_options }),
        None => Ok(wanted),
    }
}

impl Device {
    /// Loads a package onto a device. `told` counts the bytes that `on_event` has received in earlier attempts.
    async fn load(
        gpu: &Gpu,
        (manifest, shards): &(Arc<Manifest>, Rc<dyn ShardSource>),
        options: &LoadOptions,
        told: &mut u64,
        on_event: &mut dyn FnMut(LoadEvent),
    ) -> Result<Self> {
        let model = definition(&manifest.config);
        let mut plan = plan_within(manifest, gpu, options.memory_options(gpu.class()))?;
        let (mut gpu, mut losses) = (gpu.clone(), 0);
        let features = (gpu.features() & options.arithmetic.features()) - options.tuned.wrong - model.avoids();
        gpu.set_kernel_config(KernelConfig { features, variants: options.tuned.variants, ..gpu.kernel_config() });
        gpu.set_pace(options.clock, options.tuned.gflops);
        let mut tuning = (options.tune.tunes(gpu.class()), options.tuned);
        let (resident, self_test, tuned) = loop {
            let mut sent = 0;
            let mut tell = |event| {
                match event {
                    LoadEvent::Bytes(bytes) => {
                        sent += bytes;
                        if sent > *told {
                            on_event(LoadEvent::Bytes(sent - *told));
                            *told = sent;
                        }
                    }
                    kernels => on_event(kernels),
                }
                Ok(())
            };
            let how = (options.clock, options.tuned.proof);
            let outcome = match bring_up(&gpu, manifest, shards, &plan, how, &mut tell).await {
                Ok(loaded) => {
                    let (gpu, clock) = (&gpu, options.clock);
                    let test = Test { gpu, manifest, plan: &plan, clock, features };
                    test.finish(loaded, &mut tuning, on_event).await
                }
                Err(error) => Err(error),
            };
            match outcome {
                Err(Error::DeviceLost { .. }) if losses + 1 < LOSSES => {
                    losses += 1;
                    gpu = gpu.reopen().await?;
                }
                Err(full @ Error::OutOfMemory { .. }) => {
                    plan = smaller(manifest, gpu.max_binding(), options.memory_options(gpu.class()), &plan)
                        .map_err(|_| full)?;
                }
                outcome => break outcome?,
            }
        };
        let (clock, resident, features) = (options.clock, Some(resident), FeatureCache::default());
        let (manifest, shards) = (manifest.clone(), shards.clone());
        let costs = Arc::new(PictureCost::new(&gpu, manifest.clone(), &plan));
        Ok(Self { gpu, plan, resident, manifest, shards, features, costs, self_test, tuned, clock })
    }
}

impl Engine {
    /// Checks manifest and tokenizer, plans memory, tests the device's kernels, allocates the weights and fills them from `shards`, which
    /// the engine keeps to upload weights again. `on_event` receives the bytes of every shard read and the progress of compilation.
    ///
    /// If the device's memory runs out and no budget was set, loading continues with a smaller plan. After a device loss the device is
    /// reopened and loading starts again. A GPU that the platform chose and that cannot be used is replaced by the processor.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`], [`Error::Integrity`], [`Error::Tokenizer`], [`Error::BudgetTooSmall`], [`Error::LimitsTooSmall`],
    /// [`Error::OutOfMemory`], [`Error::SelfTestFailed`], errors of `shards`, and errors of the device.
    pub async fn load(
        gpu: &Gpu,
        manifest: &[u8],
        tokenizer: &[u8],
        shards: Box<dyn ShardSource>,
        options: LoadOptions,
        on_event: &mut dyn FnMut(LoadEvent),
    ) -> Result<Self> {
        let (manifest, shards) = (Arc::new(Manifest::parse(manifest)?), Rc::<dyn ShardSource>::from(shards));
        manifest.tokenizer.verify(tokenizer)?;
        let model = definition(&manifest.config);
        let tokenizer = Tokenizer::with_pattern(tokenizer, model.family().split_pattern)?;
        let tokenizer = Arc::new(tokenizer.printing(|token| model.prints(&manifest.chat.template, token)));
        let package = (manifest, shards);
        let mut told = 0;
        let backend = match Device::load(gpu, &package, &options, &mut told, on_event).await {
            Err(error) if gpu.has_fallback() && rules_out_gpu(&error) => {
                let reason = unusable(&error.to_string());
                let processor = gpu.fall_back(reason.clone()).await.map_err(|_| error.clone())?;
                on_event(LoadEvent::Processor { error, reason });
                // The results of tuning are those of the GPU.
                let own = LoadOptions { tuned: Tuned::default(), ..options };
                Device::load(&processor, &package, &own, &mut told, on_event).await?
            }
            loaded => loaded?,
        };
        let latency = LatencyModel::new(backend.gpu.class());
        Ok(Self { latency, ..Self::new(backend, tokenizer, &options) })
    }

    /// Allocates the memory of a picture of this size after a conversation that fills the rest of the context, then the memory of a full
    /// context, without computing. Forgets the conversation. The ledger's peak is then the memory really allocated.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the device has less than planned, [`Error::InvalidRequest`] for a picture without an area, and errors of
    /// [`Engine::generate`]. The engine remains usable.
    pub async fn preallocate(&mut self, width: usize, height: usize) -> Result<()> {
        self.reset();
        let picture = self.preallocate_picture(width, height).await;
        let preallocated = if picture.is_ok() { self.preallocate_text().await } else { picture };
        self.reset();
        preallocated
    }

    async fn preallocate_picture(&mut self, width: usize, height: usize) -> Result<()> {
        let plan = &self.backend.plan;
        let Some(rules) = definition(self.config()).pictures() else { return Ok(()) };
        let edge = plan.longest_edge.min(rules.largest_edge());
        if width == 0 || height == 0 {
            return Err(Error::request("width", "a picture has at least one pixel"));
        }
        let grid = rules.grid(PixelSize { width, height }, edge)?;
        let (entries, rows) = (plan.context.saturating_sub(rules.tokens(grid).len()), plan.feature_rows);
        let pixels = Pixels::blank(grid, rules.cell());
        let model = &mut self.backend.resident_mut()?.model;
        self.conversation.reserve(model, entries).await?;
        self.backend.make_room_for_tower().await?;
        let (model, mut tower) = self.backend.tower_run()?;
        model.release();
        let _features = model.features(rows)?;
        tower.preallocate(&pixels).await
    }

    async fn preallocate_text(&mut self) -> Result<()> {
        let (context, rows) = (self.backend.plan.context, self.backend.plan.feature_rows);
        let model = &mut self.backend.resident_mut()?.model;
        self.conversation.reserve(model, context).await?;
        let _features = model.features(rows)?;
        model.preallocate(self.conversation.state_mut(model)?).await?;
        // Sampling with penalties takes the most memory.
        let sampling = SamplingOptions { frequency_penalty: 1.0, ..SamplingOptions::default() };
        let _draw = Draw::new(model, &sampling, Past::default(), true)?;
        model.wait_idle().await
    }
}
