//! One pass of some rows through a decoder, while it is recorded, and the buffers that its layers use in turn.

use std::ops::Range;

use super::step;
use crate::config::TextConfig;
use crate::error::Result;
use crate::gpu::{Allocator, Buffer, Purpose, Recording, Slice};
use crate::kernels::LaneLayout;
use crate::kernels::attention_step::reach;
use crate::kernels::sample::Sampling;
use crate::state::Positions;

/// What a recording of a pass depends on besides its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Many rows of a prompt, by the kernels for many rows. The recording is for these very entries.
    Chunk {
        /// Cache entry of the first row.
        first_entry: usize,
    },
    /// One token, a token and drafts behind it, or a token of each of several conversations, by the kernels for few rows. Where the rows
    /// stand is read from the step buffer on the GPU, so one recording serves any number of tokens.
    Step {
        /// How far attention looks: [`reach`].
        reach: usize,
        /// Whether each row is one of another conversation.
        apart: bool,
    },
}

impl Form {
    /// A step of so many rows, the first at cache entry `entry`.
    pub(crate) fn step(entry: usize, rows: usize) -> Self {
        Self::Step { reach: reach(entry + rows), apart: false }
    }
}

/// Rows on their way through the layers.
///
/// Three things that are often one number are kept apart: the *cache entry* of a row (where its keys and values go: consecutive, from
/// `first_entry` or the step buffer on), its *position id* (what its rotation stands for), and the *row of the rope table* that holds
/// this rotation (entry minus the entry that the table begins with, see [`super::step`]).
#[derive(Debug)]
pub struct Pass<'a> {
    /// Where launches go.
    pub recording: &'a mut Recording,
    /// The buffers that layers use in turn.
    pub work: &'a Workspace,
    /// Rows in `work.x`. `// [rows, hidden]`
    pub rows: usize,
    /// Which kernels do the work.
    pub form: Form,
    /// Rows of pictures' features that some rows started from, where there are any. `// [features, hidden]`
    pub features: Option<Slice>,
}

impl Pass<'_> {
    /// The residual stream, its rows in `Pass::lane_layout`. `// [rows, hidden]`
    pub fn x(&self) -> Slice {
        self.work.x.all()
    }

    /// How rows of `width` numbers lie that products with a matrix read: of a step in order for the lanes of the device.
    pub(super) fn lane_layout(&self, width: usize) -> LaneLayout {
        if self.is_step() {
            LaneLayout::of(self.recording.kernel_config().class.lanes_share_rows(), width)
        } else {
            LaneLayout::NATURAL
        }
    }

    /// Whether it is a [`Form::Step`].
    pub fn is_step(&self) -> bool {
        matches!(self.form, Form::Step { .. })
    }
}

/// Rows of the decoder computed at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct TextRows {
    /// Tokens of a prompt.
    pub prompt: usize,
    /// Rows of logits; no more than of a prompt.
    pub head: usize,
    /// Of a step: of a token and drafts behind it, or of several conversations; no more than of logits, and 1 where there are neither.
    pub step: usize,
}

/// Buffers that every layer uses in turn, for up to so many tokens.
#[derive(Debug)]
pub struct Workspace {
    /// Residual stream. `// [tokens, hidden]`
    pub x: Buffer,
    /// Normed rows. `// [tokens, hidden]`
    pub h: Buffer,
    /// What mixers make of the normed rows. `// [tokens, mixer_widths()[0]]`
    pub qkv: Buffer,
    /// What mixers come to. `// [tokens, mixer_widths()[1]]`
    pub attn: Buffer,
    /// Gates of the feed-forward and what they are for. `// [tokens, 2 * intermediate]`
    pub gate_up: Buffer,
    /// `// [tokens, intermediate]`
    pub act: Buffer,
    /// Where the next pass is in the conversation: see [`step`].
    pub step: Buffer,
    /// Cache entries that the step buffer's rope table has rows for, and what was known of their positions.
    pub(crate) table: (Range<usize>, Positions),
    /// The word that this table begins at.
    pub(crate) table_at: usize,
    /// The pages that the step buffer names.
    pub(crate) pages: Vec<u32>,
    /// Partial results where several workgroups share a step's attention.
    pub partials: Buffer,
    /// What the rows start from: a token, or a row of features. `// [tokens]`
    pub sources: Buffer,
    /// Rows the head reads. `// [head rows, hidden]`
    pub gathered: Buffer,
    /// What the head makes of them. `// [head rows, vocab]`
    pub logits: Buffer,
    /// Of every chunk of a row's logits the likeliest token, and its logit, for drafts. `// [2, step rows, chunks, 2]`
    pub likeliest: Buffer,
    /// Storage buffers that a kernel may bind.
    pub(crate) max_bindings: usize,
}

impl Workspace {
    /// Buffers for so many rows at a time, of conversations of at most `context` entries. Fails as [`Allocator::alloc`].
    pub fn new(gpu: &dyn Allocator, config: &TextConfig, rows: TextRows, context: usize) -> Result<Self> {
        let [qkv, attn] = mixer_widths(config);
        let alloc = |label, bytes| gpu.alloc(label, Purpose::Activations, bytes);
        let alloc_rows = |label, rows: usize, width: usize| alloc(label, (rows * width * size_of::<f32>()) as u64);
        let drafts = if rows.step > 1 { Sampling::partials_bytes(config.vocab_size, rows.step) } else { 0 };
        Ok(Self {
            x: alloc_rows("x", rows.prompt, config.hidden_size)?,
            h: alloc_rows("h", rows.prompt, config.hidden_size)?,
            qkv: alloc_rows("qkv", rows.prompt, qkv)?,
            attn: alloc_rows("attn", rows.prompt, attn)?,
            gate_up: alloc_rows("gate_up", rows.prompt, 2 * config.intermediate_size)?,
            act: alloc_rows("act", rows.prompt, config.intermediate_size)?,
            step: alloc("step", step::step_bytes(config, (rows.prompt, rows.step), context))?,
            table: (0..0, Positions::default()),
            table_at: step::table_at(context),
            pages: Vec::new(),
            partials: alloc("partials", step::partials_bytes(config, rows.step))?,
            sources: alloc_rows("sources", rows.prompt, 1)?,
            gathered: alloc_rows("gathered", rows.head, config.hidden_size)?,
            logits: alloc_rows("logits", rows.head, config.vocab_size)?,
            likeliest: alloc("likeliest tokens", drafts)?,
            max_bindings: gpu.max_bindings(),
        })
    }
}

/// Widths of [`Workspace::qkv`] and [`Workspace::attn`].
fn mixer_widths(config: &TextConfig) -> [usize; 2] {
    let (q, kv) = (config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim);
    let qkv = q + 2 * kv + if config.output_gate { q } else { 0 };
    let delta = config.delta.as_ref().map_or([0; 2], |delta| [delta.width(), delta.value_heads * delta.head_dim]);
    let attention = [qkv, q];
    [0, 1].map(|buffer| delta[buffer].max(attention[buffer]))
}

/// Numbers in the widest row of a token, but for its logits.
pub fn widest(config: &TextConfig) -> usize {
    mixer_widths(config).into_iter().chain([config.hidden_size, 2 * config.intermediate_size]).max().unwrap_or(0)
}
