//! Several tokens at once: what speculation proposes, verified in one pass.

use super::decode::{Drawing, Drawn, Progress, result};
use super::load::{Resident, kernel_needs};
use super::session::ContextEntry;
use super::speculate::{Draft, Speculation, Speculator, history};
use super::{Engine, not_there};
use crate::error::{Error, Result};
use crate::kernels::sample::NONE;
use crate::kernels::self_test::check;
use crate::model::step::{RESULT, StepHeader};

impl Engine {
    /// What may follow the token that is known, or that is being drawn, and up to `left` tokens in all.
    pub(super) fn propose(&self, speculator: &Speculator, known: Option<u32>, left: usize) -> Option<Draft> {
        if !speculator.looks(&self.latency) {
            return None;
        }
        let Resident { model, cache, .. } = self.resident.as_ref()?;
        let rows = model.rows_alike(cache.len(), left)?;
        speculator.propose(&self.latency, &history(self.session.slots(), known), rows)
    }

    /// Verifies a draft behind a token that is known; none if it could not be judged.
    pub(super) async fn verify(
        &mut self,
        drawing: &mut Drawing,
        speculator: &mut Speculator,
        (known, draft): (u32, Draft),
        progress: Progress,
    ) -> Result<Option<Drawn>> {
        let inputs: Vec<u32> = std::iter::once(known).chain(draft.tokens.iter().copied()).collect();
        if !self.rows_are_right(&inputs, progress.drawn).await? {
            speculator.stop();
            return Ok(None);
        }
        let (gpu, started) = (self.gpu.clone(), (self.clock)());
        let Resident { model, cache, .. } = self.resident_mut()?;
        cache.reserve(inputs.len()).await?;
        let (_, step) = model.choice()?;
        let position = cache.len();
        let pass = model.ready_verify(cache, &inputs)?;
        gpu.submit(&[pass], Some((&step, &mut drawing.readbacks[0])));
        let [token, next, _] = result(&gpu.fetch(&mut drawing.readbacks[0]).await?)?;
        if token == NONE {
            // Perhaps by a draft's fault: then a step will do.
            speculator.stop();
            model.start_steps(StepHeader { token: known, position, drawn: progress.drawn })?;
            return Ok(None);
        }
        let kept = (next as usize).checked_sub(position).filter(|kept| (1..=inputs.len()).contains(kept));
        let Some(kept) = kept else {
            return Err(Error::Internal { detail: format!("{position} to {next} by {} rows", inputs.len()) });
        };
        cache.advance(kept);
        inputs[..kept].iter().for_each(|&input| self.session.extend_by_step(ContextEntry::Token(input)));
        self.latency.passed(inputs.len(), (self.clock)() - started);
        speculator.verified(&draft, kept - 1);
        drawing.known = Some(token);
        Ok(Some(Drawn { tokens: inputs[1..kept].iter().copied().chain([token]).collect(), drafts: kept - 1 }))
    }

    /// Whether passes over so many rows give what steps give on this device: tested when they are first needed. Afterwards the step
    /// buffer says what it said before.
    async fn rows_are_right(&mut self, inputs: &[u32], drawn: usize) -> Result<bool> {
        let rows = inputs.len();
        if let Some((_, right)) = self.rows_tested.iter().find(|(tested, _)| *tested == rows) {
            return Ok(*right);
        }
        let needs = kernel_needs(&self.manifest, vec![self.plan.kv]);
        let kernels = needs.step_kernels(&self.gpu, self.gpu.kernel_config(), rows);
        let right = match check(&self.gpu, &kernels).await {
            Ok(()) => self.rows_are_alike(inputs, drawn).await?,
            Err(Error::SelfTestFailed { .. }) => false,
            Err(error) => return Err(error),
        };
        self.rows_tested.push((rows, right));
        Ok(right)
    }

    /// Whether the first and the last row of a pass have the logits that steps have, to the last bit: a driver may choose another width
    /// of subgroups for other shaders, or other instructions.
    async fn rows_are_alike(&mut self, inputs: &[u32], drawn: usize) -> Result<bool> {
        let gpu = self.gpu.clone();
        let Resident { model, cache, .. } = self.resident_mut()?;
        cache.reserve(inputs.len()).await?;
        let first = cache.len();
        let (logits, _) = model.choice()?;
        let row = |row: usize| logits.buffer.slice(row as u64 * logits.bytes..(row as u64 + 1) * logits.bytes);
        gpu.submit(&[model.ready_verify(cache, inputs)?], None);
        let ends = [0, inputs.len() - 1];
        let mut found = Vec::with_capacity(ends.len());
        for index in ends {
            found.push(gpu.read(&row(index)).await?);
        }
        let mut alike = true;
        for (index, found) in ends.into_iter().zip(found) {
            let position = first + index;
            model.start_steps(StepHeader { token: inputs[index], position, drawn })?;
            gpu.submit(&[model.ready_step(cache, position)?], None);
            alike &= gpu.read(&row(0)).await? == found;
        }
        model.start_steps(StepHeader { token: inputs[0], position: first, drawn })?;
        Ok(alike)
    }

    /// From now on tokens are guessed, or are not. What was planned for without drafts has no memory for them.
    pub fn speculate(&mut self, speculation: Speculation) {
        self.speculation = speculation;
    }

    /// Milliseconds that a pass over `rows` tokens takes behind the conversation, of which nothing is kept; none where there is no
    /// memory for so many. The first takes longer: it is made ready. What is found counts when it is decided whether guessing pays.
    ///
    /// # Errors
    /// [`Error::ContextOverflow`] behind a full context, or what the device complains about.
    pub async fn time_pass(&mut self, rows: usize) -> Result<Option<f64>> {
        let (gpu, clock) = (self.gpu.clone(), self.clock);
        let Some(Resident { model, cache, .. }) = &mut self.resident else { return Err(not_there()) };
        if model.rows_alike(cache.len(), rows) != Some(rows) {
            return Ok(None);
        }
        cache.reserve(rows).await?;
        model.start_steps(StepHeader { token: 0, position: cache.len(), drawn: 0 })?;
        let (_, step) = model.choice()?;
        let mut readback = gpu.readback(RESULT)?;
        let started = clock();
        let pass = model.ready_verify(cache, &vec![0; rows])?;
        gpu.submit(&[pass], Some((&step, &mut readback)));
        gpu.fetch(&mut readback).await?;
        let ms = clock() - started;
        self.latency.passed(rows, ms);
        Ok(Some(ms))
    }
}
