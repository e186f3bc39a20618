//! The interface between conversations and a model.

use std::ops::Range;

use crate::config::ImageGrid;
use crate::error::Result;
use crate::gpu::Buffer;
use crate::kernels::accept;
use crate::sampling::{Past, SamplingOptions};
use crate::state::ConversationState;
use crate::state::{Outline, Part};

/// Input of one row of the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The embedding of a token.
    Token(u32),
    /// A row of the features passed with the inputs.
    Feature(u32),
}

/// Pictures as inputs of the decoder. `// [rows, hidden]`
#[derive(Debug, Clone)]
pub struct Features {
    /// Rows, one for each picture token.
    pub buffer: Buffer,
    /// Number of rows.
    pub rows: usize,
    /// Rows for each token: [`crate::families::Pictures::rows_of_token`].
    pub of_token: usize,
    /// First row and grid of each picture, in order.
    pub pictures: Vec<(u32, ImageGrid)>,
}

impl Features {
    /// The picture token whose first row this is: the number of the picture's tokens before it, and the picture's grid.
    pub(super) fn picture(&self, row: u32) -> Option<(usize, ImageGrid)> {
        let (first, grid) = self.pictures.iter().rev().find(|(first, _)| *first <= row)?;
        Some(((row - first) as usize / self.of_token.max(1), *grid))
    }
}

/// Numbers of rows in passes over drafts; each has its own kernels.
pub const DRAFT_ROWS: [usize; 2] = [4, accept::MAX_ROWS];

/// Location of the logits of the next token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogitsAt {
    /// A row of the last chunk, whose logits are not computed yet.
    Chunk(usize),
    /// A row of the last step or pass over drafts.
    Step(usize),
}

/// Fills in the mask of allowed tokens, one bit for each. Called while the device computes their logits.
pub type MaskFn<'a> = &'a mut dyn FnMut(&mut [u32]) -> Result<()>;

/// Result of a pass over drafts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Accepted rows of the pass: the first, and one for each accepted draft.
    pub kept: usize,
    /// The token after them.
    pub token: u32,
}

/// A row of a batch: one conversation.
#[derive(Debug)]
pub struct BatchRow<'a, S, D> {
    /// State with the entries before `token`, and room for one more.
    pub state: &'a mut S,
    /// Sampling of its tokens.
    pub draw: &'a mut D,
    /// The known last token.
    pub token: u32,
    /// Tokens drawn so far.
    pub drawn: usize,
}

/// A model that continues conversations. Work is submitted in order. A method that waits says so; other submitted work may still be running
/// when it returns. All methods fail with the errors of the device.
#[allow(async_fn_in_trait, reason = "everything here runs on one thread")]
pub trait LanguageModel {
    /// State of a conversation.
    type State: ConversationState + std::fmt::Debug;
    /// The sampling of one answer.
    type Draw;

    /// Vocabulary size.
    fn vocab_size(&self) -> usize;

    /// Largest number of rows in a chunk.
    fn chunk_rows(&self) -> usize;

    /// The state of an empty conversation.
    fn new_state(&self) -> Result<Self::State>;

    /// Reserves memory for `rows` more entries. On failure the state is unchanged: [`crate::Error::ContextOverflow`] or
    /// [`crate::Error::OutOfMemory`].
    async fn reserve(&mut self, state: &mut Self::State, rows: usize) -> Result<()>;

    /// Computes a chunk of at most [`Self::chunk_rows`] rows after the entries of `state`. [`Input::Feature`] refers to rows of `features`.
    /// [`crate::Error::InvalidRequest`] for a token outside the vocabulary.
    async fn forward(&mut self, state: &mut Self::State, inputs: &[Input], features: Option<&Features>) -> Result<()>;

    /// Logits of rows of the last chunk, which are the last entries of `state`. `// [rows, vocab]`
    async fn logits(&mut self, state: &Self::State, rows: Range<usize>) -> Result<Vec<f32>>;

    /// Last hidden state of a row of the last chunk, whose rows are the last entries of `state`, after the final norm. `// [hidden]`
    async fn hidden(&mut self, state: &Self::State, row: usize) -> Result<Vec<f32>>;

    /// Logits of the last draw, a row of the last step or pass over drafts, without bias and penalties. Valid until more work is submitted. `//
    /// [vocab]`
    async fn drawn_logits(&mut self, row: usize) -> Result<Vec<f32>>;

    /// Waits until all submitted work has run.
    async fn wait_idle(&mut self) -> Result<()>;

    /// Begins an answer after the tokens of `past`: submits the draw of the token after the entries of `state`, from `mask` if there is one.
    /// [`crate::Error::InvalidRequest`] for options out of range.
    async fn begin(
        &mut self,
        state: &Self::State,
        options: &SamplingOptions,
        past: Past<'_>,
        at: LogitsAt,
        mask: Option<MaskFn<'_>>,
    ) -> Result<Self::Draw>;

    /// Submits the draw of the next token from `mask`, after `drawn` tokens, for a draw that began with a mask.
    fn draw_among(
        &mut self,
        state: &Self::State,
        draw: &mut Self::Draw,
        drawn: usize,
        row: usize,
        mask: MaskFn<'_>,
    ) -> Result<()>;

    /// Returns true if [`Self::step`] may be called before its token is read.
    fn runs_ahead(&self) -> bool {
        true
    }

    /// Brings what the tokens of the next pass need from storage to the device. Must precede every pass over known tokens except
    /// [`Self::forward`], and those that compute other passes first.
    async fn prepare(&mut self, _tokens: &[u32]) -> Result<()> {
        Ok(())
    }

    /// Submits the step of the last drawn token, which need not be known yet if the model [runs ahead](Self::runs_ahead), and the next draw. The state must have room for its entry.
    fn step(&mut self, state: &mut Self::State, draw: &mut Self::Draw) -> Result<()>;

    /// Waits for the first draw that has not been read. [`crate::Error::Gpu`] for logits that are not finite.
    async fn read_token(&mut self, draw: &mut Self::Draw) -> Result<u32>;

    /// Submits a pass over at most [`Self::draft_rows`] known tokens without a draw. The state must have room for them; they count as entries
    /// until it is rewound.
    fn forward_known(&mut self, state: &mut Self::State, inputs: &[u32]) -> Result<()>;

    /// Submits the step of a known token without a draw.
    fn replay(&mut self, state: &mut Self::State, token: u32) -> Result<()>;

    /// Sets the known token `token` as the next one to step, after `drawn` tokens. Used after [`Self::replay`] in the middle of an answer.
    fn resume(&mut self, state: &mut Self::State, draw: &mut Self::Draw, token: u32, drawn: usize) -> Result<()>;

    /// The largest number of rows, up to `most`, of a pass over drafts after the entries of `state` that rounds like single steps; `None`
    /// without memory for one.
    fn draft_rows(&self, state: &Self::State, most: usize) -> Option<usize>;

    /// Returns true if passes over `inputs.len()` rows give the results of single steps on this device, which is tested once. `inputs` are a
    /// known token and drafts. The state and the input of the next step are unchanged afterwards.
    async fn drafts_match_steps(&mut self, state: &mut Self::State, inputs: &[u32], drawn: usize) -> Result<bool>;

    /// Computes a known token and drafts after it, and verifies the drafts by greedy choice. All rows count as entries of `state` until it is
    /// rewound. Returns `None` for logits that are not finite; then no row counts, and a single step reports the error.
    async fn verify(
        &mut self,
        state: &mut Self::State,
        draw: &mut Self::Draw,
        inputs: &[u32],
        drawn: usize,
    ) -> Result<Option<Verdict>>;

    /// The most rows of [`Self::batch_step`]; 1 if batches are not supported.
    fn max_batch(&self) -> usize;

    /// Returns true if a batch of this size gives the results of single steps on this device, which is tested once. The states are unchanged
    /// afterwards.
    async fn batch_matches_single(&mut self, rows: &mut [BatchRow<'_, Self::State, Self::Draw>]) -> Result<bool>;

    /// Steps the last token of at least two conversations and draws the next token of each, or returns an error for it. Their draws must have
    /// begun, without pending submissions.
    async fn batch_step(&mut self, rows: &mut [BatchRow<'_, Self::State, Self::Draw>]) -> Result<Vec<Result<u32>>>;

    /// The outline of what can be stored of a state.
    fn outline(&self, state: &Self::State) -> Outline;

    /// The parts of a state, in the order in which they are written. [`crate::Error::InvalidPackage`] if they have more than `most` bytes, and
    /// for an outline that no state of this model has.
    fn parts(&self, outline: &Outline, most: u64) -> Result<Vec<Part>>;

    /// The bytes of a part.
    async fn read_part(&mut self, state: &Self::State, part: &Part) -> Result<Vec<u8>>;

    /// A state with this outline, whose [parts](Part::is_of) must be written before it is used. Fails like [`Self::reserve`], and if there is
    /// no room for its pictures.
    async fn restore(&mut self, outline: &Outline) -> Result<Self::State>;

    /// Writes a part of a state made by [`Self::restore`] and waits for it. The part may belong to a longer state.
    async fn write_part(&mut self, state: &mut Self::State, part: &Part, bytes: &[u8]) -> Result<()>;
}
