//! Whether the memory that is planned is there: taken for a moment, before anybody depends on it.

use super::Engine;
use crate::error::{Error, Result};
use crate::families::definition;
use crate::families::tower::Pixels;
use crate::model::{Draw, LanguageModel};
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
        self.reset();
        let preallocated = match self.preallocate_picture(width, height).await {
            Ok(()) => self.preallocate_text().await,
            Err(error) => Err(error),
        };
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
        let grid = rules.grid((width, height), edge)?;
        let (entries, rows) = (plan.context.saturating_sub(rules.tokens(grid).len()), plan.feature_rows);
        let pixels = Pixels { width: grid.cols * rules.cell(), height: grid.rows * rules.cell(), rgb: &[] };
        let model = &mut self.backend.resident_mut()?.model;
        self.conversation.reserve(model, entries).await?;
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
        model.preallocate(self.conversation.state_mut(model)?)?;
        // Penalties take the most.
        let sampling = SamplingOptions { frequency_penalty: 1.0, ..SamplingOptions::default() };
        let _draw = Draw::new(model, &sampling, &[])?;
        model.wait_idle().await
    }
}
