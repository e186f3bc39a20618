//! Backend of engines in use: a model on a GPU, with everything that restores it after a device loss.

pub(super) mod backend;
pub(super) mod features;
pub(super) mod load;
mod stored_rows;
mod test;
pub(super) mod tower;
pub(super) mod tuning;
pub(super) mod weight_source;
pub(super) mod workload;

use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::join;

use crate::engine::control::RequestContext;
use crate::engine::events::{Clock, Event, LoadEvent};
use crate::engine::prompt::encoder::PromptLimits;
use crate::engine::prompt::picture_cost::PictureCost;
use crate::engine::prompt::{ContextEntry, SizedPicture};
use crate::engine::tuned::Tuned;
use crate::error::{Error, Result};
use crate::families::definition;
use crate::gpu::Gpu;
use crate::kernels::self_test::{Proof, SelfTestReport, self_test};
use crate::layers::vision::Tower;
use crate::memory::{Plan, Residency};
use crate::model::{DryModel, Model};
use crate::package::hash::sha256_hex;
use crate::package::manifest::Manifest;
use crate::package::upload::{Selection, Uploader};
use backend::Backend;
use features::{FeatureCache, PromptImages};
use stored_rows::StoredRows;
use tower::{ShardWindow, TowerRun, select_all, take_all};
use weight_source::ShardSource;

/// Most idle conversations of a model without recurrent layers. The pool may evict their pages.
const MAX_IDLE: usize = 32;

/// The part of a backend that is on the device and is lost with it.
#[derive(Debug)]
pub(in crate::engine) struct Resident {
    pub(in crate::engine) model: Model,
    /// The tower, with its weights if they are resident.
    pub(in crate::engine) tower: Option<Tower>,
}

/// A model on a GPU.
#[derive(Debug)]
pub struct Device {
    pub(in crate::engine) gpu: Gpu,
    pub(in crate::engine) plan: Plan,
    /// `None` after a device loss, until another device holds the model.
    pub(in crate::engine) resident: Option<Resident>,
    pub(in crate::engine) manifest: Arc<Manifest>,
    pub(in crate::engine) shards: Rc<dyn ShardSource>,
    pub(in crate::engine) features: FeatureCache,
    pub(in crate::engine) costs: Arc<PictureCost>,
    pub(in crate::engine) self_test: SelfTestReport,
    pub(in crate::engine) tuned: Tuned,
    pub(in crate::engine) clock: Clock,
}

impl Device {
    pub(in crate::engine) fn resident_mut(&mut self) -> Result<&mut Resident> {
        self.resident.as_mut().ok_or_else(not_there)
    }

    /// Returns true if empty pages and the tower fit in memory together.
    fn keeps_pages(&self) -> bool {
        self.plan.keeps_pages && self.resident.as_ref().is_some_and(|resident| !resident.model.pool().is_lean())
    }

    /// Frees the memory of empty pages if the tower needs it.
    pub(in crate::engine) async fn make_room_for_tower(&mut self) -> Result<()> {
        let pool = self.model()?.pool().clone();
        if self.keeps_pages() { Ok(()) } else { pool.trim(&self.gpu).await }
    }

    /// Loads the model onto a device that was opened again.
    async fn load_again(&mut self, context: &mut RequestContext<'_>) -> Result<()> {
        let mut check = |_| context.control.check();
        // Proofs from before the loss count for nothing.
        let how = (self.clock, Proof::default());
        let (resident, self_test) =
            bring_up(&self.gpu, &self.manifest, &self.shards, &self.plan, how, &mut check).await?;
        (self.resident, self.self_test) = (Some(resident), self_test);
        Ok(())
    }

    /// Returns the tower, ready to run, and the model.
    pub(in crate::engine) fn tower_run(&mut self) -> Result<(&mut Model, TowerRun<'_>)> {
        let Resident { model, tower } = self.resident.as_mut().ok_or_else(not_there)?;
        let no_pictures = || Error::request("messages", "this model reads no pictures");
        let tower = tower.as_mut().ok_or_else(no_pictures)?;
        let (gpu, manifest, shards, plan) = (&self.gpu, &self.manifest, &*self.shards, &self.plan);
        Ok((model, TowerRun { gpu, manifest, shards, plan, tower, window: ShardWindow::default() }))
    }
}

/// The pictures of `pictures` that `entries` name, each once.
fn named<'a>(pictures: &'a [Arc<SizedPicture>], entries: &[ContextEntry]) -> Vec<&'a SizedPicture> {
    let mut wanted: Vec<&SizedPicture> = Vec::new();
    for picture in pictures {
        let is_of = |entry: &ContextEntry| entry.fingerprint() == Some(picture.fingerprint);
        if entries.iter().any(is_of) && wanted.iter().all(|other| other.fingerprint != picture.fingerprint) {
            wanted.push(picture);
        }
    }
    wanted
}

fn not_there() -> Error {
    Error::DeviceLost { reason: "it has not been opened again".into() }
}

impl Backend for Device {
    type Model = Model;

    fn context(&self) -> usize {
        self.plan.context
    }

    fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    fn numerics(&self) -> Result<String> {
        let model = sha256_hex(&self.manifest.to_json()?);
        Ok(format!("{model} {} {} {}", self.plan.kv, self.plan.rows.text.prompt, self.gpu.numerics()))
    }

    fn runs_at_once(&self) -> bool {
        self.gpu.runs_at_once()
    }

    fn prompt_limits(&self) -> PromptLimits {
        let Plan { context, longest_edge, .. } = self.plan;
        PromptLimits { context, longest_edge, seconds: self.costs.clone() }
    }

    fn model(&mut self) -> Result<&mut Model> {
        self.resident_mut().map(|resident| &mut resident.model)
    }

    fn max_idle(&self) -> usize {
        let is_recurrent = self.manifest.config.text().delta.is_some();
        if is_recurrent { self.plan.idle_conversations } else { MAX_IDLE }
    }

    fn lacks_room(&self, entries: &[ContextEntry], pictures: &[Arc<SizedPicture>]) -> bool {
        let is_new = |picture: &&SizedPicture| self.features.find(picture).is_none();
        !self.keeps_pages() && named(pictures, entries).iter().any(is_new)
    }

    async fn encode_images(
        &mut self,
        entries: &[ContextEntry],
        pictures: &[Arc<SizedPicture>],
        context: &mut RequestContext<'_>,
    ) -> Result<PromptImages> {
        let wanted = named(pictures, entries);
        if wanted.is_empty() {
            return Ok(PromptImages::default());
        }
        if wanted.iter().any(|picture| self.features.find(picture).is_none()) {
            self.make_room_for_tower().await?;
        }
        let mut features = std::mem::take(&mut self.features);
        let encoded = match self.tower_run() {
            Ok((model, mut tower)) => features.encode((model, &mut tower), &wanted, context).await,
            Err(error) => Err(error),
        };
        self.features = features;
        encoded
    }

    fn close(&mut self) {
        self.features = FeatureCache::default();
        self.resident = None;
        // Later operations on it fail.
        self.gpu.lose();
    }

    fn has_fallback(&self) -> bool {
        self.gpu.has_fallback()
    }

    async fn fall_back(&mut self, context: &mut RequestContext<'_>, reason: &str) -> Result<()> {
        let processor = self.gpu.fall_back(format!("the GPU was lost repeatedly: {reason}")).await?;
        let gpu = std::mem::replace(&mut self.gpu, processor);
        if let Err(error) = self.load_again(context).await {
            self.gpu = gpu;
            return Err(error);
        }
        self.costs = Arc::new(PictureCost::new(&self.gpu, self.manifest.clone(), &self.plan));
        (context.on_event)(Event::Processor { device: Box::new(self.gpu.report().clone()) });
        Ok(())
    }

    async fn reopen(&mut self, context: &mut RequestContext<'_>) -> Result<()> {
        self.gpu = self.gpu.reopen().await?;
        self.load_again(context).await
    }

    async fn free_memory(&mut self) -> Result<()> {
        self.features = FeatureCache::default();
        if let Some(resident) = &mut self.resident {
            resident.model.release();
            resident.model.pool().free(&self.gpu).await?;
        }
        // The memory is free once the GPU has finished all work that uses it.
        self.gpu.wait_idle().await
    }
}

/// Tests the device's kernels, unless `known` proves them, and uploads a model's weights according to `plan`. Every shard is read, so that
/// all hashes are checked. An error of `on_event` ends it.
pub(in crate::engine) async fn bring_up(
    gpu: &Gpu,
    manifest: &Arc<Manifest>,
    shards: &Rc<dyn ShardSource>,
    plan: &Plan,
    (clock, known): (Clock, Proof),
    on_event: &mut dyn FnMut(LoadEvent) -> Result<()>,
) -> Result<(Resident, SelfTestReport)> {
    let mut dry = DryModel::new(manifest, gpu.dry_device(), gpu.kernel_config())?;
    // A browser compiles kernels while the first shard is fetched. The test can use the memory of the weights, which follow.
    let mut go_on = Ok(());
    let mut on_compiled = |done, total| {
        if go_on.is_ok() {
            go_on = on_event(LoadEvent::Kernels { done, total });
        }
    };
    let test = self_test(gpu, |config| dry.kernels(config, [plan.kv, plan.vision_kv]), clock, known, &mut on_compiled);
    let first = async { if manifest.shards.is_empty() { None } else { Some(shards.shard(0).await) } };
    let (report, mut first) = join(test, first).await;
    let report = report?;
    go_on?;
    let family = definition(&manifest.config);
    let mut uploader = Uploader::new(gpu, manifest);
    uploader.select(manifest, &Selection::text(manifest))?;
    let is_resident = plan.vision == Residency::Resident;
    if is_resident {
        select_all(&mut uploader, manifest)?;
    }
    gpu.flush_errors().await?;
    for index in 0..manifest.shards.len() {
        let bytes = match first.take() {
            Some(bytes) => bytes?,
            None => shards.shard(index).await?,
        };
        uploader.push_shard(manifest, index, &bytes)?;
        // Wait before the next shard is fetched, because pending copies take memory too.
        gpu.wait_idle().await?;
        on_event(LoadEvent::Bytes(bytes.len() as u64))?;
    }
    let mut weights = uploader.finish(manifest)?;
    let tower = if is_resident { take_all(manifest, &mut weights)? } else { family.tower() };
    let decoder = family.decoder(&mut weights)?;
    let model = Model::new(gpu, decoder, plan.rows.text, (plan.context, plan.kv))
        .with_picture_rows(plan.feature_rows)
        .with_rows(StoredRows::of(manifest, shards));
    gpu.wait_idle().await?;
    Ok((Resident { model, tower }, report))
}
