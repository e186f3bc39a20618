//! What conversations need of a model.

use std::ops::Range;

use crate::config::ImageGrid;
use crate::error::Result;
use crate::gpu::Buffer;
use crate::kernels::accept;
use crate::sampling::SamplingOptions;
use crate::state::ConversationState;
use crate::state::{Outline, Part};

/// What starts one row of the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The embedding of a token.
    Token(u32),
    /// A row of the features given along.
    Feature(u32),
}

/// Pictures as the decoder sees them. `// [rows, hidden]`
#[derive(Debug, Clone)]
pub struct Features {
    /// The rows, one a picture token.
    pub buffer: Buffer,
    /// How many there are.
    pub rows: usize,
    /// Rows that a token has: [`crate::families::Pictures::rows_of_token`].
    pub of_token: usize,
    /// Of each picture its first row, and its grid; in the order of their rows.
    pub pictures: Vec<(u32, ImageGrid)>,
}

impl Features {
    /// The picture that a row is the first one of a token of: how many of its tokens come before, and its grid.
    pub(super) fn picture(&self, row: u32) -> Option<(usize, ImageGrid)> {
        let (first, grid) = self.pictures.iter().rev().find(|(first, _)| *first <= row)?;
        Some(((row - first) as usize / self.of_token.max(1), *grid))
    }
}

/// Rows that passes over drafts have: each count has kernels of its own.
pub const DRAFT_ROWS: [usize; 2] = [4, accept::MAX_ROWS];

/// Where the logits of the next token are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogitsAt {
    /// A row of the last chunk, whose logits are still to be computed.
    Chunk(usize),
    /// A row of the last step or pass over drafts.
    Step(usize),
}

/// Fills in the tokens that may come next, a bit each. Called while the device computes their logits.
pub type MaskFn<'a> = &'a mut dyn FnMut(&mut [u32]) -> Result<()>;

/// What a pass over drafts came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Rows of the pass that count: the first, and one for each draft that was right.
    pub kept: usize,
    /// The token behind them.
    pub token: u32,
}

/// One of several conversations that are continued together.
#[derive(Debug)]
pub struct BatchRow<'a, S, D> {
    /// Of the entries before `token`; there must be room for one more.
    pub state: &'a mut S,
    /// How its tokens are drawn.
    pub draw: &'a mut D,
    /// The token drawn last, which is known.
    pub token: u32,
    /// Tokens drawn so far.
    pub drawn: usize,
}

/// A model that continues conversations, each of which has a state of its own. Work is submitted in order; what a method says that it
/// waits for is done when it returns, other work may still be under way. Every method fails with what the device says.
#[allow(async_fn_in_trait, reason = "everything here runs on one thread")]
pub trait LanguageModel {
    /// What it keeps of a conversation.
    type State: ConversationState + std::fmt::Debug;
    /// The sampling of one answer.
    type Draw;

    /// Tokens of the vocabulary.
    fn vocab_size(&self) -> usize;

    /// Most rows of a chunk.
    fn chunk_rows(&self) -> usize;

    /// The state of a conversation that has not begun.
    fn new_state(&self) -> Result<Self::State>;

    /// Makes room for `rows` more entries. If there is none, the state is as it was: [`crate::Error::ContextOverflow`] or
    /// [`crate::Error::OutOfMemory`].
    async fn reserve(&mut self, state: &mut Self::State, rows: usize) -> Result<()>;

    /// Computes a chunk of at most [`Self::chunk_rows`] rows behind the entries of `state`. `features` are the rows that
    /// [`Input::Feature`] counts. [`crate::Error::InvalidRequest`] for a token outside the vocabulary.
    async fn forward(&mut self, state: &mut Self::State, inputs: &[Input], features: Option<&Features>) -> Result<()>;

    /// Logits of rows of the last chunk. `// [rows, vocab]`
    async fn logits(&mut self, rows: Range<usize>) -> Result<Vec<f32>>;

    /// Logits that the last draw was made from, a row of the last step or pass over drafts, without bias and penalties, while nothing has
    /// been submitted behind it. `// [vocab]`
    async fn drawn_logits(&mut self, row: usize) -> Result<Vec<f32>>;

    /// Waits until everything submitted has run.
    async fn wait_idle(&mut self) -> Result<()>;

    /// Begins to draw the tokens behind the entries of `state`, of which `drawn` are the answer so far: submits the draw of the next
    /// one, among those of `mask` if there is one. [`crate::Error::InvalidRequest`] for options out of range.
    async fn begin(
        &mut self,
        state: &Self::State,
        options: &SamplingOptions,
        drawn: &[u32],
        at: LogitsAt,
        mask: Option<MaskFn<'_>>,
    ) -> Result<Self::Draw>;

    /// Submits the draw of the next token among those of `mask`, where `drawn` tokens have been drawn, for a draw that has begun with a
    /// mask.
    fn draw_among(
        &mut self,
        state: &Self::State,
        draw: &mut Self::Draw,
        drawn: usize,
        row: usize,
        mask: MaskFn<'_>,
    ) -> Result<()>;

    /// Submits the step of the token drawn last, which need not be known yet, and the draw behind it. There must be room for its entry.
    fn step(&mut self, state: &mut Self::State, draw: &mut Self::Draw) -> Result<()>;

    /// Waits for the first draw that nobody has waited for. [`crate::Error::Gpu`] for logits that are no numbers.
    async fn read_token(&mut self, draw: &mut Self::Draw) -> Result<u32>;

    /// Submits a pass over tokens that are known, as many as [`Self::draft_rows`] allows, without a draw. There must be room for them, and
    /// all of them count as entries of `state` until it goes back behind them.
    fn forward_known(&mut self, state: &mut Self::State, inputs: &[u32]) -> Result<()>;

    /// Submits the step of a token that is known, without a draw.
    fn replay(&mut self, state: &mut Self::State, token: u32) -> Result<()>;

    /// States that the next step is that of `token`, which is known, where `drawn` tokens have been drawn: after [`Self::replay`] in the
    /// middle of an answer.
    fn resume(&mut self, state: &mut Self::State, draw: &mut Self::Draw, token: u32, drawn: usize) -> Result<()>;

    /// The most rows, up to `most`, of a pass over drafts behind the entries of `state` that rounds as single steps do; `None` where
    /// there is no memory for one.
    fn draft_rows(&self, state: &Self::State, most: usize) -> Option<usize>;

    /// Whether passes over so many rows give what steps give on this device, found out when it is first asked. `inputs` are a token that
    /// is known and drafts behind it; afterwards the state and what the next step starts from are as before.
    async fn drafts_match_steps(&mut self, state: &mut Self::State, inputs: &[u32], drawn: usize) -> Result<bool>;

    /// Computes a token that is known and drafts behind it, and judges the drafts by the likeliest tokens. All rows count as entries of
    /// `state` until it goes back behind them. `None` if the logits were no numbers: then nothing counts, and a step tells more.
    async fn verify(
        &mut self,
        state: &mut Self::State,
        draw: &mut Self::Draw,
        inputs: &[u32],
        drawn: usize,
    ) -> Result<Option<Verdict>>;

    /// The most conversations that [`Self::batch_step`] takes; 1 for a model that continues one alone.
    fn max_batch(&self) -> usize;

    /// Whether so many conversations at once are continued as each is alone, on this device: found out when it is first asked. States are
    /// as before.
    async fn batch_matches_single(&mut self, rows: &mut [BatchRow<'_, Self::State, Self::Draw>]) -> Result<bool>;

    /// Takes the step of the last token of each of some conversations, two at least, and draws the next one of each, or says why there is
    /// none for it. Their draws have begun, and nothing is submitted behind them.
    async fn batch_step(&mut self, rows: &mut [BatchRow<'_, Self::State, Self::Draw>]) -> Result<Vec<Result<u32>>>;

    /// What can be written down of a state.
    fn outline(&self, state: &Self::State) -> Outline;

    /// The parts of a state, in the order in which they are written. [`crate::Error::Io`] where they would take more bytes than `most`, and for
    /// an outline that is no state's of this model.
    fn parts(&self, outline: &Outline, most: u64) -> Result<Vec<Part>>;

    /// The bytes of a part.
    async fn read_part(&mut self, state: &Self::State, part: &Part) -> Result<Vec<u8>>;

    /// A state of this outline, whose [parts](Part::is_of) are to be written before it is used. Fails as [`Self::reserve`], and where there is
    /// no room for its pictures.
    async fn restore(&mut self, outline: &Outline) -> Result<Self::State>;

    /// Writes a part of a state that [`Self::restore`] made, and waits for it. The part may be one of a longer state.
    async fn write_part(&mut self, state: &mut Self::State, part: &Part, bytes: &[u8]) -> Result<()>;
}
