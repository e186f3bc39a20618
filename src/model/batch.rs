//! A step of several conversations: one row of each, so that the weights are read once for all of them. Each row is rounded like a single step.

use super::draw::{Draw, result};
use super::forward::{Model, Together, no_pass};
use super::language::{BatchRow, DRAFT_ROWS, LanguageModel};
use crate::error::{Error, Result};
use crate::kernels::attention_step::{Tuning, reach};
use crate::kernels::cache::{PAGE, PAGES};
use crate::kernels::sample;
use crate::kernels::self_test::check;
use crate::layers::Form;
use crate::layers::step::{StepHeader, max_batch, words_apart};
use crate::state::{ConversationState, State};

impl Model {
    /// The most conversations in a step; 1 if batches are not supported.
    pub(super) fn most_apart(&self) -> usize {
        max_batch(self.config(), self.rows.step)
    }

    /// Words of a conversation in the step buffer.
    fn words_apart(&self) -> usize {
        words_apart(self.config(), self.context)
    }

    /// The step buffer words of a conversation whose next token is `token`.
    fn words_of(&self, state: &State, token: u32, drawn: usize) -> Result<Vec<u32>> {
        let (entry, table_at, stride) = (state.len(), self.work()?.table_at, self.words_apart());
        let splits = Tuning::of(self.gpu.kernel_config()).splits(reach(entry + 1));
        let mut words = StepHeader { token, entry, drawn }.words(&(entry..entry + 1), table_at).to_vec();
        words.extend([stride as u32 / 4, splits as u32]);
        words.resize(PAGES, 0);
        words.extend(state.pages());
        words.resize(table_at, 0);
        words.extend(self.decoder.rope_table(&[state.positions().of(entry)]));
        words.resize(stride, 0);
        Ok(words)
    }

    /// [`LanguageModel::prepare`] for their tokens, and for padding, which repeats the last row.
    async fn prepare_apart(&mut self, seats: &[BatchRow<'_, State, Draw>]) -> Result<()> {
        let mut tokens: Vec<u32> = seats.iter().map(|seat| seat.token).collect();
        let rows = DRAFT_ROWS.into_iter().find(|&rows| rows >= seats.len()).unwrap_or(seats.len());
        tokens.resize(rows, tokens.last().copied().unwrap_or(0));
        self.prepare(&tokens).await
    }

    /// Writes the inputs of a step of these conversations and submits it without draws. Returns its number of rows, including padding.
    fn submit_apart(&mut self, seats: &mut [BatchRow<'_, State, Draw>], draws: bool) -> Result<usize> {
        self.ensure_workspace()?;
        let count = seats.len();
        let too_many = || Error::Internal { detail: format!("a step of {count} conversations") };
        let most = self.most_apart();
        let rows = DRAFT_ROWS.into_iter().find(|&rows| rows >= count && rows <= most).ok_or_else(too_many)?;
        let (mut words, mut tokens) = (Vec::new(), Vec::new());
        for seat in seats.iter() {
            words.push(self.words_of(seat.state, seat.token, seat.drawn)?);
            tokens.push(seat.token);
        }
        // Padding repeats the last row, which computes and writes the same values.
        let last = words.last().cloned().ok_or_else(too_many)?;
        words.resize(rows, last);
        tokens.resize(rows, tokens[count - 1]);
        let longest = seats.iter().map(|seat| seat.state.len() + 1).max().unwrap_or(1);
        let gpu = self.gpu.clone();
        let work = self.work.as_mut().ok_or_else(no_pass)?;
        // The next single step must write its words again.
        (work.table, work.pages) = ((0..0, work.table.1.clone()), Vec::new());
        gpu.write(&work.step, 0, bytemuck::cast_slice(&words.concat()))?;
        gpu.write(&work.sources, 0, bytemuck::cast_slice(&tokens))?;
        let (logits, step) = self.all_logits_and_step()?;
        let stride = (self.words_apart() * size_of::<u32>()) as u64;
        if self.together.is_none() {
            let readback = gpu.readback(stride * most as u64)?;
            self.together = Some(Together { readback, tested: Vec::new() });
        }
        for (row, seat) in seats.iter_mut().enumerate().filter(|_| draws) {
            let own = step.buffer.slice(row as u64 * stride..(row as u64 + 1) * stride);
            seat.draw.apart(&gpu, row, (&logits, &own))?;
        }
        let form = Form::Step { reach: reach(longest), apart: true };
        self.prepared(seats[0].state, rows, form)?;
        let made = self.steps.iter().find(|((made_for, made_as, _), _)| (*made_for, *made_as) == (rows, form));
        let (_, pass) = made.ok_or_else(no_pass)?;
        let mut launches = vec![pass];
        launches.extend(seats.iter().filter(|_| draws).filter_map(|seat| seat.draw.of_seat()));
        let together = self.together.as_mut().ok_or_else(no_pass)?;
        gpu.submit(&launches, Some((&step, &mut together.readback)))?;
        seats.iter_mut().for_each(|seat| seat.state.advance(1));
        Ok(rows)
    }

    /// See [`super::LanguageModel::batch_step`].
    pub(super) async fn steps_apart(&mut self, seats: &mut [BatchRow<'_, State, Draw>]) -> Result<Vec<Result<u32>>> {
        self.prepare_apart(seats).await?;
        self.submit_apart(seats, true)?;
        let (gpu, stride) = (self.gpu.clone(), self.words_apart() * size_of::<u32>());
        let together = self.together.as_mut().ok_or_else(no_pass)?;
        let bytes = gpu.fetch(&mut together.readback).await?;
        let headers = bytes.chunks_exact(stride).take(seats.len());
        Ok(headers.map(|header| sample::read(result(&header[..16])?)).collect())
    }

    /// Returns true if a step of these conversations gives exactly the logits of single steps. Tested once for each number of rows. The states
    /// are unchanged afterwards.
    pub(super) async fn apart_is_right(&mut self, seats: &mut [BatchRow<'_, State, Draw>]) -> Result<bool> {
        let count = seats.len();
        let rows = DRAFT_ROWS.into_iter().find(|&rows| rows >= count).unwrap_or(count);
        let known = self.together.iter().flat_map(|together| &together.tested).find(|(tested, _)| *tested == rows);
        if let Some((_, right)) = known {
            return Ok(*right);
        }
        self.ensure_workspace()?;
        let mut kernels = Vec::new();
        for entries in [1, 2 * PAGE] {
            let form = Form::Step { reach: reach(entries), apart: true };
            let recording = self.record_step(seats[0].state, rows, form)?;
            kernels.extend(recording.dispatches().map(|dispatch| dispatch.kernel.clone()));
        }
        let right = match check(&self.gpu, &kernels).await {
            Ok(()) => self.seats_are_alike(seats).await?,
            Err(Error::SelfTestFailed { .. }) => false,
            Err(error) => return Err(error),
        };
        if let Some(together) = &mut self.together {
            together.tested.push((rows, right));
        }
        Ok(right)
    }

    async fn seats_are_alike(&mut self, seats: &mut [BatchRow<'_, State, Draw>]) -> Result<bool> {
        self.prepare_apart(seats).await?;
        self.submit_apart(seats, false)?;
        let (gpu, row_bytes) = (self.gpu.clone(), (self.config().vocab_size * size_of::<f32>()) as u64);
        let logits = self.all_logits_and_step()?.0.buffer;
        let together = gpu.read(&logits.slice(0..seats.len() as u64 * row_bytes)).await?; // [seats, vocab]
        let mut alike = true;
        for (seat, together) in seats.iter_mut().zip(together.chunks_exact(row_bytes as usize)) {
            let entry = seat.state.len() - 1;
            seat.state.rewind(entry);
            self.prepare(&[seat.token]).await?;
            self.start_steps(seat.state, StepHeader { token: seat.token, entry, drawn: seat.drawn })?;
            gpu.submit(&[self.prepared_step(seat.state, entry)?], None)?;
            alike &= gpu.read(&logits.slice(0..row_bytes)).await? == together;
        }
        Ok(alike)
    }
}
