//! A step of several rows: a token that is known, and drafts of those behind it, judged on the GPU. Every row is rounded as a step of
//! its own would be, so that what is accepted is what such steps would have drawn, to the last bit.

use super::draw::{Draw, result};
use super::forward::{Model, no_pass};
use super::language::{DRAFT_ROWS, Verdict};
use super::record::record_drafts;
use crate::error::{Error, Result};
use crate::gpu::{Prepared, Recording};
use crate::kernels::attention_step::Tuning;
use crate::kernels::sample::NONE;
use crate::kernels::self_test::check;
use crate::layers::step::{StepHeader, StepShape, alike};
use crate::state::{State, States};

impl Model {
    /// The most rows of [`DRAFT_ROWS`] for which a step at `entry` has memory and rounds as single steps do; none where that is not so.
    pub fn rows_alike(&self, entry: usize, most: usize) -> Option<usize> {
        let most = most.min(self.rows.step);
        let tile = Tuning::of(self.gpu.kernel_config()).tile();
        let alike = alike(entry, most, tile);
        DRAFT_ROWS.into_iter().rev().find(|&rows| rows <= alike)
    }

    /// Readies a pass over `inputs`, a token and drafts of those behind it, behind the entries of `state`; it must have room for all of
    /// them. The step buffer's header, which must name the state's length as its entry, is afterwards what a draw from the row
    /// behind the last right draft makes of it: its entry has grown by one for each row that counts.
    ///
    /// # Errors
    /// [`Error::Internal`] for more inputs than there is memory for, or as [`Self::ready_step`].
    pub fn ready_drafts(&mut self, state: &State, inputs: &[u32]) -> Result<&Prepared> {
        if inputs.len() > self.rows.step || inputs.is_empty() {
            return Err(Error::Internal { detail: format!("a pass over {} tokens", inputs.len()) });
        }
        let (entry, rows) = (state.len(), inputs.len());
        self.ready_table(state, entry, rows)?;
        let work = self.work.as_ref().ok_or_else(no_pass)?;
        self.gpu.write(&work.sources, 0, bytemuck::cast_slice(inputs))?;
        self.ready(state, StepShape::at(entry, rows), |model, recording| model.record_verdict(recording, rows))
    }

    /// Records the choice among the logits of all rows, and its comparison with the drafts.
    pub(super) fn record_verdict(&self, recording: &mut Recording, rows: usize) -> Result<()> {
        record_drafts(self.work.as_ref().ok_or_else(no_pass)?, self.config().vocab_size, rows, recording)
    }

    pub(super) async fn run_drafts(
        &mut self,
        state: &mut State,
        draw: &mut Draw,
        inputs: &[u32],
        drawn: usize,
    ) -> Result<Option<Verdict>> {
        let (gpu, entry) = (self.gpu.clone(), state.len());
        state.reserve(&gpu, inputs.len()).await?;
        let (_, step) = self.logits_and_step()?;
        let pass = self.ready_drafts(state, inputs)?;
        gpu.submit(&[pass], Some((&step, draw.next().1)))?;
        let [token, next, _] = result(&gpu.fetch(draw.first_readback()).await?)?;
        if token == NONE {
            self.start_steps(state, StepHeader { token: inputs[0], entry, drawn })?;
            return Ok(None);
        }
        state.advance(inputs.len());
        match (next as usize).checked_sub(entry).filter(|kept| (1..=inputs.len()).contains(kept)) {
            Some(kept) => Ok(Some(Verdict { kept, token })),
            None => Err(Error::Internal { detail: format!("{entry} to {next} by {} rows", inputs.len()) }),
        }
    }

    pub(super) async fn rows_are_right(&mut self, state: &mut State, inputs: &[u32], drawn: usize) -> Result<bool> {
        let rows = inputs.len();
        if let Some((_, right)) = self.rows_tested.iter().find(|(tested, _)| *tested == rows) {
            return Ok(*right);
        }
        self.ready_work()?;
        let config = self.gpu.kernel_config();
        let mut kernels = Vec::new();
        // Attention by one workgroup a head, and shared by several.
        for splits in [1, 2] {
            let mut recording = self.record_step(state, StepShape { rows, splits }, config)?;
            self.record_verdict(&mut recording, rows)?;
            kernels.extend(recording.dispatches().map(|dispatch| dispatch.kernel.clone()));
        }
        let right = match check(&self.gpu, &kernels).await {
            Ok(()) => self.rows_are_alike(state, inputs, drawn).await?,
            Err(Error::SelfTestFailed { .. }) => false,
            Err(error) => return Err(error),
        };
        self.rows_tested.push((rows, right));
        Ok(right)
    }

    /// Whether the first and the last row of a pass have the logits that steps have, to the last bit: a driver may choose another width
    /// of subgroups for other shaders, or other instructions.
    async fn rows_are_alike(&mut self, state: &mut State, inputs: &[u32], drawn: usize) -> Result<bool> {
        let gpu = self.gpu.clone();
        state.reserve(&gpu, inputs.len()).await?;
        let first = state.len();
        let (logits, _) = self.logits_and_step()?;
        let row = |row: usize| logits.buffer.slice(row as u64 * logits.bytes..(row as u64 + 1) * logits.bytes);
        gpu.submit(&[self.ready_drafts(state, inputs)?], None)?;
        state.advance(inputs.len());
        let ends = [0, inputs.len() - 1];
        let mut found = Vec::with_capacity(ends.len());
        for index in ends {
            found.push(gpu.read(&row(index)).await?);
        }
        let (mut alike, mut entry) = (state.rewind(first) == first, first);
        for (index, &token) in inputs.iter().enumerate() {
            self.start_steps(state, StepHeader { token, entry, drawn })?;
            gpu.submit(&[self.ready_step(state, entry)?], None)?;
            state.advance(1);
            entry += 1;
            if let Some(end) = ends.iter().position(|&end| end == index) {
                alike &= gpu.read(&row(0)).await? == found[end];
            }
        }
        self.start_steps(state, StepHeader { token: inputs[0], entry: first, drawn })?;
        Ok(alike)
    }

    /// Milliseconds of `clock` that a pass over `rows` tokens takes behind the entries of `state`, none of which counts; `None` where
    /// there is no memory for so many. The first takes longer: it is made ready.
    ///
    /// # Errors
    /// [`Error::ContextOverflow`] behind a full context, or what the device says.
    pub async fn time_drafts(&mut self, state: &mut State, rows: usize, clock: fn() -> f64) -> Result<Option<f64>> {
        let gpu = self.gpu.clone();
        if self.rows_alike(state.len(), rows) != Some(rows) {
            return Ok(None);
        }
        state.reserve(&gpu, rows).await?;
        self.start_steps(state, StepHeader { token: 0, entry: state.len(), drawn: 0 })?;
        let (first, started) = (state.len(), clock());
        state.checkpoint();
        gpu.submit(&[self.ready_drafts(state, &vec![0; rows])?], None)?;
        gpu.wait_idle().await?;
        let ms = clock() - started;
        state.advance(rows);
        state.rewind(first);
        Ok(Some(ms))
    }

    /// Takes the memory of the decoder, of a step behind a full `state` and of passes over drafts; computes nothing.
    ///
    /// # Errors
    /// As [`super::LanguageModel::forward`].
    pub fn preallocate(&mut self, state: &State) -> Result<()> {
        self.release();
        self.start_steps(state, StepHeader { token: 0, entry: 0, drawn: 0 })?;
        self.ready_step(state, state.context().saturating_sub(1))?;
        let most = self.rows.step.min(state.context());
        for rows in DRAFT_ROWS.into_iter().filter(|&rows| rows <= most) {
            let shape = StepShape::at(state.context().saturating_sub(rows), rows);
            self.ready(state, shape, |model, recording| model.record_verdict(recording, rows))?;
        }
        Ok(())
    }
}
