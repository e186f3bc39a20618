//! A prompt through the model, every position's logits out: how agreement with another implementation is checked.

use std::ops::Range;

use super::Engine;
use super::events::Cancel;
use super::pictures::Shown;
use super::prompt::{Picture, Prompt};
use super::recover::Run;
use super::session::ContextEntry;
use crate::error::{Error, Result};

/// How a prompt is cut into forward passes. All ways give the same logits but for rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScoreOptions {
    /// Most tokens in one pass, at least 1; more than the engine's own chunk is cut to that.
    pub chunk: usize,
}

impl Default for ScoreOptions {
    fn default() -> Self {
        Self { chunk: usize::MAX }
    }
}

/// Some rows of a prompt's logits.
#[derive(Debug, Clone, Copy)]
pub struct ScoredRows<'a> {
    /// The whole prompt's token ids.
    pub input_ids: &'a [u32],
    /// Position of the first row.
    pub first: usize,
    /// The rows. `// [rows, vocab]`
    pub logits: &'a [f32],
}

impl Engine {
    /// Runs a prompt from an empty cache and hands the logits over, some rows at a time, in order. Returns its token ids.
    ///
    /// # Errors
    /// As [`Engine::generate`].
    pub async fn score(
        &mut self,
        prompt: &Prompt,
        pictures: &[Picture],
        positions: ScoreOptions,
        cancel: &Cancel,
        on_rows: &mut dyn FnMut(ScoredRows<'_>) -> Result<()>,
    ) -> Result<Vec<u32>> {
        let encoded = self.encode(prompt, pictures)?;
        let (total, context) = (encoded.slots.len(), self.plan.context);
        if total > context {
            return Err(Error::ContextOverflow { tokens: total, context });
        }
        let ignore = &mut |_| ();
        let run = &mut Run::new(cancel, ignore);
        self.rewind(0, &encoded.pictures);
        let mut shown = Shown::new(&encoded.slots, &encoded.pictures);
        let chunk = positions.chunk.clamp(1, self.plan.rows.text.prompt);
        for first in (0..total).step_by(chunk) {
            cancel.check()?;
            let slots: &[ContextEntry] = &encoded.slots[first..total.min(first + chunk)];
            self.forward(slots, &mut shown, run).await?;
            let logits = self.logits(0..slots.len(), run).await?; // [slots, vocab]
            on_rows(ScoredRows { input_ids: &encoded.ids, first, logits: &logits })?;
        }
        Ok(encoded.ids)
    }

    /// Logits of rows of the last pass, which is forgotten if it turns out to have failed. `// [rows, vocab]`
    async fn logits(&mut self, rows: Range<usize>, run: &mut Run<'_>) -> Result<Vec<f32>> {
        let step = async |engine: &mut Self, _: &mut Run<'_>| engine.resident()?.model.logits(rows.clone()).await;
        let logits = self.surviving(run, step).await;
        if let (Err(_), Some(first)) = (&logits, self.session.last_pass()) {
            self.rewind(first, &[]);
        }
        logits
    }
}
