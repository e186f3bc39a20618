//! A model on the CPU, with the state of a model of attention or of a recurrence, on a device that fails on order. Its logits are a hash
//! of everything that its state has seen: whatever computes a row too many, leaves one out or goes back too far says something else.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use ocelli::model::{Features, Input, LanguageModel, LogitsAt, MaskFn, Verdict};
use ocelli::reference::sample::choose;
use ocelli::reference::sample_scan::Logits;
use ocelli::sampling::SamplingOptions;
use ocelli::state::{Pages, States};
use ocelli::{Error, Result};

/// What a state can go back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any entry: keys and values.
    Attention,
    /// The last few checkpoints only: a recurrence.
    Recurrence,
}

/// Places that a recurrence remembers.
const SNAPSHOTS: usize = 3;
/// Tokens that the model says: few, so that what it says repeats itself.
const WORDS: Range<u32> = 100..112;

/// The sum of everything seen, and the last two tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    hash: u64,
    last: [u32; 2],
}

impl Seen {
    fn and(self, token: u32) -> Self {
        let mixed =
            (self.hash ^ u64::from(token)).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self { hash: mixed ^ (mixed >> 29), last: [self.last[1], token] }
    }

    /// Mostly what the last two tokens lead to, sometimes what all of them do.
    fn likeliest(self) -> u32 {
        let [a, b] = self.last;
        let of_all = self.hash.is_multiple_of(5);
        WORDS.start + (if of_all { self.hash >> 7 } else { u64::from(a * 3 + b * 5) }) as u32 % WORDS.len() as u32
    }

    fn logits(self, vocab: usize) -> Vec<f32> {
        let likeliest = self.likeliest();
        let other = |id: u32| ((self.hash >> (id % 48)) & 0xff) as f32 / 256.0;
        (0..vocab as u32)
            .map(|id| {
                if id == likeliest {
                    4.0
                } else if WORDS.contains(&id) {
                    other(id)
                } else {
                    -9.0
                }
            })
            .collect()
    }
}

#[derive(Debug)]
pub(crate) struct FakeState {
    kind: Kind,
    device: usize,
    pages: Rc<RefCell<Pages>>,
    /// Its pages.
    list: u64,
    /// After every entry: all of them, or of a recurrence the last one alone, and how many there were.
    seen: Vec<Seen>,
    at: usize,
    snapshots: Vec<(usize, Seen)>,
}

impl Drop for FakeState {
    fn drop(&mut self) {
        self.pages.borrow_mut().close(self.list);
    }
}

impl FakeState {
    /// The state behind the entries, all of which the pages still hold.
    fn now(&self) -> Seen {
        assert_eq!(self.at, self.len(), "it goes on without pages that were taken from it");
        self.seen.last().copied().unwrap_or_default()
    }

    fn push(&mut self, token: u32) -> Seen {
        let next = self.now().and(token);
        if self.kind == Kind::Recurrence {
            self.seen.clear();
        }
        self.seen.push(next);
        self.at += 1;
        self.pages.borrow_mut().advance(self.list, 1);
        next
    }
}

impl States for FakeState {
    fn len(&self) -> usize {
        self.pages.borrow().len(self.list)
    }

    fn checkpoint(&mut self) {
        if self.kind == Kind::Recurrence && self.snapshots.last().is_none_or(|(at, _)| *at != self.at) {
            self.snapshots.push((self.at, self.now()));
            if self.snapshots.len() > SNAPSHOTS {
                self.snapshots.remove(0);
            }
        }
    }

    fn rewind(&mut self, to: usize) -> usize {
        let left = self.reach(to);
        self.pages.borrow_mut().rewind(self.list, left);
        if left < self.at {
            self.seen.truncate(left);
            if self.kind == Kind::Recurrence {
                self.snapshots.retain(|(at, _)| *at <= left);
                self.seen = self.snapshots.last().map(|(_, seen)| *seen).into_iter().collect();
            }
            self.at = left;
        }
        left
    }

    fn reach(&self, to: usize) -> usize {
        let left = self.len().min(to);
        let place = || self.snapshots.iter().rev().map(|(at, _)| *at).find(|at| *at <= left);
        if self.kind == Kind::Attention || left >= self.at { left } else { place().unwrap_or(0) }
    }

    fn lasting(&self) -> usize {
        let last = || self.reach(self.snapshots.last().map_or(0, |(at, _)| *at));
        if self.kind == Kind::Attention { self.len() } else { last() }
    }

    fn fork(&self) -> Self {
        let (pages, list) = (self.pages.clone(), self.pages.borrow_mut().fork(self.list));
        let (seen, snapshots) = (self.seen.clone(), self.snapshots.clone());
        let mut fork = Self { kind: self.kind, device: self.device, pages, list, seen, at: self.at, snapshots };
        fork.rest();
        fork
    }

    fn rest(&mut self) -> usize {
        self.rewind(self.lasting())
    }
}

/// What is to go wrong, by the number of the operation.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) operations: usize,
    pub(crate) lose_at: Vec<usize>,
    pub(crate) full_at: Vec<usize>,
    /// Passes over one token or a few so far.
    pub(crate) passes: usize,
    /// Rows of prompts computed so far.
    pub(crate) rows: usize,
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
    /// After every row of the last chunk or step.
    pub(crate) rows: Vec<Seen>,
}

#[derive(Debug)]
pub(crate) struct FakeDraw {
    options: SamplingOptions,
    drawn: Vec<u32>,
    /// Draws that nobody has waited for.
    waiting: Vec<u32>,
    /// What the next step starts from.
    next: u32,
    /// Tokens that may come; all of them if it is empty.
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
        let (pages, list) = (self.pages.clone(), self.pages.borrow_mut().open());
        let (seen, snapshots) = (Vec::new(), Vec::new());
        Ok(FakeState { kind: self.kind, device: self.device, pages, list, seen, at: 0, snapshots })
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
        assert!(pages.free() >= pages.missing(state.list, rows), "the pages of one conversation are there");
        pages.take(state.list, rows);
        Ok(())
    }

    async fn forward(&mut self, state: &mut FakeState, inputs: &[Input], _: Option<&Features>) -> Result<()> {
        assert!(!inputs.is_empty() && inputs.len() <= self.chunk, "{} inputs", inputs.len());
        self.reserve(state, inputs.len()).await?;
        self.rows.clear();
        for input in inputs {
            let Input::Token(token) = *input else { return Err(Error::Internal { detail: "no pictures here".into() }) };
            // A device that is lost in the middle has computed some rows.
            self.operate()?;
            self.rows.push(state.push(token));
            self.faults.borrow_mut().rows += 1;
        }
        Ok(())
    }

    async fn logits(&mut self, rows: Range<usize>) -> Result<Vec<f32>> {
        self.operate()?;
        Ok(self.rows[rows].iter().flat_map(|seen| seen.logits(self.vocab)).collect())
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
        drawn: &[u32],
        at: LogitsAt,
        mask: Option<MaskFn<'_>>,
    ) -> Result<FakeDraw> {
        self.operate()?;
        assert_eq!(state.device, self.device);
        let (LogitsAt::Chunk(row) | LogitsAt::Step(row)) = at;
        self.rows.truncate(row + 1);
        assert_eq!(self.rows.last(), state.seen.last(), "the logits are those of the last entry");
        let options = options.clone();
        let mut draw = FakeDraw { options, drawn: drawn.to_vec(), waiting: Vec::new(), next: 0, mask: Vec::new() };
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
        // Tokens that were not drawn count too.
        draw.drawn.resize(drawn, 0);
        self.draw(draw);
        Ok(())
    }

    fn pass_over(&mut self, state: &mut FakeState, inputs: &[u32]) -> Result<()> {
        self.operate()?;
        self.faults.borrow_mut().passes += 1;
        self.rows = inputs.iter().map(|&input| self.own(state).push(input)).collect();
        Ok(())
    }

    fn step(&mut self, state: &mut FakeState, draw: &mut FakeDraw) -> Result<()> {
        self.operate()?;
        self.rows = vec![self.own(state).push(draw.next)];
        self.draw(draw);
        Ok(())
    }

    async fn drawn(&mut self, draw: &mut FakeDraw) -> Result<u32> {
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

    async fn drafts_are_right(&mut self, state: &mut FakeState, inputs: &[u32], _: usize) -> Result<bool> {
        // As a device finds it out: by computing them.
        self.reserve(state, inputs.len()).await?;
        for &input in inputs {
            self.operate()?;
            state.push(input);
        }
        Ok(true)
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
        for (row, &input) in inputs.iter().enumerate() {
            self.operate()?;
            self.rows.push(state.push(input));
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
}
