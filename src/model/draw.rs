//! The model as conversations use it: chunks, steps and draws, in the order in which they are submitted.

use std::ops::Range;

use super::forward::Model;
use super::language::{Features, Input, LanguageModel, Verdict};
use crate::error::{Error, Result};
use crate::gpu::{Prepared, Readback, Recording, Slice};
use crate::kernels::sample::{self, Sampling};
use crate::kernels::sample_filter;
use crate::kernels::self_test::check;
use crate::layers::step::{RESULT, StepHeader};
use crate::sampling::SamplingOptions;
use crate::state::{State, States};

/// The draws of one answer.
#[derive(Debug)]
pub struct Draw {
    /// Draws a token from the logits and hands it to the next step.
    draw: Prepared,
    /// What the draws read and count.
    _sampling: Sampling,
    /// Results of draws, in turns.
    readbacks: [Readback; 2],
    /// Draws submitted, and those waited for.
    submitted: usize,
    fetched: usize,
}

impl Draw {
    /// Takes the memory of an answer's draws.
    ///
    /// # Errors
    /// As [`Sampling::new`] and [`crate::gpu::Gpu::prepare`].
    pub fn new(model: &Model, options: &SamplingOptions, drawn: &[u32]) -> Result<Self> {
        let gpu = &model.gpu;
        let sampling = Sampling::new(gpu, model.config().vocab_size, options, drawn)?;
        let (logits, step) = model.logits_and_step()?;
        let mut recording = Recording::on(gpu.kernel_config());
        sampling.record(&mut recording, &logits, &step)?;
        let draw = gpu.prepare("draw", &recording)?;
        let readbacks = [gpu.readback(RESULT)?, gpu.readback(RESULT)?];
        Ok(Self { draw, _sampling: sampling, readbacks, submitted: 0, fetched: 0 })
    }

    /// What draws a token, and the readback that the next submission fills.
    pub(super) fn next(&mut self) -> (&Prepared, &mut Readback) {
        let index = self.submitted % self.readbacks.len();
        self.submitted += 1;
        (&self.draw, &mut self.readbacks[index])
    }

    /// The readback of the first submission that nobody has waited for.
    pub(super) fn first_readback(&mut self) -> &mut Readback {
        let index = self.fetched % self.readbacks.len();
        self.fetched += 1;
        &mut self.readbacks[index]
    }
}

/// Token, entry and tokens drawn, as the step buffer holds them.
pub(super) fn result(bytes: &[u8]) -> Result<[u32; 3]> {
    match bytemuck::pod_collect_to_vec(bytes)[..] {
        [token, entry, drawn, _] => Ok([token, entry, drawn]),
        _ => Err(Error::Internal { detail: format!("a result of {} bytes", bytes.len()) }),
    }
}

impl LanguageModel for Model {
    type State = State;
    type Draw = Draw;

    fn vocab_size(&self) -> usize {
        self.config().vocab_size
    }

    fn chunk_rows(&self) -> usize {
        self.rows.prompt
    }

    fn new_state(&self) -> Result<State> {
        let (context, precision) = self.context;
        State::new(&self.gpu, self.config(), context, precision)
    }

    async fn reserve(&mut self, state: &mut State, rows: usize) -> Result<()> {
        state.reserve(&self.gpu, rows).await
    }

    async fn forward(&mut self, state: &mut State, inputs: &[Input], features: Option<&Features>) -> Result<()> {
        self.run_chunk(state, inputs, features).await
    }

    async fn logits(&mut self, rows: Range<usize>) -> Result<Vec<f32>> {
        let (row, _) = self.logits_and_step()?;
        let mut all = Vec::with_capacity(rows.len() * self.vocab_size());
        for first in rows.clone().step_by(self.rows.head) {
            let count = self.rows.head.min(rows.end - first);
            self.run_head(first..first + count)?;
            let logits: Vec<f32> = self.gpu.read_as(&Slice { bytes: count as u64 * row.bytes, ..row.clone() }).await?;
            all.extend_from_slice(&logits); // [rows, vocab]
        }
        Ok(all)
    }

    async fn wait_idle(&mut self) -> Result<()> {
        self.gpu.wait_idle().await
    }

    async fn begin(
        &mut self,
        state: &State,
        options: &SamplingOptions,
        drawn: &[u32],
        row: Option<usize>,
    ) -> Result<Draw> {
        if options.filters() && !self.filter_is_tested {
            check(&self.gpu, &[sample_filter::kernel()]).await?;
            self.filter_is_tested = true;
        }
        // The draw counts the entry up.
        let entry = state.len().saturating_sub(1);
        self.start_steps(state, StepHeader { token: 0, entry, drawn: drawn.len() })?;
        if let Some(row) = row {
            self.run_head(row..row + 1)?;
        }
        let mut draw = Draw::new(self, options, drawn)?;
        let (_, step) = self.logits_and_step()?;
        let (launches, readback) = draw.next();
        self.gpu.submit(&[launches], Some((&step, readback)))?;
        Ok(draw)
    }

    fn step(&mut self, state: &mut State, draw: &mut Draw) -> Result<()> {
        let (gpu, entry) = (self.gpu.clone(), state.len());
        let (_, step) = self.logits_and_step()?;
        let pass = self.ready_step(state, entry)?;
        let (launches, readback) = draw.next();
        gpu.submit(&[pass, launches], Some((&step, readback)))?;
        state.advance(1);
        Ok(())
    }

    async fn drawn(&mut self, draw: &mut Draw) -> Result<u32> {
        let bytes = self.gpu.fetch(draw.first_readback()).await?;
        sample::read(result(&bytes)?)
    }

    fn replay(&mut self, state: &mut State, token: u32) -> Result<()> {
        let (gpu, entry) = (self.gpu.clone(), state.len());
        self.start_steps(state, StepHeader { token, entry, drawn: 0 })?;
        let pass = self.ready_step(state, entry)?;
        gpu.submit(&[pass], None)?;
        state.advance(1);
        Ok(())
    }

    fn resume(&mut self, state: &mut State, _: &mut Draw, token: u32, drawn: usize) -> Result<()> {
        self.start_steps(state, StepHeader { token, entry: state.len(), drawn })
    }

    fn draft_rows(&self, state: &State, most: usize) -> Option<usize> {
        self.rows_alike(state.len(), most)
    }

    async fn drafts_are_right(&mut self, state: &mut State, inputs: &[u32], drawn: usize) -> Result<bool> {
        self.rows_are_right(state, inputs, drawn).await
    }

    async fn verify(
        &mut self,
        state: &mut State,
        draw: &mut Draw,
        inputs: &[u32],
        drawn: usize,
    ) -> Result<Option<Verdict>> {
        self.run_drafts(state, draw, inputs, drawn).await
    }
}
