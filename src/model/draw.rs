//! The model's interface for conversations: chunks, steps and draws, in the order of submission.

use std::ops::Range;

use super::forward::Model;
use super::inputs::place_pictures;
use super::language::{BatchRow, DRAFT_ROWS, Features, Input, LanguageModel, LogitsAt, MaskFn, Verdict};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Prepared, Readback, Recording, Slice};
use crate::kernels::attention_step::Tuning;
use crate::kernels::sample::{self, NONE, Sampling};
use crate::kernels::sample_filter;
use crate::kernels::sampling::mask_words;
use crate::kernels::self_test::check;
use crate::layers::step::{RESULT, StepHeader, alike};
use crate::layers::{Form, Pass};
use crate::sampling::{Past, SamplingOptions};
use crate::state::{ConversationState, State};
use crate::state::{Outline, Part};

/// Draws of one answer.
#[derive(Debug)]
pub struct Draw {
    /// The row last drawn from and the prepared draw, which hands its token to the next step.
    draw: (usize, Prepared),
    /// The same within a batch.
    seat: Option<(usize, Prepared)>,
    /// Buffers and counters of the draws.
    sampling: Sampling,
    /// The mask of allowed tokens as it is written to the device.
    mask: Vec<u32>,
    /// Readbacks of the results, used in turns.
    readbacks: [Readback; 2],
    /// Number of submitted draws, and of draws read.
    submitted: usize,
    fetched: usize,
}

impl Draw {
    /// Allocates the buffers of an answer's draws; `masked` if some have a mask. Fails like [`Sampling::new`] and [`crate::gpu::Gpu::prepare`].
    pub fn new(model: &Model, options: &SamplingOptions, past: Past<'_>, masked: bool) -> Result<Self> {
        let (gpu, vocab) = (&model.gpu, model.config().vocab_size);
        let sampling = Sampling::new(gpu, vocab, options, past)?;
        let sampling = if masked { sampling.masked(gpu)? } else { sampling };
        let mask = vec![0; if masked { mask_words(vocab) } else { 0 }];
        let draw = (0, prepare(model, &sampling)?);
        let readbacks = [gpu.readback(RESULT)?, gpu.readback(RESULT)?];
        Ok(Self { draw, seat: None, sampling, mask, readbacks, submitted: 0, fetched: 0 })
    }

    /// Prepares the next draws for a row of the logits and the tokens of `mask`.
    fn look_at(&mut self, model: &Model, row: usize, mask: MaskFn<'_>) -> Result<()> {
        mask(&mut self.mask)?;
        model.gpu.write(&self.sampling.mask.buffer, 0, bytemuck::cast_slice(&self.mask))?;
        if self.draw.0 != row {
            self.sampling.rules = self.sampling.rules.of_row(row, true);
            self.draw = (row, prepare(model, &self.sampling)?);
        }
        Ok(())
    }

    /// Prepares draws from a row of `logits` to the words of one conversation of a batch.
    pub(super) fn apart(&mut self, gpu: &Gpu, row: usize, (logits, step): (&Slice, &Slice)) -> Result<()> {
        if self.seat.as_ref().is_none_or(|(held, prepared)| *held != row || !prepared.is_current()) {
            let sampling = Sampling { rules: self.sampling.rules.of_row(row, false), ..self.sampling.clone() };
            let mut recording = Recording::on(gpu.kernel_config());
            sampling.record(&mut recording, logits, step)?;
            self.seat = Some((row, gpu.prepare("draw", &recording)?));
        }
        Ok(())
    }

    /// The prepared draw within a batch.
    pub(super) fn of_seat(&self) -> Option<&Prepared> {
        self.seat.as_ref().map(|(_, prepared)| prepared)
    }

    /// The prepared draw, and the readback for the next submission.
    pub(super) fn next(&mut self) -> (&Prepared, &mut Readback) {
        let index = self.submitted % self.readbacks.len();
        self.submitted += 1;
        (&self.draw.1, &mut self.readbacks[index])
    }

    /// The readback of the first submission that has not been read.
    pub(super) fn first_readback(&mut self) -> &mut Readback {
        let index = self.fetched % self.readbacks.len();
        self.fetched += 1;
        &mut self.readbacks[index]
    }
}

fn prepare(model: &Model, sampling: &Sampling) -> Result<Prepared> {
    let (logits, step) = model.all_logits_and_step()?;
    let mut recording = Recording::on(model.gpu.kernel_config());
    sampling.record(&mut recording, &logits, &step)?;
    model.gpu.prepare("draw", &recording)
}

/// Token, entry and number of drawn tokens, as stored in the step buffer.
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
        Ok(State::new(self.pool(), self.context))
    }

    async fn reserve(&mut self, state: &mut State, rows: usize) -> Result<()> {
        state.reserve(&self.gpu, rows).await
    }

    async fn forward(&mut self, state: &mut State, inputs: &[Input], features: Option<&Features>) -> Result<()> {
        let (sources, rows, first_entry) = (self.sources(inputs, features)?, inputs.len(), state.len());
        state.reserve(&self.gpu, rows).await?;
        if let Some(features) = features.filter(|_| self.config().rope.sections.is_some()) {
            place_pictures(state, inputs, features);
        }
        if self.config().cross.is_some() {
            self.show_picture(state, inputs, features).await?;
        }
        self.write_rows_of(inputs).await?;
        self.write_step(state, StepHeader { token: 0, entry: first_entry, drawn: 0 }, rows)?;
        self.first_entry = first_entry;
        let work = self.work()?;
        self.gpu.write(&work.sources, 0, bytemuck::cast_slice(&sources))?;
        self.catch_up(state)?;
        // The kernel needs a buffer even if no source is a feature.
        let rows_of_features = features.map_or(&work.gathered, |features| &features.buffer).all();
        let mut recording = self.gpu.recording();
        let form = Form::Chunk { first_entry };
        let mut pass = Pass::new(&mut recording, work, rows, form);
        self.decoder.record_inputs(&mut pass, &work.sources.all(), &rows_of_features)?;
        if inputs.iter().any(|input| matches!(input, Input::Feature(_))) {
            pass.features = Some(rows_of_features);
        }
        // The other layers are computed for rows whose logits are needed.
        let depth = self.config().own_layers();
        for layer in 0..depth {
            self.decoder.record_layers(&mut pass, state, layer..layer + 1)?;
            if layer + 1 == depth || pass.recording.flops() >= self.gpu.most_flops() {
                let done = self.gpu.run_in_pieces("decoder", pass.recording.take(), &mut || Ok(())).await;
                done.inspect_err(|_| state.mark_partial(rows))?;
            }
        }
        state.advance(rows);
        Ok(())
    }

    async fn logits(&mut self, state: &State, rows: Range<usize>) -> Result<Vec<f32>> {
        let (row, _) = self.logits_and_step()?;
        let mut all = Vec::with_capacity(rows.len() * self.vocab_size());
        for first in rows.clone().step_by(self.rows.head) {
            let count = self.rows.head.min(rows.end - first);
            self.run_head(state, first..first + count).await?;
            let logits: Vec<f32> = self.gpu.read_as(&Slice { bytes: count as u64 * row.bytes, ..row.clone() }).await?;
            all.extend_from_slice(&logits); // [rows, vocab]
        }
        Ok(all)
    }

    async fn hidden(&mut self, state: &State, row: usize) -> Result<Vec<f32>> {
        let h = self.run_norm(state, row).await?; // [1, hidden]
        self.gpu.read_as(&h).await
    }

    async fn drawn_logits(&mut self, row: usize) -> Result<Vec<f32>> {
        let (first, _) = self.logits_and_step()?;
        self.gpu.read_as(&Slice { offset: first.offset + row as u64 * first.bytes, ..first }).await
    }

    async fn wait_idle(&mut self) -> Result<()> {
        self.gpu.wait_idle().await
    }

    async fn begin(
        &mut self,
        state: &State,
        options: &SamplingOptions,
        past: Past<'_>,
        at: LogitsAt,
        mask: Option<MaskFn<'_>>,
    ) -> Result<Draw> {
        if options.filters() && !self.filter_is_tested {
            check(&self.gpu, &[sample_filter::kernel()]).await?;
            self.filter_is_tested = true;
        }
        if let LogitsAt::Chunk(row) = at {
            self.run_head(state, row..row + 1).await?;
        }
        self.start_draw(state, past.drawn.len())?;
        let mut draw = Draw::new(self, options, past, mask.is_some())?;
        if let Some(mask) = mask {
            draw.look_at(self, if let LogitsAt::Step(row) = at { row } else { 0 }, mask)?;
        }
        self.submit_draw(&mut draw)?;
        Ok(draw)
    }

    fn draw_among(&mut self, state: &State, draw: &mut Draw, drawn: usize, row: usize, mask: MaskFn<'_>) -> Result<()> {
        self.start_draw(state, drawn)?;
        draw.look_at(self, row, mask)?;
        self.submit_draw(draw)
    }

    fn step(&mut self, state: &mut State, draw: &mut Draw) -> Result<()> {
        let (gpu, entry) = (self.gpu.clone(), state.len());
        let (_, step) = self.logits_and_step()?;
        let pass = self.prepared_step(state, entry)?;
        let (launches, readback) = draw.next();
        gpu.submit(&[pass, launches], Some((&step, readback)))?;
        state.advance(1);
        Ok(())
    }

    fn runs_ahead(&self) -> bool {
        self.rows_source.is_none()
    }

    async fn prepare(&mut self, tokens: &[u32]) -> Result<()> {
        self.write_rows(tokens.iter().copied()).await
    }

    async fn read_token(&mut self, draw: &mut Draw) -> Result<u32> {
        let bytes = self.gpu.fetch(draw.first_readback()).await?;
        sample::read(result(&bytes)?)
    }

    fn forward_known(&mut self, state: &mut State, inputs: &[u32]) -> Result<()> {
        let gpu = self.gpu.clone();
        self.write_step(state, StepHeader { token: 0, entry: state.len(), drawn: 0 }, inputs.len())?;
        gpu.submit(&[self.prepared_drafts(state, inputs)?], None)?;
        state.advance_drafts(inputs.len());
        Ok(())
    }

    fn replay(&mut self, state: &mut State, token: u32) -> Result<()> {
        let (gpu, entry) = (self.gpu.clone(), state.len());
        self.start_steps(state, StepHeader { token, entry, drawn: 0 })?;
        let pass = self.prepared_step(state, entry)?;
        gpu.submit(&[pass], None)?;
        state.advance(1);
        Ok(())
    }

    fn resume(&mut self, state: &mut State, draw: &mut Draw, token: u32, drawn: usize) -> Result<()> {
        self.start_steps(state, StepHeader { token, entry: state.len(), drawn })?;
        // The work memory may have been freed meanwhile for a picture of another conversation.
        if !draw.draw.1.is_current() {
            draw.draw.1 = prepare(self, &draw.sampling)?;
        }
        Ok(())
    }

    fn draft_rows(&self, state: &State, most: usize) -> Option<usize> {
        let tuning = Tuning::of(self.gpu.kernel_config());
        let alike = alike(state.len(), most.min(self.rows.step), self.config().layer_options.sliding_window, tuning);
        DRAFT_ROWS.into_iter().rev().find(|&rows| rows <= alike)
    }

    async fn drafts_match_steps(&mut self, state: &mut State, inputs: &[u32], drawn: usize) -> Result<bool> {
        let rows = inputs.len();
        let pass = (rows, Form::step(state.len(), rows));
        let of_rows: Vec<_> = self.drafts_tested.iter().filter(|((tested, _), _)| *tested == rows).collect();
        if of_rows.iter().any(|(_, right)| !right) {
            return Ok(false);
        }
        if of_rows.iter().any(|(tested, _)| *tested == pass) {
            return Ok(true);
        }
        let is_checked = !of_rows.is_empty();
        self.ensure_workspace()?;
        let checked = if is_checked { Ok(()) } else { check(&self.gpu, &self.draft_kernels(state, rows)?).await };
        let right = match checked {
            Ok(()) => self.rows_are_alike(state, inputs, drawn).await?,
            Err(Error::SelfTestFailed { .. }) => false,
            Err(error) => return Err(error),
        };
        self.drafts_tested.push((pass, right));
        Ok(right)
    }

    async fn verify(
        &mut self,
        state: &mut State,
        draw: &mut Draw,
        inputs: &[u32],
        drawn: usize,
    ) -> Result<Option<Verdict>> {
        let (gpu, entry) = (self.gpu.clone(), state.len());
        state.reserve(&gpu, inputs.len()).await?;
        let (_, step) = self.logits_and_step()?;
        let pass = self.prepared_drafts(state, inputs)?;
        gpu.submit(&[pass], Some((&step, draw.next().1)))?;
        let [token, next, _] = result(&gpu.fetch(draw.first_readback()).await?)?;
        if token == NONE {
            self.start_steps(state, StepHeader { token: inputs[0], entry, drawn })?;
            return Ok(None);
        }
        state.advance_drafts(inputs.len());
        match (next as usize).checked_sub(entry).filter(|kept| (1..=inputs.len()).contains(kept)) {
            Some(kept) => Ok(Some(Verdict { kept, token })),
            None => Err(Error::Internal { detail: format!("{entry} to {next} by {} rows", inputs.len()) }),
        }
    }

    fn max_batch(&self) -> usize {
        self.most_apart()
    }

    async fn batch_matches_single(&mut self, seats: &mut [BatchRow<'_, State, Draw>]) -> Result<bool> {
        self.apart_is_right(seats).await
    }

    async fn batch_step(&mut self, seats: &mut [BatchRow<'_, State, Draw>]) -> Result<Vec<Result<u32>>> {
        self.steps_apart(seats).await
    }

    fn outline(&self, state: &State) -> Outline {
        state.outline()
    }

    fn parts(&self, outline: &Outline, most: u64) -> Result<Vec<Part>> {
        State::shape(self.pool()).parts(outline, most)
    }

    async fn read_part(&mut self, state: &State, part: &Part) -> Result<Vec<u8>> {
        self.part_of(state, part).await
    }

    async fn restore(&mut self, outline: &Outline) -> Result<State> {
        self.state_of(outline).await
    }

    async fn write_part(&mut self, state: &mut State, part: &Part, bytes: &[u8]) -> Result<()> {
        self.put_part(state, part, bytes).await
    }
}

impl Model {
    /// Sets the header for the draw after the entries of `state`, with `drawn` tokens drawn.
    fn start_draw(&mut self, state: &State, drawn: usize) -> Result<()> {
        // The draw increments the entry.
        self.start_steps(state, StepHeader { token: 0, entry: state.len().saturating_sub(1), drawn })
    }

    fn submit_draw(&self, draw: &mut Draw) -> Result<()> {
        let (_, step) = self.logits_and_step()?;
        let (launches, readback) = draw.next();
        self.gpu.submit(&[launches], Some((&step, readback)))
    }
}
