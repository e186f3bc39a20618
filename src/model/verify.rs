//! A step of several rows: a token that is known, and drafts of those behind it, judged on the GPU. Every row is rounded as a step of
//! its own would be, so that what is accepted is what such steps would have drawn, to the last bit.

use super::forward::{Model, no_pass};
use super::kv_cache::KvCache;
use super::step::{self, StepShape};
use crate::error::{Error, Result};
use crate::gpu::{Prepared, Recording};
use crate::kernels::attention_step::Tuning;
use crate::kernels::sample::Sampling;
use crate::kernels::{accept, sample_scan};

/// Rows that passes over drafts have: each count has kernels of its own.
pub const ROWS: [usize; 2] = [4, accept::MAX_ROWS];

impl Model {
    /// The most rows of [`ROWS`] for which a step at `position` has memory and rounds as single steps do; none where that is not so.
    pub fn rows_alike(&self, position: usize, most: usize) -> Option<usize> {
        let most = most.min(self.rows().text.step);
        let tile = Tuning::of(self.gpu.kernel_config()).tile();
        let alike = step::alike(position, most, tile);
        ROWS.into_iter().rev().find(|&rows| rows <= alike)
    }

    /// Readies a pass over `inputs`, a token and drafts of those behind it, behind what the cache holds; it must have room for all of
    /// them. The step buffer's header, which must name the cache's length as its position, is afterwards what a draw from the row
    /// behind the last right draft makes of it: its position has grown by one for each row that counts. Keys and values behind that
    /// are not of this conversation.
    ///
    /// # Errors
    /// [`Error::Internal`] for more inputs than there is memory for, or as [`Self::ready_step`].
    pub fn ready_verify(&mut self, cache: &KvCache, inputs: &[u32]) -> Result<&Prepared> {
        if inputs.len() > self.rows().text.step || inputs.is_empty() {
            return Err(Error::Internal { detail: format!("a pass over {} tokens", inputs.len()) });
        }
        let (position, rows) = (cache.len(), inputs.len());
        self.ready_table(position, rows)?;
        let work = self.work.as_ref().ok_or_else(no_pass)?;
        self.gpu.write(&work.sources, 0, bytemuck::cast_slice(inputs))?;
        self.ready(cache, StepShape::at(position, rows), |model, recording| model.record_verdict(recording, rows))
    }

    /// Takes the memory of a pass of so many rows at the end of a full `cache`.
    pub(super) fn preallocate_verify(&mut self, cache: &KvCache, rows: usize) -> Result<()> {
        let shape = StepShape::at(cache.context().saturating_sub(rows), rows);
        self.ready(cache, shape, |model, recording| model.record_verdict(recording, rows)).map(drop)
    }

    /// Records the choice among the logits of all rows, and its comparison with the drafts.
    fn record_verdict(&self, recording: &mut Recording, rows: usize) -> Result<()> {
        let (work, vocab) = (self.work.as_ref().ok_or_else(no_pass)?, self.config().text().vocab_size);
        let (inputs, state) = (work.sources.all(), work.step.all());
        let sampling = Sampling::greedy(vocab, rows, &work.likeliest, &inputs)?;
        sample_scan::record_rows(recording, &sampling, rows, &work.logits.all(), &state)?; // [rows, vocab]
        accept::record(recording, &sampling, rows, &inputs, &state)
    }
}
