//! The recording of a pass of rows through a decoder, and the buffers that its layers share.

use std::ops::Range;

use super::rope::words_of_position;
use super::step;
use crate::config::{KvHeads, LayerKind, TextConfig};
use crate::error::Result;
use crate::gpu::{Allocator, Buffer, Purpose, Recording, Slice};
use crate::kernels::LaneLayout;
use crate::kernels::attention_step::reach;
use crate::kernels::sample::Sampling;
use crate::state::Positions;

/// The kind of a pass, on which a recording depends besides the number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Many rows of a prompt, by the kernels for many rows. The recording is for these entries only.
    Chunk {
        /// Cache entry of the first row.
        first_entry: usize,
    },
    /// One token, a token and drafts after it, or a token of each of several conversations, by the kernels for few rows. Kernels read the
    /// positions of the rows from the step buffer on the GPU, so that one recording serves any number of tokens.
    Step {
        /// Entries that attention covers: [`reach`].
        reach: usize,
        /// Set if each row belongs to another conversation.
        apart: bool,
    },
}

impl Form {
    /// A step of `rows` rows, the first at cache entry `entry`.
    pub(crate) fn step(entry: usize, rows: usize) -> Self {
        Self::Step { reach: reach(entry + rows), apart: false }
    }
}

/// Rows that pass through the layers together.
///
/// Three indices of a row that often coincide are distinct: its *cache entry* (of its keys and values: consecutive, from `first_entry` or the
/// step buffer on), its *position id* (of its rotation), and the *row of the rope table* with this rotation (the entry minus the first
/// entry of the table, see [`super::step`]).
#[derive(Debug)]
pub struct Pass<'a> {
    /// Receives the dispatches.
    pub recording: &'a mut Recording,
    /// The buffers that layers share.
    pub work: &'a Workspace,
    /// The residual stream, its rows in `Pass::lane_layout`. `// [rows, hidden]`
    pub x: Slice,
    /// Number of its rows.
    pub rows: usize,
    /// The first row's index among those of [`Workspace::per_layer`].
    pub first_input: usize,
    /// Selects the kernels.
    pub form: Form,
    /// Rows of pictures' features, if the pass has any. `// [features, hidden]`
    pub features: Option<Slice>,
}

impl<'a> Pass<'a> {
    /// A pass of `rows` rows in the workspace, without features.
    pub fn new(recording: &'a mut Recording, work: &'a Workspace, rows: usize, form: Form) -> Self {
        Self { recording, work, x: work.x.all(), rows, first_input: 0, form, features: None }
    }

    /// [`Self::x`], for a kernel's bindings.
    pub fn x(&self) -> Slice {
        self.x.clone()
    }

    /// Lane layout of rows of `width` numbers that products with a matrix read; natural in chunks.
    pub(super) fn lane_layout(&self, width: usize) -> LaneLayout {
        if self.is_step() {
            LaneLayout::of(self.recording.kernel_config().class.lanes_share_rows(), width)
        } else {
            LaneLayout::NATURAL
        }
    }

    /// Returns whether the form is [`Form::Step`].
    pub fn is_step(&self) -> bool {
        matches!(self.form, Form::Step { .. })
    }
}

/// Most rows that the decoder computes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct TextRows {
    /// Tokens of a prompt.
    pub prompt: usize,
    /// Rows of logits; at most as many as of a prompt.
    pub head: usize,
    /// Rows of a step: a token and drafts after it, or a token of each of several conversations. At most as many as rows of logits; 1 without
    /// drafts and batches.
    pub step: usize,
}

impl TextRows {
    /// Bytes of the step buffer for conversations of at most `context` entries: it has the rope table of a chunk, or of a step of several
    /// conversations.
    pub fn step_bytes(self, config: &TextConfig, context: usize) -> u64 {
        let alone = step::table_at(context) + self.prompt.max(step::TABLE_ROWS) * words_of_position(config);
        let batch = step::max_batch(config, self.step) * step::words_apart(config, context);
        (alone.max(batch) * size_of::<u32>()) as u64
    }
}

/// Buffers that every layer uses in turn.
#[derive(Debug)]
pub struct Workspace {
    /// Residual stream. `// [tokens, hidden]`
    pub x: Buffer,
    /// Normed rows. `// [tokens, hidden]`
    pub h: Buffer,
    /// First products of mixers. `// [tokens, mixer_widths()[0]]`
    pub qkv: Buffer,
    /// Results of mixers before their output product. `// [tokens, mixer_widths()[1]]`
    pub attn: Buffer,
    /// Gates and inner rows of the feed-forward. `// [tokens, 2 * intermediate]`
    pub gate_up: Buffer,
    /// `// [tokens, intermediate]`
    pub act: Buffer,
    /// The step buffer, which holds the position of the next pass: see [`step`].
    pub step: Buffer,
    /// Cache entries with a row in the step buffer's rope table, and the positions that it was computed for.
    pub(crate) table: (Range<usize>, Positions),
    /// First word of this table.
    pub(crate) table_at: usize,
    /// Pages in the step buffer.
    pub(crate) pages: Vec<u32>,
    /// Partial results of attention that is split among workgroups.
    pub partials: Buffer,
    /// Inputs of the rows: a token, or a row of features. `// [tokens]`
    pub sources: Buffer,
    /// Per-layer inputs; [`Self::x`] in models without them. Before [`super::PerLayerInputs::record`], embeddings of the tokens.
    /// `// [tokens, layers * width]`
    pub per_layer: Buffer,
    /// Input of the head. `// [head rows, hidden]`
    pub gathered: Buffer,
    /// Output of the head. `// [head rows, vocab]`
    pub logits: Buffer,
    /// The likeliest token of every chunk of a row's logits, and its logit, for drafts. `// [2, step rows, chunks, 2]`
    pub likeliest: Buffer,
    /// Most storage buffers of a kernel.
    pub(crate) max_bindings: usize,
}

impl Workspace {
    /// Allocates buffers for so many rows at a time, in conversations of at most `context` entries. Fails as [`Allocator::alloc`].
    pub fn new(gpu: &dyn Allocator, config: &TextConfig, rows: TextRows, context: usize) -> Result<Self> {
        let [qkv, attn] = mixer_widths(config);
        let alloc = |label, bytes| gpu.alloc(label, Purpose::Activations, bytes);
        let alloc_rows = |label, rows: usize, width: usize| alloc(label, (rows * width * size_of::<f32>()) as u64);
        let drafts = if rows.step > 1 { Sampling::partials_bytes(config.vocab_size, rows.step) } else { 0 };
        let x = alloc_rows("x", rows.prompt, config.hidden_size)?;
        Ok(Self {
            h: alloc_rows("h", rows.prompt, config.hidden_size)?,
            qkv: alloc_rows("qkv", rows.prompt, qkv)?,
            attn: alloc_rows("attn", rows.prompt, attn)?,
            gate_up: alloc_rows("gate_up", rows.prompt, gate_width(config))?,
            act: alloc_rows("act", rows.prompt, config.widest_ffn())?,
            step: alloc("step", rows.step_bytes(config, context))?,
            table: (0..0, Positions::default()),
            table_at: step::table_at(context),
            pages: Vec::new(),
            partials: alloc("partials", step::partials_bytes(config, rows.step))?,
            sources: alloc_rows("sources", rows.prompt, 1)?,
            per_layer: match config.per_layer_width() {
                0 => x.clone(),
                width => alloc_rows("per-layer inputs", rows.prompt, width)?,
            },
            gathered: alloc_rows("gathered", rows.head, config.hidden_size)?,
            logits: alloc_rows("logits", rows.head, config.vocab_size)?,
            likeliest: alloc("likeliest tokens", drafts)?,
            max_bindings: gpu.max_bindings(),
            x,
        })
    }
}

/// Widths of [`Workspace::qkv`] and [`Workspace::attn`].
fn mixer_widths(config: &TextConfig) -> [usize; 2] {
    let of_layer = |kind: &LayerKind| {
        let KvHeads { count, dim } = config.kv_heads(*kind);
        let (q, kv) = (config.num_attention_heads * dim, count * dim);
        [q + 2 * kv + if config.output_gate { q } else { 0 }, q]
    };
    let [qkv, q] =
        config.layers.iter().map(of_layer).fold([0; 2], |most, widths| [0, 1].map(|i| most[i].max(widths[i])));
    let delta = config.delta.as_ref().map_or([0; 2], |delta| [delta.width(), delta.value_heads * delta.head_dim]);
    let attention = [qkv, q];
    [0, 1].map(|buffer| delta[buffer].max(attention[buffer]))
}

/// Numbers in the widest row of a token, except its logits.
pub fn widest(config: &TextConfig) -> usize {
    let widths = [config.hidden_size, gate_width(config), config.per_layer_width()];
    mixer_widths(config).into_iter().chain(widths).max().unwrap_or(0)
}

/// Width of [`Workspace::gate_up`].
fn gate_width(config: &TextConfig) -> usize {
    (2 * config.widest_ffn()).max(config.per_layer_width())
}
