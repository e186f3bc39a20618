//! Expected duration of a picture on the device: FLOP counted in a dry run, divided by the measured rate.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::config::ImageGrid;
use crate::error::Result;
use crate::families::definition;
use crate::gpu::{DeviceClass, Gpu};
use crate::memory::Plan;
use crate::model::DryModel;
use crate::package::manifest::Manifest;

/// FLOP per second assumed for a software adapter until it is measured. A GPU has no assumed rate.
const SOFTWARE_RATE: f64 = 1e10;

/// FLOP of pictures by their grid in cells.
#[derive(Debug, Default)]
pub(in crate::engine) struct PictureCost(RefCell<HashMap<(usize, usize), u64>>);

impl PictureCost {
    /// Implements [`Backend::seconds_for`](crate::engine::Backend::seconds_for).
    pub(in crate::engine) fn seconds(
        &self,
        gpu: &Gpu,
        manifest: &Manifest,
        plan: &Plan,
        grid: ImageGrid,
    ) -> Result<Option<f64>> {
        let rate = match (gpu.gflops(), gpu.class()) {
            (0, DeviceClass::Hardware) => return Ok(None),
            (0, DeviceClass::Software | DeviceClass::SlowCompiler) => SOFTWARE_RATE,
            (gflops, _) => 1e9 * f64::from(gflops),
        };
        let key = (grid.rows, grid.cols);
        let known = self.0.borrow().get(&key).copied();
        let flops = match known {
            Some(flops) => flops,
            None => {
                let rules = definition(&manifest.config).pictures();
                let tokens = rules.map_or(0, |rules| rules.tokens(grid).len());
                let mut dry = DryModel::new(manifest, gpu.dry_device(), gpu.kernel_config())?;
                dry.picture_flops((grid, tokens), (plan.rows.vision, plan.rows.text.prompt))?
            }
        };
        self.0.borrow_mut().insert(key, flops);
        Ok(Some(flops as f64 / rate))
    }
}
