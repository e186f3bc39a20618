//! Whether the memory that is planned is there: taken for a moment, before anybody depends on it.

use super::decode::Drawing;
use super::load::Resident;
use super::tower::TowerRun;
use super::{Engine, not_there};
use crate::error::{Error, Result};
use crate::families::definition;
use crate::sampling::SamplingOptions;

impl Engine {
    /// Allocates all that a picture of this size takes behind a conversation that leaves just enough of the context for it, and
    /// then all that a full context takes; computes nothing. The conversation is forgotten. The ledger's peak then is what
    /// really was allocated.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the device has less than was planned, [`Error::InvalidRequest`] for a picture without an area, or
    /// as [`Engine::generate`]. The engine can be used again.
    pub async fn preallocate(&mut self, width: usize, height: usize) -> Result<()> {
        self.reset()?;
        let preallocated = match self.preallocate_picture(width, height).await {
            Ok(()) => self.preallocate_text().await,
            Err(error) => Err(error),
        };
        self.reset()?;
        preallocated
    }

    async fn preallocate_picture(&mut self, width: usize, height: usize) -> Result<()> {
        let Some(rules) = definition(&self.manifest.config).pictures() else { return Ok(()) };
        let edge = self.plan.longest_edge.min(rules.largest_edge());
        if width == 0 || height == 0 {
            return Err(Error::request("width", "a picture has at least one pixel"));
        }
        let grid = rules.grid((width, height), edge)?;
        let Some(Resident { model, tower, cache }) = &mut self.resident else { return Err(not_there()) };
        cache.reserve(self.plan.context.saturating_sub(rules.tokens(grid).len())).await?;
        let mut run = TowerRun::new(&self.gpu, &self.manifest, &*self.shards, &self.plan, tower.as_ref());
        model
            .preallocate_picture(&mut run, (grid.cols * rules.cell(), grid.rows * rules.cell()), self.plan.feature_rows)
            .await
    }

    async fn preallocate_text(&mut self) -> Result<()> {
        let gpu = self.gpu.clone();
        let Some(Resident { model, cache, .. }) = &mut self.resident else { return Err(not_there()) };
        cache.reserve(self.plan.context).await?;
        let _features = model.preallocate_text(cache, self.plan.feature_rows)?;
        // Penalties take the most.
        let sampling = SamplingOptions { frequency_penalty: 1.0, ..SamplingOptions::default() };
        let _drawing = Drawing::new(&gpu, model, &sampling, &[])?;
        gpu.wait_idle().await
    }
}
