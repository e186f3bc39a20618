//! A model's decoder on a device, and the buffers it works in.

use std::ops::Range;

use crate::config::{KvPrecision, TextConfig};
use crate::error::{Error, Result};
use crate::gpu::{Allocator, Buffer, Gpu, Prepared, Purpose, Readback, Recording, Slice};
use crate::kernels::cache::PAGES;
use crate::layers::step::{self, StepHeader, TABLE_ROWS};
use crate::layers::{Decoder, Form, Pass, TextRows, Workspace};
use crate::state::{Pool, Positions, State};

/// A decoder on a device.
#[derive(Debug)]
pub struct Model {
    pub(super) gpu: Gpu,
    pub(super) decoder: Decoder,
    pub(super) rows: TextRows,
    /// Entries of a conversation at most.
    pub(super) context: usize,
    /// Where the states of conversations are.
    pool: Pool,
    /// What the decoder works in; not there while a picture is encoded.
    pub(super) work: Option<Workspace>,
    /// Steps by their rows, form and the pictures in sight, one for each count of rows and state.
    pub(super) steps: Vec<((usize, Form, u64), Prepared)>,
    /// Whether the kernel that few answers need has been tested on this device.
    pub(super) filter_is_tested: bool,
    /// Passes over drafts that have been tested on this device, by their rows and form, and whether they are right.
    pub(super) drafts_tested: Vec<((usize, Form), bool)>,
    /// From the first step of several conversations on.
    pub(super) together: Option<Together>,
}

/// What steps of several conversations need besides.
#[derive(Debug)]
pub(super) struct Together {
    /// The words of all conversations, as they come back.
    pub(super) readback: Readback,
    /// Rows of the passes that have been tested on this device, and whether they are right.
    pub(super) tested: Vec<(usize, bool)>,
}

impl Model {
    /// A decoder that computes so many rows at a time, for conversations of at most `context` entries. There are pages for one of that
    /// length, which all conversations share.
    pub fn new(gpu: &Gpu, decoder: Decoder, rows: TextRows, (context, kv): (usize, KvPrecision)) -> Self {
        let pool = Pool::new(&decoder.config, kv, context).drafting(rows.step);
        let (gpu, work, steps, drafts_tested) = (gpu.clone(), None, Vec::new(), Vec::new());
        Self { gpu, decoder, rows, context, pool, work, steps, filter_is_tested: false, drafts_tested, together: None }
    }

    /// With room for so many rows of pictures that have keys and values of their own, of all conversations together.
    #[must_use]
    pub fn with_picture_rows(self, rows: usize) -> Self {
        Self { pool: self.pool.limited(rows), ..self }
    }

    /// Where the states of conversations are.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The decoder's shape.
    pub fn config(&self) -> &TextConfig {
        &self.decoder.config
    }

    /// Gives up work memory until the next pass.
    pub fn release(&mut self) {
        (self.work, self.steps) = (None, Vec::new());
    }

    /// A buffer for rows of features. Fails as [`Allocator::alloc`].
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

    /// Logits of `rows` rows of the last chunk into the buffer of logits.
    pub(super) async fn run_head(&self, rows: Range<usize>) -> Result<()> {
        let work = self.work()?;
        let row_bytes = (self.config().hidden_size * size_of::<f32>()) as u64;
        let mut recording = self.gpu.recording();
        // Bindings start at multiples of 256 bytes, rows may not: gather them at the start of a buffer first.
        let range = rows.start as u64 * row_bytes..rows.end as u64 * row_bytes;
        let gathered = work.gathered.slice(0..rows.len() as u64 * row_bytes); // [rows, hidden]
        recording.copy(work.x.slice(range), gathered.clone());
        let form = Form::Chunk { first_entry: 0 };
        let mut pass = Pass { recording: &mut recording, work, rows: rows.len(), form, features: None };
        self.decoder.record_head(&mut pass, (&gathered, rows.len()))?;
        self.gpu.run_in_pieces("head", recording, &mut || Ok(())).await
    }

    /// Where the next token is drawn: its logits `[vocab]`, and the step buffer that it is written to. [`Error::Internal`] before the
    /// first pass.
    pub fn logits_and_step(&self) -> Result<(Slice, Slice)> {
        let work = self.work()?;
        let bytes = (self.config().vocab_size * size_of::<f32>()) as u64;
        Ok((work.logits.slice(0..bytes), work.step.all()))
    }

    /// As [`Self::logits_and_step`], with the logits of all rows that there is room for. `// [rows, vocab]`
    pub(super) fn all_logits_and_step(&self) -> Result<(Slice, Slice)> {
        let work = self.work()?;
        Ok((work.logits.all(), work.step.all()))
    }

    /// States where the next step starts; its token may still be drawn before it. Fails as [`Gpu::write`].
    pub fn start_steps(&mut self, state: &State, header: StepHeader) -> Result<()> {
        // A draw comes first, and counts the entry up.
        self.write_step(state, header, 2)
    }

    /// Writes the header of the step buffer, and what [`Self::update_tables`] does of `rows` rows from the header's entry on.
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

    /// Has the step buffer hold the rotations of these entries, and the pages of `state`. What it holds is not written again.
    pub(super) fn update_tables(&mut self, state: &State, entry: usize, rows: usize) -> Result<()> {
        let work = self.work.as_mut().ok_or_else(no_pass)?;
        // The rest of the header stays: the GPU may have counted it up since it was written.
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

    /// Readies the recording of the step at `entry`, which the state must have room for. It serves until its [`StepHeader`] names an
    /// entry beyond, as the caller counts them. Fails as [`Gpu::prepare`] and [`Gpu::write`].
    pub fn prepared_step(&mut self, state: &State, entry: usize) -> Result<&Prepared> {
        self.update_tables(state, entry, 1)?;
        self.prepared(state, 1, Form::step(entry, 1))
    }

    /// Has recurrent layers find the state that the next pass begins with. Before every pass, and behind [`Self::ensure_workspace`].
    pub(super) fn catch_up(&self, state: &State) -> Result<()> {
        state.catch_up(&self.gpu, |recording, rows| {
            self.decoder.bring_forward(recording, rows, state, &self.work()?.attn.all())
        })
    }

    /// The prepared recording of a step of these rows and form over `state`.
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

    /// Records a step: of the token in the step buffer, or of so many tokens in `work.sources`, with the verdict about drafts.
    pub(super) fn record_step(&self, state: &State, rows: usize, form: Form) -> Result<Recording> {
        let mut recording = Recording::on(self.gpu.kernel_config());
        let mut pass = Pass { recording: &mut recording, work: self.work()?, rows, form, features: None };
        self.decoder.record_step(&mut pass, state)?;
        Ok(recording)
    }
}

/// Whether a rope table has the rows of `rows` entries of `state` from `entry` on.
fn covers((table, known): &(Range<usize>, Positions), state: &State, entry: usize, rows: usize) -> bool {
    table.start <= entry && entry + rows <= table.end && known == state.positions()
}

/// Positions of entries on three axes. `// [entries, 3]`
fn positions(state: &State, entries: Range<usize>) -> Vec<[usize; 3]> {
    entries.map(|entry| state.positions().of(entry)).collect()
}

pub(super) fn no_pass() -> Error {
    Error::Internal { detail: "logits before a forward pass".into() }
}
