//! A model's decoder on a device, and the buffers it works in.

use std::ops::Range;

use super::language::{Features, Input};
use super::record::record_step;
use crate::config::TextConfig;
use crate::error::{Error, Result};
use crate::gpu::{Allocator, Buffer, Gpu, Prepared, Purpose, Recording, Slice};
use crate::kernels::embed_rows::FEATURE;
use crate::layers::step::{self, StepHeader, StepShape, TABLE_ROWS, header_words};
use crate::layers::{Decoder, Form, Pass, TextRows, Workspace};
use crate::state::{State, States};

/// A decoder on a device.
#[derive(Debug)]
pub struct Model {
    pub(super) gpu: Gpu,
    pub(super) decoder: Decoder,
    pub(super) rows: TextRows,
    /// Entries of a conversation at most, and how its state holds a number.
    pub(super) context: (usize, crate::config::KvPrecision),
    /// What the decoder works in; not there while a picture is encoded.
    pub(super) work: Option<Workspace>,
    /// Steps, one for each count of rows and state.
    steps: Vec<(StepShape, Prepared)>,
    /// Whether the kernel that few answers need has been tested on this device.
    pub(super) filter_is_tested: bool,
    /// Counts of rows of passes over drafts that have been tested on this device, and whether they are right.
    pub(super) rows_tested: Vec<(usize, bool)>,
}

impl Model {
    /// A decoder that computes so many rows at a time, for conversations of at most `context` entries.
    pub fn new(gpu: &Gpu, decoder: Decoder, rows: TextRows, context: (usize, crate::config::KvPrecision)) -> Self {
        Self {
            gpu: gpu.clone(),
            decoder,
            rows,
            context,
            work: None,
            steps: Vec::new(),
            filter_is_tested: false,
            rows_tested: Vec::new(),
        }
    }

    /// The decoder's shape.
    pub fn config(&self) -> &TextConfig {
        self.decoder.config()
    }

    /// Rows computed at a time.
    pub fn rows(&self) -> TextRows {
        self.rows
    }

    /// Gives up work memory until the next pass.
    pub fn release(&mut self) {
        (self.work, self.steps) = (None, Vec::new());
    }

    /// A buffer for rows of features.
    ///
    /// # Errors
    /// As [`Allocator::alloc`].
    pub fn features(&self, rows: usize) -> Result<Buffer> {
        let bytes = (rows * self.config().hidden_size * size_of::<f32>()) as u64;
        self.gpu.alloc("features", Purpose::Features, bytes)
    }

    /// Runs a chunk.
    pub(super) async fn run_chunk(
        &mut self,
        state: &mut State,
        inputs: &[Input],
        features: Option<&Features>,
    ) -> Result<()> {
        let sources = self.sources(inputs, features)?;
        state.reserve(&self.gpu, inputs.len()).await?;
        self.ready_work()?;
        let first_entry = state.len();
        let work = self.work.as_mut().ok_or_else(no_pass)?;
        work.table = first_entry..first_entry + sources.len();
        let header = StepHeader { token: 0, entry: first_entry, drawn: 0 };
        let words = self.decoder.rope().step_words(header, &work.table, state.position_id(first_entry));
        self.gpu.write(&work.step, 0, bytemuck::cast_slice(&words))?;
        self.gpu.write(&work.sources, 0, bytemuck::cast_slice(&sources))?;
        // The kernel binds some buffer even if no source names a feature.
        let rows = features.map_or(&work.gathered, |features| &features.buffer).all();
        let (sources, work) = (work.sources.all(), &*work);
        let mut recording = Recording::on(self.gpu.kernel_config());
        let form = Form::Chunk { first_entry };
        let max_bindings = self.gpu.max_bindings();
        let mut pass = Pass { recording: &mut recording, work, rows: inputs.len(), form, max_bindings };
        self.decoder.record_inputs(&mut pass, &sources, &rows)?;
        let (depth, at_once) = (self.decoder.config().layers.len(), self.decoder.layers_at_once(inputs.len()));
        for first in (0..depth).step_by(at_once) {
            self.decoder.record_layers(&mut pass, state, first..depth.min(first + at_once))?;
            self.gpu.run("decoder", &pass.recording.take())?;
        }
        state.advance(inputs.len());
        Ok(())
    }

    fn sources(&self, inputs: &[Input], features: Option<&Features>) -> Result<Vec<u32>> {
        if inputs.is_empty() || inputs.len() > self.rows.prompt {
            return Err(Error::Internal { detail: format!("a chunk of {} inputs", inputs.len()) });
        }
        let rows = features.map_or(0, |features| features.rows);
        let source = |input: &Input| match *input {
            Input::Token(id) if (id as usize) < self.config().vocab_size => Ok(id),
            Input::Token(id) => Err(Error::request("input_ids", format!("token {id} is not in the vocabulary"))),
            Input::Feature(row) if (row as usize) < rows => Ok(row | FEATURE),
            Input::Feature(row) => Err(Error::Internal { detail: format!("feature {row} of {rows}") }),
        };
        inputs.iter().map(source).collect()
    }

    /// Logits of `rows` rows of the last chunk into the buffer of logits.
    pub(super) fn run_head(&self, rows: Range<usize>) -> Result<()> {
        let work = self.work.as_ref().ok_or_else(no_pass)?;
        let row_bytes = (self.config().hidden_size * size_of::<f32>()) as u64;
        let mut recording = Recording::on(self.gpu.kernel_config());
        // Bindings start at multiples of 256 bytes, rows may not: gather them at the start of a buffer first.
        let range = rows.start as u64 * row_bytes..rows.end as u64 * row_bytes;
        let gathered = work.gathered.slice(0..rows.len() as u64 * row_bytes); // [rows, hidden]
        recording.copy(work.x.slice(range), gathered.clone());
        let (form, max_bindings) = (Form::Chunk { first_entry: 0 }, self.gpu.max_bindings());
        let mut pass = Pass { recording: &mut recording, work, rows: rows.len(), form, max_bindings };
        self.decoder.record_head(&mut pass, (&gathered, rows.len()))?;
        self.gpu.run("head", &recording)
    }

    pub(super) fn ready_work(&mut self) -> Result<()> {
        if self.work.is_none() {
            self.work = Some(Workspace::new(&self.gpu, self.config(), self.rows)?);
        }
        Ok(())
    }

    /// Where the next token is drawn: its logits `[vocab]`, and the step buffer that it is written to.
    ///
    /// # Errors
    /// [`Error::Internal`] before the first pass.
    pub fn logits_and_step(&self) -> Result<(Slice, Slice)> {
        let work = self.work.as_ref().ok_or_else(no_pass)?;
        let bytes = (self.config().vocab_size * size_of::<f32>()) as u64;
        Ok((work.logits.slice(0..bytes), work.step.all()))
    }

    /// States where the next step starts; its token may still be drawn before it.
    ///
    /// # Errors
    /// As [`Gpu::write`].
    pub fn start_steps(&mut self, state: &State, header: StepHeader) -> Result<()> {
        self.ready_work()?;
        let work = self.work.as_mut().ok_or_else(no_pass)?;
        // A draw comes first, and counts the entry up.
        if !(work.table.contains(&header.entry) && work.table.contains(&(header.entry + 1))) {
            work.table = header.entry..header.entry + TABLE_ROWS;
            let words = self.decoder.rope().step_words(header, &work.table, state.position_id(header.entry));
            return self.gpu.write(&work.step, 0, bytemuck::cast_slice(&words));
        }
        self.gpu.write(&work.step, 0, bytemuck::cast_slice(&header_words(header, &work.table)))
    }

    /// Readies the recording of the step at `entry`, which the state must have room for. It serves until its [`StepHeader`] names an
    /// entry beyond, as the caller counts them.
    ///
    /// # Errors
    /// As [`Gpu::prepare`] and [`Gpu::write`].
    pub fn ready_step(&mut self, state: &State, entry: usize) -> Result<&Prepared> {
        self.ready_table(state, entry, 1)?;
        self.ready(state, StepShape::at(entry, 1), |_, _| Ok(()))
    }

    /// Has the rope table hold the rows of these entries.
    pub(super) fn ready_table(&mut self, state: &State, entry: usize, rows: usize) -> Result<()> {
        let work = self.work.as_mut().ok_or_else(no_pass)?;
        if !work.table.contains(&entry) || work.table.end < entry + rows {
            work.table = entry..entry + TABLE_ROWS;
            // The rest of the header stays: the GPU may have counted it up since it was written.
            self.gpu.write(&work.step, step::TABLE_FIRST, bytemuck::cast_slice(&[entry as u32]))?;
            let words = self.decoder.rope().words(TABLE_ROWS, state.position_id(entry));
            self.gpu.write(&work.step, step::HEADER, bytemuck::cast_slice(&words))?;
        }
        Ok(())
    }

    /// The prepared recording of a step of this shape over `state`, and of what `then` adds to it.
    pub(super) fn ready(
        &mut self,
        state: &State,
        shape: StepShape,
        then: impl FnOnce(&Self, &mut Recording) -> Result<()>,
    ) -> Result<&Prepared> {
        let place = state.place();
        let is_of = |step: &Prepared| place.as_ref().is_none_or(|place| step.binds(place));
        self.steps.retain(|(made_for, step)| {
            step.is_current() && is_of(step) && (made_for.rows != shape.rows || *made_for == shape)
        });
        let found = self.steps.iter().position(|(made_for, _)| *made_for == shape);
        let index = match found {
            Some(index) => index,
            None => {
                let mut recording = self.record_step(state, shape, self.gpu.kernel_config())?;
                then(self, &mut recording)?;
                self.steps.push((shape, self.gpu.prepare("step", &recording)?));
                self.steps.len() - 1
            }
        };
        Ok(&self.steps[index].1)
    }

    /// Records a step up to its logits in `work.logits`: of the token in the step buffer, or of so many tokens in `work.sources`.
    pub(super) fn record_step(
        &self,
        state: &State,
        shape: StepShape,
        config: crate::gpu::KernelConfig,
    ) -> Result<Recording> {
        let work = self.work.as_ref().ok_or_else(no_pass)?;
        let mut recording = Recording::on(config);
        record_step(&self.decoder, work, state, (shape, self.gpu.max_bindings()), &mut recording)?;
        Ok(recording)
    }
}

pub(super) fn no_pass() -> Error {
    Error::Internal { detail: "logits before a forward pass".into() }
}
