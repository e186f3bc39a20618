//! A decoder on a device, and its buffers.

use std::ops::Range;
use std::rc::Rc;

use crate::config::{KvPrecision, TextConfig};
use crate::error::{Error, Result};
use crate::gpu::{Allocator, Buffer, Gpu, Prepared, Purpose, Readback, Recording, Slice};
use crate::kernels::cache::PAGES;
use crate::layers::step::{self, StepHeader, TABLE_ROWS};
use crate::layers::{Decoder, Form, Pass, TextRows, Workspace};
use crate::state::{Pool, Positions, State};
use crate::weights::RowSource;

/// A decoder on a device.
#[derive(Debug)]
pub struct Model {
    pub(super) gpu: Gpu,
    pub(super) decoder: Decoder,
    pub(super) rows: TextRows,
    /// Context length in entries.
    pub(super) context: usize,
    /// Memory of the states of conversations.
    pool: Pool,
    /// Work memory; absent while a picture is encoded.
    pub(super) work: Option<Workspace>,
    /// Prepared steps by number of rows, pass kind and visible pictures; one for each number of rows and state.
    pub(super) steps: Vec<((usize, Form, u64), Prepared)>,
    /// True if the kernel for sampling filters, which few answers need, has been tested on this device.
    pub(super) filter_is_tested: bool,
    /// Passes over drafts that have been tested on this device, by number of rows and pass kind, with the results.
    pub(super) drafts_tested: Vec<((usize, Form), bool)>,
    /// Buffers for batches, from the first one on.
    pub(super) together: Option<Together>,
    /// The table of per-layer embeddings, in models that have it.
    pub(super) rows_source: Option<Rc<dyn RowSource>>,
    /// Cache entry of the first row of the last chunk.
    pub(super) first_entry: usize,
}

/// Additional buffers of batches.
#[derive(Debug)]
pub(super) struct Together {
    /// Readback of the words of all conversations.
    pub(super) readback: Readback,
    /// Numbers of rows that have been tested on this device, with the results.
    pub(super) tested: Vec<(usize, bool)>,
}

impl Model {
    /// A decoder that computes `rows` at a time, for conversations of at most `context` entries. All conversations share the pages of one that
    /// is this long.
    pub fn new(gpu: &Gpu, decoder: Decoder, rows: TextRows, (context, kv): (usize, KvPrecision)) -> Self {
        let pool = Pool::new(&decoder.config, kv, context).drafting(rows.step);
        let (gpu, work, steps, drafts_tested) = (gpu.clone(), None, Vec::new(), Vec::new());
        let (filter_is_tested, together, rows_source, first_entry) = (false, None, None, 0);
        Self {
            gpu,
            decoder,
            rows,
            context,
            pool,
            work,
            steps,
            filter_is_tested,
            drafts_tested,
            together,
            rows_source,
            first_entry,
        }
    }

    /// Sets the table of per-layer embeddings.
    #[must_use]
    pub fn with_rows(self, rows_source: Option<Rc<dyn RowSource>>) -> Self {
        Self { rows_source, ..self }
    }

    /// Sets the number of picture rows with keys and values of their own, of all conversations together.
    #[must_use]
    pub fn with_picture_rows(self, rows: usize) -> Self {
        Self { pool: self.pool.limited(rows), ..self }
    }

    /// Memory of the states of conversations.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The decoder's shape.
    pub fn config(&self) -> &TextConfig {
        &self.decoder.config
    }

    /// Frees the work memory until the next pass.
    pub fn release(&mut self) {
        (self.work, self.steps) = (None, Vec::new());
    }

    /// A buffer for feature rows. Fails like [`Allocator::alloc`].
    pub fn features(&self, rows: usize) -> Result<Buffer> {
        let bytes = (rows * self.config().hidden_size * size_of::<f32>()) as u64;
        self.gpu.alloc("features", Purpose::Features, bytes)
    }

    /// The work memory; [`Error::Internal`] before the first pass.
    pub(super) fn work(&self) -> Result<&Workspace> {
        self.work.as_ref().ok_or_else(no_pass)
    }

    pub(super) fn ensure_workspace(&mut self) -> Result<()> {
        if self.work.is_none() {
            self.work = Some(Workspace::new(&self.gpu, self.config(), self.rows, self.context)?);
        }
        Ok(())
    }

    /// Computes the logits of rows of the last chunk, which are the last of `state`, into the logits buffer.
    pub(super) async fn run_head(&mut self, state: &State, rows: Range<usize>) -> Result<()> {
        self.write_last_step(state, &rows)?;
        let (work, mut recording) = (self.work()?, self.gpu.recording());
        let (mut pass, gathered) = self.last_pass(work, &mut recording, state, &rows)?; // [rows, hidden]
        self.decoder.record_head(&mut pass, (&gathered, rows.len()))?;
        self.gpu.run_in_pieces("head", recording, &mut || Ok(())).await
    }

    /// Computes the final norm of a row of the last chunk. Returns its place. `// [1, hidden]`
    pub(super) async fn run_norm(&mut self, state: &State, row: usize) -> Result<Slice> {
        self.write_last_step(state, &(row..row + 1))?;
        let (work, mut recording) = (self.work()?, self.gpu.recording());
        let (_, gathered) = self.last_pass(work, &mut recording, state, &(row..row + 1))?; // [1, hidden]
        let normed = work.h.slice(0..gathered.bytes); // [1, hidden]
        self.decoder.norm.record(&mut recording, 1, &gathered, &normed)?;
        self.gpu.run_in_pieces("final norm", recording, &mut || Ok(())).await?;
        Ok(normed)
    }

    /// Writes the step buffer for the layers that [`Self::last_pass`] records.
    fn write_last_step(&mut self, state: &State, rows: &Range<usize>) -> Result<()> {
        if self.config().own_layers() == self.config().layers.len() {
            return Ok(());
        }
        let entry = self.first_entry + rows.start;
        self.write_step(state, StepHeader { token: 0, entry, drawn: 0 }, rows.len())
    }

    /// Records the layers without keys and values of their own over rows of the last chunk: other rows do not need them. Returns the pass and
    /// the rows. `// [rows, hidden]`
    fn last_pass<'a>(
        &self,
        work: &'a Workspace,
        recording: &'a mut Recording,
        state: &State,
        rows: &Range<usize>,
    ) -> Result<(Pass<'a>, Slice)> {
        let gathered = self.gather(work, recording, rows); // [rows, hidden]
        let form = Form::Chunk { first_entry: self.first_entry + rows.start };
        let pass = Pass::new(recording, work, rows.len(), form);
        let mut pass = Pass { x: gathered.clone(), first_input: rows.start, ..pass };
        self.decoder.record_layers(&mut pass, state, self.config().own_layers()..self.config().layers.len())?;
        Ok((pass, gathered))
    }

    /// Records a copy of rows of the last chunk to the beginning of a buffer: bindings begin at multiples of 256 bytes, and rows need not.
    fn gather(&self, work: &Workspace, recording: &mut Recording, rows: &Range<usize>) -> Slice {
        let row_bytes = (self.config().hidden_size * size_of::<f32>()) as u64;
        let gathered = work.gathered.slice(0..rows.len() as u64 * row_bytes); // [rows, hidden]
        recording.copy(work.x.slice(rows.start as u64 * row_bytes..rows.end as u64 * row_bytes), gathered.clone());
        gathered
    }

    /// Logits of the next token, `[vocab]`, and the step buffer that the draw writes. [`Error::Internal`] before the first pass.
    pub fn logits_and_step(&self) -> Result<(Slice, Slice)> {
        let work = self.work()?;
        let bytes = (self.config().vocab_size * size_of::<f32>()) as u64;
        Ok((work.logits.slice(0..bytes), work.step.all()))
    }

    /// Like [`Self::logits_and_step`], with the logits of all rows. `// [rows, vocab]`
    pub(super) fn all_logits_and_step(&self) -> Result<(Slice, Slice)> {
        let work = self.work()?;
        Ok((work.logits.all(), work.step.all()))
    }

    /// Sets the header of the next step, whose token may still be drawn before it. Fails like [`Gpu::write`].
    pub fn start_steps(&mut self, state: &State, header: StepHeader) -> Result<()> {
        // The draw runs first and increments the entry.
        self.write_step(state, header, 2)
    }

    /// Writes the header of the step buffer, and its tables for `rows` rows from the header's entry.
    pub(super) fn write_step(&mut self, state: &State, header: StepHeader, rows: usize) -> Result<()> {
        self.ensure_workspace()?;
        let work = self.work.as_mut().ok_or_else(no_pass)?;
        if covers(&work.table, state, header.entry, rows) {
            self.gpu.write(&work.step, 0, bytemuck::cast_slice(&header.words(&work.table.0, work.table_at)))?;
            return self.update_tables(state, header.entry, rows);
        }
        let entries = header.entry..header.entry + rows.max(TABLE_ROWS);
        work.pages = state.pages();
        let mut words = header.words(&entries, work.table_at).to_vec();
        words.resize(PAGES, 0);
        words.extend(&work.pages);
        words.resize(work.table_at, 0);
        words.extend(self.decoder.rope_table(&positions(state, entries.clone())));
        work.table = (entries, state.positions().clone());
        self.gpu.write(&work.step, 0, bytemuck::cast_slice(&words))
    }

    /// Updates the rope table and the page table of the step buffer, and writes only what changed.
    pub(super) fn update_tables(&mut self, state: &State, entry: usize, rows: usize) -> Result<()> {
        let work = self.work.as_mut().ok_or_else(no_pass)?;
        // The rest of the header is kept: the GPU may have incremented it.
        let write = |word: usize, words: &[u32]| {
            let first = (word * size_of::<u32>()) as u64;
            if words.is_empty() { Ok(()) } else { self.gpu.write(&work.step, first, bytemuck::cast_slice(words)) }
        };
        if !covers(&work.table, state, entry, rows) {
            let entries = entry..entry + TABLE_ROWS;
            write(step::TABLE_FIRST, &[entry as u32])?;
            write(work.table_at, &self.decoder.rope_table(&positions(state, entries.clone())))?;
            work.table = (entries, state.positions().clone());
        }
        let pages = state.pages();
        let same = pages.iter().zip(&work.pages).take_while(|(page, held)| page == held).count();
        if same < pages.len() {
            write(PAGES + same, &pages[same..])?;
            work.pages = pages;
        }
        Ok(())
    }

    /// Prepares the step at `entry`, for which the state must have room. The recording can be repeated until the entry of its [`StepHeader`],
    /// counted by the caller, is beyond that room. Fails like [`Gpu::prepare`] and [`Gpu::write`].
    pub fn prepared_step(&mut self, state: &State, entry: usize) -> Result<&Prepared> {
        self.update_tables(state, entry, 1)?;
        self.prepared(state, 1, Form::step(entry, 1))
    }

    /// Brings recurrent states up to date. Needed before every pass, after [`Self::ensure_workspace`].
    pub(super) fn catch_up(&self, state: &State) -> Result<()> {
        state.catch_up(&self.gpu, |recording, rows| {
            self.decoder.replay_drafts(recording, rows, state, &self.work()?.attn.all())
        })
    }

    /// The prepared recording of a step of `rows` rows over `state`.
    pub(super) fn prepared(&mut self, state: &State, rows: usize, form: Form) -> Result<&Prepared> {
        self.catch_up(state)?;
        let (place, key) = (state.identity_buffer(), (rows, form, state.pictures_key()));
        let is_of = |step: &Prepared| place.as_ref().is_none_or(|place| step.binds(place));
        self.steps
            .retain(|(made_for, step)| step.is_current() && is_of(step) && (made_for.0 != rows || *made_for == key));
        let found = self.steps.iter().position(|(made_for, _)| *made_for == key);
        let index = match found {
            Some(index) => index,
            None => {
                let recording = self.record_step(state, rows, form)?;
                self.steps.push((key, self.gpu.prepare("step", &recording)?));
                self.steps.len() - 1
            }
        };
        Ok(&self.steps[index].1)
    }

    /// Records a step of the token in the step buffer, or of several tokens in `work.sources` with the verification of drafts.
    pub(super) fn record_step(&self, state: &State, rows: usize, form: Form) -> Result<Recording> {
        let mut recording = Recording::on(self.gpu.kernel_config());
        let mut pass = Pass::new(&mut recording, self.work()?, rows, form);
        self.decoder.record_step(&mut pass, state)?;
        Ok(recording)
    }
}

/// Returns true if a rope table covers `rows` entries of `state` from `entry`.
fn covers((table, known): &(Range<usize>, Positions), state: &State, entry: usize, rows: usize) -> bool {
    table.start <= entry && entry + rows <= table.end && known == state.positions()
}

/// Positions of entries on the three axes. `// [entries, 3]`
fn positions(state: &State, entries: Range<usize>) -> Vec<[usize; 3]> {
    entries.map(|entry| state.positions().of(entry)).collect()
}

pub(super) fn no_pass() -> Error {
    Error::Internal { detail: "logits before a forward pass".into() }
}
