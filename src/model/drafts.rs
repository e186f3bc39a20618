//! A pass over a known token and drafts of the tokens after it, which are verified on the GPU. Each row is rounded like a single step, so
//! accepted tokens are exactly those that single steps would have drawn.

use super::forward::Model;
use super::language::{DRAFT_ROWS, LanguageModel};
use crate::error::{Error, Result};
use crate::gpu::{Kernel, Prepared};
use crate::kernels::cache::PAGE;
use crate::layers::Form;
use crate::layers::step::StepHeader;
use crate::state::{ConversationState, State};

impl Model {
    /// Prepares a pass over `inputs`, a known token and drafts, after the entries of `state`, which must have room for all of them. The header
    /// of the step buffer must have the length of the state as its entry. After the pass it is the header that a draw from the last accepted
    /// row would write: its entry has grown by one for each accepted row. Fails like [`Self::prepared_step`], and with [`Error::Internal`] for
    /// fewer than two inputs or more than fit the memory.
    pub fn prepared_drafts(&mut self, state: &State, inputs: &[u32]) -> Result<&Prepared> {
        if !(2..=self.rows.step).contains(&inputs.len()) {
            return Err(Error::Internal { detail: format!("a pass over {} tokens", inputs.len()) });
        }
        let (entry, rows) = (state.len(), inputs.len());
        self.update_tables(state, entry, rows)?;
        self.gpu.write(&self.work()?.sources, 0, bytemuck::cast_slice(inputs))?;
        self.prepared(state, rows, Form::step(entry, rows))
    }

    /// Returns true if the first and the last row of a pass have exactly the logits of single steps: a driver may use another subgroup width or
    /// other instructions for other shaders. The state is unchanged afterwards.
    pub(super) async fn rows_are_alike(&mut self, state: &mut State, inputs: &[u32], drawn: usize) -> Result<bool> {
        let gpu = self.gpu.clone();
        state.reserve(&gpu, inputs.len()).await?;
        let first = state.len();
        self.start_steps(state, StepHeader { token: inputs[0], entry: first, drawn })?;
        self.catch_up(state)?;
        let before = state.save_recurrent(&gpu)?;
        let alike = self.compare_rows(state, inputs, drawn).await;
        // Restores the state, even after a failure.
        state.restore_recurrent(&gpu, first, before.as_ref())?;
        let alike = alike?;
        self.start_steps(state, StepHeader { token: inputs[0], entry: first, drawn })?;
        Ok(alike)
    }

    async fn compare_rows(&mut self, state: &mut State, inputs: &[u32], drawn: usize) -> Result<bool> {
        let (gpu, first) = (self.gpu.clone(), state.len());
        let (logits, _) = self.logits_and_step()?;
        let row = |row: usize| logits.buffer.slice(row as u64 * logits.bytes..(row as u64 + 1) * logits.bytes);
        self.prepare(inputs).await?;
        gpu.submit(&[self.prepared_drafts(state, inputs)?], None)?;
        state.advance_drafts(inputs.len());
        let last = inputs.len() - 1;
        let found = [(0, gpu.read(&row(0)).await?), (last, gpu.read(&row(last)).await?)];
        let mut alike = state.rewind(first) == first;
        for (index, &token) in inputs.iter().enumerate() {
            let entry = first + index;
            self.prepare(&[token]).await?;
            self.start_steps(state, StepHeader { token, entry, drawn })?;
            gpu.submit(&[self.prepared_step(state, entry)?], None)?;
            state.advance(1);
            if let Some((_, found)) = found.iter().find(|(end, _)| *end == index) {
                alike &= gpu.read(&row(0)).await? == *found;
            }
        }
        Ok(alike)
    }

    /// Milliseconds of `clock` for a pass over `rows` tokens after the entries of `state`, which are discarded; `None` without memory for them.
    /// The first pass takes longer, because it is prepared. Fails with [`Error::ContextOverflow`] if the context is full.
    pub async fn time_drafts(&mut self, state: &mut State, rows: usize, clock: fn() -> f64) -> Result<Option<f64>> {
        let gpu = self.gpu.clone();
        if self.draft_rows(state, rows) != Some(rows) {
            return Ok(None);
        }
        state.reserve(&gpu, rows).await?;
        self.start_steps(state, StepHeader { token: 0, entry: state.len(), drawn: 0 })?;
        let (first, started) = (state.len(), clock());
        self.prepare(&vec![0; rows]).await?;
        gpu.submit(&[self.prepared_drafts(state, &vec![0; rows])?], None)?;
        gpu.wait_idle().await?;
        let ms = clock() - started;
        state.advance_drafts(rows);
        state.rewind(first);
        Ok(Some(ms))
    }

    /// The kernels of passes over `rows` tokens, with attention by one workgroup for each head and by several. May contain duplicates.
    pub(super) fn draft_kernels(&self, state: &State, rows: usize) -> Result<Vec<Kernel>> {
        let mut kernels = Vec::new();
        for entries in [rows, 2 * PAGE] {
            let recording = self.record_step(state, rows, Form::step(entries - rows, rows))?;
            kernels.extend(recording.dispatches().map(|dispatch| dispatch.kernel.clone()));
        }
        Ok(kernels)
    }

    /// Allocates the memory of the decoder, of a step at the end of a full `state`, and of passes over drafts, and computes nothing. Fails like
    /// [`LanguageModel::forward`].
    pub async fn preallocate(&mut self, state: &State) -> Result<()> {
        self.release();
        self.start_steps(state, StepHeader { token: 0, entry: 0, drawn: 0 })?;
        self.prepared_step(state, state.context().saturating_sub(1))?;
        let most = self.rows.step.min(state.context());
        for rows in DRAFT_ROWS.into_iter().filter(|&rows| rows <= most) {
            self.gpu.compile(&self.draft_kernels(state, rows)?, &mut |_, _| ()).await?;
            self.prepared(state, rows, Form::step(state.context().saturating_sub(rows), rows))?;
        }
        Ok(())
    }
}
