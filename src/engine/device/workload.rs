//! Recordings of typical work, for benchmarks and tests.

use crate::config::ImageGrid;
use crate::engine::Engine;
use crate::error::Result;
use crate::families::definition;
use crate::gpu::Recording;
use crate::layers::vision::Pixels;
use crate::model::LanguageModel;

/// Errors are those of requests of the same size.
impl Engine {
    /// Records the step of a token after `tokens` others. Forgets the conversation.
    pub async fn record_step(&mut self, tokens: usize) -> Result<Recording> {
        self.reset();
        let model = &mut self.backend.resident_mut()?.model;
        let mut state = model.new_state()?;
        model.record_step_at(&mut state, tokens).await
    }

    /// Records the chunks of a prompt of `tokens` tokens. Forgets the conversation.
    pub async fn record_prompt(&mut self, tokens: usize) -> Result<Vec<Recording>> {
        self.reset();
        let model = &mut self.backend.resident_mut()?.model;
        let mut state = model.new_state()?;
        model.record_prompt(&mut state, tokens).await
    }

    /// Records the stages of the tower for a square picture of `side` pixels, at most the model's largest, in whole cells. Empty if the
    /// tower's weights are streamed.
    pub async fn record_picture(&mut self, side: usize) -> Result<Vec<Recording>> {
        let rules = definition(self.config()).pictures();
        let (cell, largest) = rules.map_or((1, side), |rules| (rules.cell(), rules.largest_edge()));
        let side = (side.min(largest) / cell).max(1) * cell;
        let row_bytes = (self.config().text().hidden_size * size_of::<f32>()) as u64;
        let (model, mut tower) = self.backend.tower_run()?;
        model.release();
        let rgb = vec![0; 3 * side * side]; // [side, side, 3]
        let grid = ImageGrid::new(side / cell, side / cell);
        tower.record(&Pixels { width: side, height: side, grid, rgb: &rgb }, row_bytes).await
    }
}
