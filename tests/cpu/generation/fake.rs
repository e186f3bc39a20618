//! A model on the CPU with the state of attention or of a recurrence, on a device that fails on request. Its logits are a hash of
//! everything that its state has seen: an extra row, a missing row or a wrong rewind changes the answer.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use ocelli::model::{BatchRow, Features, Input, LanguageModel, LogitsAt, MaskFn, Verdict};
use ocelli::reference::sample::choose;
use ocelli::reference::sample_scan::{Logits, SEEN};
use ocelli::sampling::{Past, SamplingOptions};
use ocelli::state::{ConversationState, Outline, Pages, Part};

pub(crate) use super::fake_state::Kind;
use super::fake_state::{FakeState, Seen};
use ocelli::{Error, Result};

/// Faults to inject, by the number of the operation.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) operations: usize,
    pub(crate) lose_at: Vec<usize>,
    pub(crate) full_at: Vec<usize>,
    /// Passes over one or a few tokens so far.
    pub(crate) passes: usize,
    /// Rows of prompts and batch steps computed so far.
    pub(crate) rows: usize,
    pub(crate) together: usize,
    /// True for a model without batches.
    pub(crate) is_one_by_one: bool,
    /// Devices opened so far.
    pub(crate) devices: usize,
}

#[derive(Debug)]
pub(crate) struct FakeModel {
    pub(crate) kind: Kind,
    pub(crate) vocab: usize,
    pub(crate) context: usize,
    pub(crate) chunk: usize,
    pub(crate) pages: Rc<RefCell<Pages>>,
    pub(crate) device: usize,
    pub(crate) lost: bool,
    pub(crate) faults: Rc<RefCell<Faults>>,
    /// Hashes after every row of the last chunk or step.
    pub(crate) rows: Vec<Seen>,
}

#[derive(Debug)]
pub(crate) struct FakeDraw {
    options: SamplingOptions,
    seen: Vec<u32>,
    drawn: Vec<u32>,
    /// Drawn tokens that have not been read.
    waiting: Vec<u32>,
    /// Input token of the next step.
    next: u32,
    /// Bits of the allowed tokens; empty if all are allowed.
    mask: Vec<u32>,
}

impl FakeModel {
    pub(crate) fn operate(&mut self) -> Result<()> {
        let faults = &mut *self.faults.borrow_mut();
        faults.operations += 1;
        self.lost |= faults.lose_at.contains(&faults.operations);
        if self.lost { Err(Error::DeviceLost { reason: "on order".into() }) } else { Ok(()) }
    }

    fn own<'a>(&self, state: &'a mut FakeState) -> &'a mut FakeState {
        assert_eq!(state.device, self.device, "a state of a device that is gone");
        state
    }

    fn draw(&self, draw: &mut FakeDraw) {
        let logits = self.rows.last().copied().unwrap_or_default().logits(self.vocab);
        let mut adjust = vec![[0.0; 2]; self.vocab]; // [vocab, 2]
        draw.options.logit_bias.iter().for_each(|(&token, &bias)| adjust[token as usize][0] = bias);
        draw.drawn.iter().for_each(|&token| adjust[token as usize][1] += 1.0);
        draw.seen.iter().for_each(|&token| adjust[token as usize][1] = adjust[token as usize][1].floor() + SEEN);
        let logits = Logits { raw: &logits, adjust: &adjust, mask: &draw.mask };
        let token = choose(&draw.options, draw.drawn.len() as u32, logits);
        (draw.next, draw.drawn) = (token, [&draw.drawn[..], &[token]].concat());
        draw.waiting.push(token);
    }
}

impl LanguageModel for FakeModel {
    type State = FakeState;
    type Draw = FakeDraw;

    fn vocab_size(&self) -> usize {
        self.vocab
    }

    fn chunk_rows(&self) -> usize {
        self.chunk
    }

    fn new_state(&self) -> Result<FakeState> {
        Ok(FakeState::new(self.kind, self.device, &self.pages))
    }

    async fn reserve(&mut self, state: &mut FakeState, rows: usize) -> Result<()> {
        let (needed, context) = (self.own(state).len() + rows, self.context);
        if needed > context {
            return Err(Error::ContextOverflow { tokens: needed, context });
        }
        self.operate()?;
        let number = self.faults.borrow().operations;
        if self.faults.borrow().full_at.contains(&number) {
            let (what, purpose, detail) = ("state".into(), "kv_cache".into(), "on order".into());
            return Err(Error::OutOfMemory { what, purpose, bytes: 1, in_use: 0, detail });
        }
        let mut pages = self.pages.borrow_mut();
        pages.evict(state.list, rows);
        if pages.free() < pages.missing(state.list, rows) {
            let (what, purpose, detail) = ("state".into(), "kv_cache".into(), "all pages are in use".into());
            return Err(Error::OutOfMemory { what, purpose, bytes: 1, in_use: 0, detail });
        }
        pages.take(state.list, rows);
        Ok(())
    }

    async fn forward(&mut self, state: &mut FakeState, inputs: &[Input], _: Option<&Features>) -> Result<()> {
        assert!(!inputs.is_empty() && inputs.len() <= self.chunk, "{} inputs", inputs.len());
        self.reserve(state, inputs.len()).await?;
        self.rows.clear();
        for input in inputs {
            let Input::Token(token) = *input else { return Err(Error::Internal { detail: "no pictures here".into() }) };
            // A device that is lost in mid-pass has computed some rows.
            self.operate()?;
            self.rows.push(state.push(token));
            self.faults.borrow_mut().rows += 1;
        }
        Ok(())
    }

    async fn logits(&mut self, _: &FakeState, rows: Range<usize>) -> Result<Vec<f32>> {
        self.operate()?;
        Ok(self.rows[rows].iter().flat_map(|seen| seen.logits(self.vocab)).collect())
    }

    async fn hidden(&mut self, _: &FakeState, row: usize) -> Result<Vec<f32>> {
        self.operate()?;
        Ok(self.rows[row].hidden(self.vocab))
    }

    async fn drawn_logits(&mut self, _: usize) -> Result<Vec<f32>> {
        self.operate()?;
        Ok(self.rows.last().copied().unwrap_or_default().logits(self.vocab))
    }

    async fn wait_idle(&mut self) -> Result<()> {
        self.operate()
    }

    async fn begin(
        &mut self,
        state: &FakeState,
        options: &SamplingOptions,
        past: Past<'_>,
        at: LogitsAt,
        mask: Option<MaskFn<'_>>,
    ) -> Result<FakeDraw> {
        self.operate()?;
        assert_eq!(state.device, self.device);
        let (LogitsAt::Chunk(row) | LogitsAt::Step(row)) = at;
        self.rows.truncate(row + 1);
        assert_eq!(self.rows.last(), state.seen.last(), "the logits are those of the last entry");
        let options = options.clone();
        let mut draw = FakeDraw {
            options,
            seen: past.seen.to_vec(),
            drawn: past.drawn.to_vec(),
            waiting: Vec::new(),
            next: 0,
            mask: Vec::new(),
        };
        if let Some(mask) = mask {
            draw.mask = vec![0; self.vocab.div_ceil(32)];
            mask(&mut draw.mask)?;
        }
        self.draw(&mut draw);
        Ok(draw)
    }

    fn draw_among(
        &mut self,
        state: &FakeState,
        draw: &mut FakeDraw,
        drawn: usize,
        row: usize,
        mask: MaskFn<'_>,
    ) -> Result<()> {
        self.operate()?;
        self.rows.truncate(row + 1);
        assert_eq!(self.rows.last(), state.seen.last(), "the logits are those of the last entry");
        mask(&mut draw.mask)?;
        // Forced tokens count as drawn.
        draw.drawn.resize(drawn, 0);
        self.draw(draw);
        Ok(())
    }

    fn forward_known(&mut self, state: &mut FakeState, inputs: &[u32]) -> Result<()> {
        self.operate()?;
        self.faults.borrow_mut().passes += 1;
        self.rows = self.own(state).push_drafts(inputs);
        Ok(())
    }

    fn step(&mut self, state: &mut FakeState, draw: &mut FakeDraw) -> Result<()> {
        self.operate()?;
        self.rows = vec![self.own(state).push(draw.next)];
        self.draw(draw);
        Ok(())
    }

    async fn read_token(&mut self, draw: &mut FakeDraw) -> Result<u32> {
        self.operate()?;
        Ok(draw.waiting.remove(0))
    }

    fn replay(&mut self, state: &mut FakeState, token: u32) -> Result<()> {
        self.operate()?;
        self.faults.borrow_mut().passes += 1;
        self.rows = vec![self.own(state).push(token)];
        Ok(())
    }

    fn resume(&mut self, _: &mut FakeState, draw: &mut FakeDraw, token: u32, drawn: usize) -> Result<()> {
        assert!(draw.drawn.len() <= drawn + 1, "{} of {drawn}", draw.drawn.len());
        draw.next = token;
        Ok(())
    }

    fn draft_rows(&self, state: &FakeState, most: usize) -> Option<usize> {
        let most = most.min(self.context - state.len());
        [4, 8].into_iter().rev().find(|&rows| rows <= most)
    }

    async fn drafts_match_steps(&mut self, state: &mut FakeState, inputs: &[u32], _: usize) -> Result<bool> {
        // Computes the rows, like a device.
        self.reserve(state, inputs.len()).await?;
        let first = state.len();
        let rows = state.push_drafts(inputs);
        let outcome = rows.iter().try_for_each(|_| self.operate());
        state.rewind(first);
        outcome.map(|()| true)
    }

    async fn verify(
        &mut self,
        state: &mut FakeState,
        draw: &mut FakeDraw,
        inputs: &[u32],
        _: usize,
    ) -> Result<Option<Verdict>> {
        self.reserve(state, inputs.len()).await?;
        assert_eq!(inputs[0], draw.next, "the token that is known");
        let (mut kept, mut verdict) = (0, None);
        self.rows.clear();
        for (row, seen) in state.push_drafts(inputs).into_iter().enumerate() {
            self.operate()?;
            self.rows.push(seen);
            if verdict.is_none() {
                kept = row + 1;
                self.draw(draw);
                let token = draw.waiting.remove(0);
                verdict = (inputs.get(row + 1) != Some(&token)).then_some(Verdict { kept, token });
            }
        }
        self.rows.truncate(kept);
        Ok(verdict)
    }

    fn max_batch(&self) -> usize {
        if self.faults.borrow().is_one_by_one { 1 } else { 5 }
    }

    async fn batch_matches_single(&mut self, _: &mut [BatchRow<'_, FakeState, FakeDraw>]) -> Result<bool> {
        Ok(true)
    }

    async fn batch_step(&mut self, rows: &mut [BatchRow<'_, FakeState, FakeDraw>]) -> Result<Vec<Result<u32>>> {
        assert!((2..=self.max_batch()).contains(&rows.len()), "{} together", rows.len());
        let mut tokens = Vec::new();
        for BatchRow { state, draw, token, drawn } in rows {
            self.operate()?;
            assert_eq!((draw.next, draw.drawn.len(), draw.waiting.len()), (*token, *drawn, 0));
            self.rows = vec![self.own(state).push(*token)];
            self.draw(draw);
            tokens.push(Ok(draw.waiting.remove(0)));
        }
        self.faults.borrow_mut().together += 1;
        Ok(tokens)
    }

    fn outline(&self, state: &FakeState) -> Outline {
        state.outline()
    }

    fn parts(&self, outline: &Outline, most: u64) -> Result<Vec<Part>> {
        FakeState::parts(self.kind, outline, most)
    }

    async fn read_part(&mut self, state: &FakeState, part: &Part) -> Result<Vec<u8>> {
        self.operate()?;
        Ok(state.read_part(part))
    }

    async fn restore(&mut self, outline: &Outline) -> Result<FakeState> {
        let mut state = self.new_state()?;
        self.reserve(&mut state, outline.entries).await?;
        state.restore(outline);
        Ok(state)
    }

    async fn write_part(&mut self, state: &mut FakeState, part: &Part, bytes: &[u8]) -> Result<()> {
        self.operate()?;
        self.own(state).write_part(part, bytes);
        Ok(())
    }
}
