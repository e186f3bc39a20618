//! The weights of the picture side: on the GPU all the time, only while pictures are encoded, or a few layers at a time.

use std::collections::VecDeque;
use std::rc::Rc;

use super::plan::Plan;
use super::source::ShardSource;
use crate::error::{Error, Result};
use crate::families::{ModelConfig, definition};
use crate::gpu::Gpu;
use crate::model::forward::VisionWeights;
use crate::model::projector::Projector;
use crate::model::vision::{Layer, Stem};
use crate::weights::manifest::Manifest;
use crate::weights::upload::{Selection, Uploader, WeightStore};

/// Shards in memory at once while layers are streamed.
const SHARDS_HELD: usize = 2;

/// Where the weights of the vision tower and the projector are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Residency {
    /// On the GPU, always.
    Resident,
    /// On the GPU while pictures are encoded, and sent there again for the next ones.
    Dropped,
    /// Layer by layer through a few slots on the GPU, for each picture.
    Streamed,
}

impl Residency {
    /// All of them, the fastest first.
    pub const ALL: [Self; 3] = [Self::Resident, Self::Dropped, Self::Streamed];

    /// The name that callers and the command line use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resident => "resident",
            Self::Dropped => "dropped",
            Self::Streamed => "streamed",
        }
    }
}

impl std::str::FromStr for Residency {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|residency| residency.name() == name);
        known.ok_or_else(|| Error::request("vision", format!("{name:?} is none of resident, dropped and streamed")))
    }
}

/// The whole picture side on the GPU.
#[derive(Debug)]
pub(super) struct Tower {
    stem: Rc<Stem>,
    layers: Vec<Rc<Layer>>,
    projector: Rc<Projector>,
}

impl Tower {
    /// Allocates everything in `uploader`.
    pub(super) fn select(uploader: &mut Uploader, manifest: &Manifest) -> Result<()> {
        let stages = 0..definition(&manifest.config).vision_stages();
        stages.map(|stage| Selection::stage(manifest, stage)).try_for_each(|stage| uploader.select(manifest, &stage))
    }

    /// Takes the weights. `None` for a model without a picture side.
    pub(super) fn take(config: &ModelConfig, weights: &mut WeightStore) -> Result<Option<Self>> {
        let Some(vision) = config.vision() else { return Ok(None) };
        let stem = Rc::new(Stem::new(weights)?);
        let layers = (0..vision.num_hidden_layers).map(|index| Layer::new(weights, index).map(Rc::new));
        Ok(Some(Self {
            layers: layers.collect::<Result<_>>()?,
            stem,
            projector: Rc::new(Projector::new(config, vision, weights)?),
        }))
    }
}

/// The picture side while pictures are encoded.
#[derive(Debug)]
pub(super) struct TowerRun<'a> {
    pub(super) gpu: &'a Gpu,
    manifest: &'a Manifest,
    shards: &'a dyn ShardSource,
    /// Where the weights are, and how many layers of a streamed tower are on the GPU at once.
    residency: Residency,
    slots: usize,
    resident: Option<&'a Tower>,
    /// A tower that is there for this run only.
    loaded: Option<Tower>,
    window: ShardWindow,
}

impl<'a> TowerRun<'a> {
    /// As `plan` has it; `resident` is the tower that stays on the GPU, if it does.
    pub(super) fn new(
        gpu: &'a Gpu,
        manifest: &'a Manifest,
        shards: &'a dyn ShardSource,
        plan: &Plan,
        resident: Option<&'a Tower>,
    ) -> Self {
        let (residency, slots) = (plan.vision, plan.vision_slots);
        Self { gpu, manifest, shards, residency, slots, resident, loaded: None, window: ShardWindow::default() }
    }

    fn tower(&self) -> Option<&Tower> {
        self.resident.or(self.loaded.as_ref())
    }

    /// Sends one stage.
    async fn send(&mut self, stage: usize) -> Result<WeightStore> {
        let mut uploader = Uploader::new(self.gpu, self.manifest);
        uploader.select(self.manifest, &Selection::stage(self.manifest, stage))?;
        for index in uploader.pending() {
            let bytes = self.window.shard(self.shards, index).await?;
            uploader.push_shard(self.manifest, index, &bytes)?;
        }
        uploader.finish(self.manifest)
    }

    /// Sends everything, for this run.
    async fn load(&mut self) -> Result<()> {
        let config = &self.manifest.config;
        let mut uploader = Uploader::new(self.gpu, self.manifest);
        Tower::select(&mut uploader, self.manifest)?;
        for index in uploader.pending() {
            let bytes = self.window.shard(self.shards, index).await?;
            uploader.push_shard(self.manifest, index, &bytes)?;
            self.gpu.wait_idle().await?;
        }
        self.loaded = Tower::take(config, &mut uploader.finish(self.manifest)?)?;
        Ok(())
    }
}

impl VisionWeights for TowerRun<'_> {
    async fn stem(&mut self) -> Result<Rc<Stem>> {
        if self.residency == Residency::Dropped && self.loaded.is_none() {
            self.load().await?;
        }
        match self.tower() {
            Some(tower) => Ok(tower.stem.clone()),
            None => Ok(Rc::new(Stem::new(&mut self.send(0).await?)?)),
        }
    }

    async fn layer(&mut self, index: usize) -> Result<Rc<Layer>> {
        match self.tower() {
            Some(tower) => Ok(tower.layers[index].clone()),
            None => Ok(Rc::new(Layer::new(&mut self.send(1 + index).await?, index)?)),
        }
    }

    async fn projector(&mut self) -> Result<Rc<Projector>> {
        if let Some(tower) = self.tower() {
            return Ok(tower.projector.clone());
        }
        let Some(vision) = self.manifest.config.vision() else {
            return Err(Error::Internal { detail: "a picture for a model that reads none".into() });
        };
        let mut weights = self.send(1 + vision.num_hidden_layers).await?;
        Ok(Rc::new(Projector::new(&self.manifest.config, vision, &mut weights)?))
    }

    fn layers_at_once(&self) -> usize {
        self.tower().map_or(self.slots, |tower| tower.layers.len().max(3))
    }
}

/// The shards read last: neighbouring layers share them.
#[derive(Debug, Default)]
struct ShardWindow(VecDeque<(usize, Rc<Vec<u8>>)>);

impl ShardWindow {
    async fn shard(&mut self, shards: &dyn ShardSource, index: usize) -> Result<Rc<Vec<u8>>> {
        if let Some((_, bytes)) = self.0.iter().find(|(held, _)| *held == index) {
            return Ok(bytes.clone());
        }
        // Room first: the one that comes counts too.
        while self.0.len() >= SHARDS_HELD {
            self.0.pop_front();
        }
        let bytes = Rc::new(shards.shard(index).await?);
        self.0.push_back((index, bytes.clone()));
        Ok(bytes)
    }
}
