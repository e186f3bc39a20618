//! Weights of the tower: always on the GPU, only while pictures are encoded, or a few stages at a time.

use std::collections::VecDeque;
use std::rc::Rc;

use super::weight_source::ShardSource;
use crate::engine::control::RequestControl;
use crate::error::Result;
use crate::families::definition;
use crate::gpu::{Allocator, Gpu, Purpose, Recording};
use crate::layers::vision::{FeatureRows, Pixels, Tower};
use crate::memory::{Plan, Residency, VISION_GROUP};
use crate::package::manifest::Manifest;
use crate::package::upload::{Selection, Uploader};
use crate::weights::WeightStore;

/// Shards in memory at once while stages are streamed.
const SHARDS_HELD: usize = 2;

/// Allocates the weights of the whole tower in `uploader`.
pub(in crate::engine) fn select_all(uploader: &mut Uploader, manifest: &Manifest) -> Result<()> {
    Selection::stages(manifest).iter().try_for_each(|stage| uploader.select(manifest, stage))
}

/// Creates the tower with all its weights. `None` for a model without one.
pub(in crate::engine) fn take_all(manifest: &Manifest, weights: &mut WeightStore) -> Result<Option<Tower>> {
    let Some(mut tower) = definition(&manifest.config).tower() else { return Ok(None) };
    (0..tower.stages()).try_for_each(|stage| tower.load(stage, weights))?;
    Ok(Some(tower))
}

/// The tower while pictures are encoded.
#[derive(Debug)]
pub(in crate::engine) struct TowerRun<'a> {
    pub(in crate::engine) gpu: &'a Gpu,
    pub(in crate::engine) manifest: &'a Manifest,
    pub(in crate::engine) shards: &'a dyn ShardSource,
    pub(in crate::engine) plan: &'a Plan,
    /// The tower, with its weights if they are resident.
    pub(in crate::engine) tower: &'a mut Tower,
    pub(in crate::engine) window: ShardWindow,
}

impl TowerRun<'_> {
    /// Runs a picture through all stages, into `features`. Calls `progress` with the layers done and in all. `control` stops the work
    /// before any of its pieces.
    pub(in crate::engine) async fn encode(
        &mut self,
        pixels: &Pixels<'_>,
        features: FeatureRows<'_>,
        (control, progress): (&RequestControl, &mut dyn FnMut(usize, usize)),
    ) -> Result<()> {
        let (gpu, last) = (self.gpu, self.tower.stages() - 1);
        let is_streamed = self.plan.vision == Residency::Streamed;
        let (ahead, group) = (!is_streamed || self.plan.vision_slots > 1, if is_streamed { 1 } else { VISION_GROUP });
        self.tower.begin(gpu, pixels, self.plan.tower_memory())?;
        for stage in 0..=last {
            self.load(stage).await?;
            let mut recording = gpu.recording();
            self.tower.record(stage, &mut recording, features)?;
            gpu.run_in_pieces("vision", recording, &mut || control.check()).await?;
            if stage == 0 {
                self.tower.end_first_stage();
            }
            if ahead && (1..last - 1).contains(&stage) {
                // Fetch and upload while the GPU works.
                self.load(stage + 1).await?;
            }
            self.drop_streamed(stage..stage + 1);
            if stage == 0 || stage == last {
                gpu.wait_idle().await?;
            } else if stage.is_multiple_of(group) || stage + 1 == last {
                gpu.wait_idle().await?;
                progress(stage, last - 1);
                control.check()?;
            }
        }
        self.tower.end();
        Ok(())
    }

    /// Records every stage for a picture, to run any number of times; empty if weights are streamed. The features are discarded.
    pub(in crate::engine) async fn record(&mut self, pixels: &Pixels<'_>, row_bytes: u64) -> Result<Vec<Recording>> {
        if self.plan.vision == Residency::Streamed {
            return Ok(Vec::new());
        }
        self.tower.begin(self.gpu, pixels, self.plan.tower_memory())?;
        // At most one feature row per patch.
        let bytes = (self.tower.views(pixels) * self.tower.rows(pixels)) as u64 * row_bytes;
        let features = self.gpu.alloc("features", Purpose::Features, bytes)?;
        let mut stages = Vec::with_capacity(self.tower.stages());
        for stage in 0..self.tower.stages() {
            self.load(stage).await?;
            let mut recording = self.gpu.recording();
            self.tower.record(stage, &mut recording, FeatureRows { buffer: &features, first: 0 })?;
            stages.push(recording);
        }
        self.tower.end();
        Ok(stages)
    }

    /// Allocates the memory of a picture's pass and frees it, without computing.
    pub(in crate::engine) async fn preallocate(&mut self, pixels: &Pixels<'_>) -> Result<()> {
        self.tower.begin(self.gpu, pixels, self.plan.tower_memory())?;
        let last = self.tower.stages() - 1;
        self.load(0).await?;
        self.drop_streamed(0..1);
        let slots = if self.plan.vision == Residency::Streamed { self.plan.vision_slots } else { last };
        for stage in 1..last.min(slots + 1) {
            self.load(stage).await?;
        }
        self.gpu.wait_idle().await?;
        self.drop_streamed(1..last);
        self.load(last).await?;
        self.gpu.wait_idle().await?;
        self.drop_streamed(last..last + 1);
        self.tower.end();
        Ok(())
    }

    /// Uploads the weights of a stage, or of all stages if they are not streamed, unless they are on the GPU.
    async fn load(&mut self, stage: usize) -> Result<()> {
        if self.tower.is_loaded(stage) {
            return Ok(());
        }
        let is_streamed = self.plan.vision == Residency::Streamed;
        let mut uploader = Uploader::new(self.gpu, self.manifest);
        if is_streamed {
            let stages = Selection::stages(self.manifest);
            stages.get(stage).map_or(Ok(()), |stage| uploader.select(self.manifest, stage))?;
        } else {
            select_all(&mut uploader, self.manifest)?;
        }
        for index in uploader.pending() {
            let bytes = self.window.shard(self.shards, index).await?;
            uploader.push_shard(self.manifest, index, &bytes)?;
            if !is_streamed {
                self.gpu.wait_idle().await?;
            }
        }
        let mut weights = uploader.finish(self.manifest)?;
        let stages = if is_streamed { stage..stage + 1 } else { 0..self.tower.stages() };
        stages.into_iter().try_for_each(|stage| self.tower.load(stage, &mut weights))
    }

    /// Unloads the weights of stages, if they are streamed.
    fn drop_streamed(&mut self, stages: std::ops::Range<usize>) {
        if self.plan.vision == Residency::Streamed {
            stages.for_each(|stage| self.tower.unload(stage));
        }
    }
}

impl Drop for TowerRun<'_> {
    fn drop(&mut self) {
        self.tower.end();
        if self.plan.vision != Residency::Resident {
            (0..self.tower.stages()).for_each(|stage| self.tower.unload(stage));
        }
    }
}

/// The shards read last, which neighbouring stages share.
#[derive(Debug, Default)]
pub(in crate::engine) struct ShardWindow(VecDeque<(usize, Rc<Vec<u8>>)>);

impl ShardWindow {
    async fn shard(&mut self, shards: &dyn ShardSource, index: usize) -> Result<Rc<Vec<u8>>> {
        if let Some((_, bytes)) = self.0.iter().find(|(held, _)| *held == index) {
            return Ok(bytes.clone());
        }
        // Free room first, because the new shard counts too.
        while self.0.len() >= SHARDS_HELD {
            self.0.pop_front();
        }
        let bytes = Rc::new(shards.shard(index).await?);
        self.0.push_back((index, bytes.clone()));
        Ok(bytes)
    }
}
