//! Expected duration of a picture on the device: FLOP counted in a dry run, divided by the measured rate.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::ImageGrid;
use crate::error::Result;
use crate::families::definition;
use crate::gpu::{DeviceClass, DryDevice, Gpu, KernelConfig, MeasuredRate};
use crate::memory::Plan;
use crate::model::DryModel;
use crate::package::manifest::Manifest;

/// FLOP per second assumed for a software adapter until it is measured. A GPU has no assumed rate.
const SOFTWARE_RATE: f64 = 1e10;

/// Time of pictures on a device. Prompts are read on other threads than the engine's.
pub trait PictureSeconds: Debug + Send + Sync {
    /// Seconds that a picture of this grid takes, from the tower to the end of its tokens in the prompt; `None` while the rate of the
    /// device is not known.
    ///
    /// # Errors
    /// Errors of a dry run.
    fn seconds(&self, grid: ImageGrid) -> Result<Option<f64>>;
}

/// The estimate for a loaded model.
#[derive(Debug)]
pub(in crate::engine) struct PictureCost {
    manifest: Arc<Manifest>,
    rate: MeasuredRate,
    class: DeviceClass,
    device: DryDevice,
    kernel_config: KernelConfig,
    vision_rows: usize,
    prompt_rows: usize,
    /// FLOP of pictures by their grid.
    flops: Mutex<HashMap<ImageGrid, u64>>,
}

impl PictureCost {
    pub(in crate::engine) fn new(gpu: &Gpu, manifest: Arc<Manifest>, plan: &Plan) -> Self {
        Self {
            manifest,
            rate: gpu.measured_rate(),
            class: gpu.class(),
            device: gpu.dry_device(),
            kernel_config: gpu.kernel_config(),
            vision_rows: plan.rows.vision,
            prompt_rows: plan.rows.text.prompt,
            flops: Mutex::default(),
        }
    }

    fn flops(&self, grid: ImageGrid) -> Result<u64> {
        let rules = definition(&self.manifest.config).pictures();
        let tokens = rules.map_or(0, |rules| rules.tokens(grid).len());
        let mut dry = DryModel::new(&self.manifest, self.device.clone(), self.kernel_config)?;
        dry.picture_flops((grid, tokens), (self.vision_rows, self.prompt_rows))
    }
}

impl PictureSeconds for PictureCost {
    fn seconds(&self, grid: ImageGrid) -> Result<Option<f64>> {
        let rate = match (self.rate.gflops(), self.class) {
            (0, DeviceClass::Hardware) => return Ok(None),
            (0, DeviceClass::Software | DeviceClass::SlowCompiler | DeviceClass::Processor) => SOFTWARE_RATE,
            (gflops, _) => 1e9 * f64::from(gflops),
        };
        let mut known = self.flops.lock().unwrap_or_else(PoisonError::into_inner);
        let flops = match known.get(&grid) {
            Some(flops) => *flops,
            None => self.flops(grid)?,
        };
        known.insert(grid, flops);
        Ok(Some(flops as f64 / rate))
    }
}
