//! One token through the decoder, or a few, as a recording that serves every token: what changes from one to the next lies on the
//! GPU.
//!
//! The step buffer holds a header and a table:
//!
//! ```text
//! words 0..4    token, position, tokens drawn, position of the table's first row
//! words 4..64   not used
//! words 64..    a row for each position: cos and sin of every pair [head_dim / 2, 2], the query scale, three words of padding
//! ```
//!
//! Kernels find position and rotation there, and the sampler writes the next token there, so that a step can be submitted before
//! anybody has seen the token before it.

use std::ops::Range;

use super::decoder::{Decoder, Layer, Workspace};
use super::kv_cache::KvCache;
use super::rope;
use crate::config::{Activation, TextConfig};
use crate::error::Result;
use crate::gpu::{Gpu, Recording, Slice};
use crate::kernels::attention::Heads;
use crate::kernels::attention_step::{self, AttentionStep, partials_len};
use crate::kernels::cache::Cache;
use crate::kernels::gated_matvec::{self, GatedMatvec};
use crate::kernels::gemv::{Norm, Tuning};
use crate::kernels::matvec::Matvec;
use crate::kernels::qkv_matvec::{self, QkvMatvec};
use crate::kernels::rope_append::{self, Heads as QkvHeads, RopeAppend, TABLE, table_stride};
use crate::kernels::{embed_rows, glu};
use crate::weights::upload::Weight;

/// Bytes of the header.
pub(super) const HEADER: u64 = (TABLE * size_of::<u32>()) as u64;
/// Where the header says which position the table begins with.
pub(super) const TABLE_FIRST: u64 = 12;
/// Bytes of the header that change with every token.
pub const RESULT: u64 = 16;
/// Positions whose rotations are sent at once.
pub(super) const TABLE_ROWS: usize = 256;
/// Positions that one workgroup of attention looks at before the context is split among several.
const SPLIT: usize = 256;
/// Most workgroups that share the attention of one key-value head.
const MAX_SPLITS: usize = 32;

/// Bytes of the step buffer, with a table of `rows` rows.
pub fn step_bytes(config: &TextConfig, rows: usize) -> u64 {
    HEADER + (rows.max(TABLE_ROWS) * table_stride(config.head_dim) * size_of::<f32>()) as u64
}

/// Bytes that the workgroups that share the attention of a step of so many rows need at most.
pub(super) fn partials_bytes(config: &TextConfig, rows: usize) -> u64 {
    (partials_len(rows, config.num_attention_heads, config.head_dim, MAX_SPLITS) * size_of::<f32>()) as u64
}

/// Workgroups that share the attention of a step with so many tokens in sight: powers of two, so that a recording serves long.
fn splits(tokens: usize) -> usize {
    tokens.div_ceil(SPLIT).next_power_of_two().min(MAX_SPLITS)
}

/// What a recording of a step is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StepShape {
    /// Tokens: one, and drafts behind it.
    pub(super) rows: usize,
    /// Workgroups that share the attention of a key-value head.
    splits: usize,
}

impl StepShape {
    /// Of a step of so many rows, the first at `position`.
    pub(super) fn at(position: usize, rows: usize) -> Self {
        Self { rows, splits: splits(position + rows) }
    }
}

/// The rows, up to `rows`, of a step at `position` that divides the context in the same pieces as a step of each row alone, so that
/// nothing is rounded otherwise. Pieces are whole tiles.
pub(super) fn alike(position: usize, rows: usize, tile: usize) -> usize {
    let pieces = |tokens: usize| (splits(tokens), tokens.div_ceil(splits(tokens)).div_ceil(tile));
    let first = pieces(position + 1);
    // One piece is the whole context, however long.
    let same = |rows: &usize| pieces(position + rows) == first || (first.0 == 1 && splits(position + rows) == 1);
    (1..=rows).rev().find(same).unwrap_or(1)
}

/// What a step starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepHeader {
    /// Its input.
    pub token: u32,
    /// Tokens in the cache before it.
    pub position: usize,
    /// Tokens drawn so far.
    pub drawn: usize,
}

impl StepHeader {
    /// As the step buffer holds it, before this table.
    pub(super) fn words(&self, table: &Range<usize>) -> [u32; 4] {
        [self.token, self.position as u32, self.drawn as u32, table.start as u32]
    }
}

impl Decoder {
    /// Header and table as the step buffer holds them.
    pub(super) fn step_words(&self, header: StepHeader, table: &Range<usize>) -> Vec<u32> {
        let mut words = header.words(table).to_vec();
        words.resize(HEADER as usize / size_of::<u32>(), 0);
        words.extend(self.table_words(table));
        words
    }

    /// The table for these positions.
    pub(super) fn table_words(&self, table: &Range<usize>) -> Vec<u32> {
        let config = &self.config;
        let angles = rope::text_angles(&config.rope, &self.frequencies, table.start, table.len());
        let scales = rope::query_scales(config.query_scaling.as_ref(), table.start, table.len());
        let mut words = Vec::with_capacity(table.len() * table_stride(config.head_dim));
        for (turns, scale) in angles.chunks(config.head_dim / 2).zip(scales) {
            words.extend(turns.iter().flatten().map(|x| x.to_bits()));
            words.extend([scale.to_bits(), 0, 0, 0]);
        }
        words
    }

    /// Records the forward pass of the token in the step buffer, or of so many tokens in `work.sources`, up to their logits in
    /// `work.logits`.
    pub(super) fn record_step(
        &self,
        gpu: &Gpu,
        recording: &mut Recording,
        work: &Workspace,
        cache: &KvCache,
        shape: StepShape,
    ) -> Result<()> {
        let (m, x) = (shape.rows, work.x.all()); // [m, hidden]
        let sources = if m == 1 { work.step.slice(0..4) } else { work.sources.all() };
        // The kernel binds some features even where no source names one.
        embed_rows::record(recording, &self.embed_tokens, m, &sources, &work.gathered.all(), &x)?;
        self.record_step_layers(gpu, recording, (work, cache), 0..self.layers.len(), shape)?;
        let head = self.lm_head.as_ref().unwrap_or(&self.embed_tokens);
        self.normed(recording, m, [head], (&x, &self.norm), &work.logits.all()).map(drop) // [m, vocab]
    }

    /// Records some layers of it, over the rows in `work.x`.
    pub(super) fn record_step_layers(
        &self,
        gpu: &Gpu,
        recording: &mut Recording,
        (work, cache): (&Workspace, &KvCache),
        layers: Range<usize>,
        shape: StepShape,
    ) -> Result<()> {
        for (layer, index) in self.layers.iter().zip(0..).take(layers.end).skip(layers.start) {
            self.step_attention(gpu, recording, work, cache.layer(index), layer, shape)?;
            self.step_feed_forward(gpu, recording, work, layer, shape.rows)?;
        }
        Ok(())
    }

    fn step_attention(
        &self,
        gpu: &Gpu,
        recording: &mut Recording,
        work: &Workspace,
        cache: &Cache,
        layer: &Layer,
        StepShape { rows: m, splits }: StepShape,
    ) -> Result<()> {
        let config = &self.config;
        let (q_heads, kv_heads, head_dim) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
        let (x, qkv, attn, step) = (work.x.all(), work.qkv.all(), work.attn.all(), work.step.all());
        let heads = QkvHeads { q: q_heads, kv: kv_heads, dim: head_dim, pairs: config.rope.pairs };
        let limit = gpu.max_bindings();
        let fuses = |weight: &&Weight| qkv_matvec::can_fuse(weight, heads, cache.precision, false, limit);
        let norm = Norm { weight: &layer.input_layernorm, eps: config.rms_norm_eps };
        let stride = match layer.qkv_proj.single().filter(fuses) {
            Some(weight) => {
                let (x, step, q, tuning) = (&x, &step, &qkv, Tuning::of(recording.kernel_config()));
                let qkv = QkvMatvec { x, m, norm, weight, bias: None, heads, step, q, cache, tuning };
                qkv_matvec::record(recording, &qkv)?; // [m, q_heads * head_dim]
                q_heads * head_dim
            }
            None => {
                let weights = layer.qkv_proj.weights();
                let stride = self.normed(recording, m, weights, (&x, &layer.input_layernorm), &qkv)?; // [m, q | k | v]
                rope_append::record(recording, &RopeAppend { qkv: &qkv, tokens: m, heads, step: &step, cache })?;
                stride
            }
        };
        let partials = work.partials.all();
        let q = &Heads { buffer: qkv, stride, offset: 0 };
        let (step, out, partials, tuning) =
            (&step, &attn, &partials, attention_step::Tuning::of(recording.kernel_config()));
        let attention = AttentionStep { q, cache, step, m, q_heads, kv_heads, head_dim, splits, out, partials, tuning };
        attention_step::record(recording, &attention)?; // [m, q_heads * head_dim]
        self.add(recording, m, &layer.o_proj, &attn, &x)
    }

    fn step_feed_forward(
        &self,
        gpu: &Gpu,
        recording: &mut Recording,
        work: &Workspace,
        layer: &Layer,
        m: usize,
    ) -> Result<()> {
        let (x, gate_up, act) = (work.x.all(), work.gate_up.all(), work.act.all());
        let norm = Some(Norm { weight: &layer.post_attention_layernorm, eps: self.config.rms_norm_eps });
        let activation = Activation::Silu;
        let fuses = |weight: &&Weight| gated_matvec::can_fuse(weight, true, gpu.max_bindings());
        match layer.gate_up_proj.single().filter(fuses) {
            Some(weight) => {
                let tuning = Tuning::of(recording.kernel_config());
                let gated = GatedMatvec { x: &x, m, norm, weight, activation, y: &act, tuning };
                gated_matvec::record(recording, &gated)?; // [m, intermediate]
            }
            None => {
                let weights = layer.gate_up_proj.weights();
                self.normed(recording, m, weights, (&x, &layer.post_attention_layernorm), &gate_up)?; // [m, gate | up]
                glu::record(recording, (m, self.config.intermediate_size), activation, &gate_up, &act)?;
            }
        }
        self.add(recording, m, &layer.down_proj, &act, &x)
    }

    /// Records the product of `m` rows with a matrix, added to `y`.
    fn add(&self, recording: &mut Recording, m: usize, weight: &Weight, x: &Slice, y: &Slice) -> Result<()> {
        let (y_stride, tuning) = (weight.shape.rows, Tuning::of(recording.kernel_config()));
        Matvec { x, m, norm: None, weight, bias: None, y, y_stride, y_offset: 0, accumulate: true, tuning }
            .record(recording)
    }

    /// Records the products of `m` normalised rows with matrices whose outputs lie side by side in `y`; the width of all of them.
    fn normed<'a>(
        &self,
        recording: &mut Recording,
        m: usize,
        weights: impl IntoIterator<Item = &'a Weight, IntoIter: Clone>,
        (x, norm): (&Slice, &Slice),
        y: &Slice,
    ) -> Result<usize> {
        let weights = weights.into_iter();
        let y_stride = weights.clone().map(|weight| weight.shape.rows).sum();
        let mut y_offset = 0;
        for weight in weights {
            let norm = Some(Norm { weight: norm, eps: self.config.rms_norm_eps });
            let tuning = Tuning::of(recording.kernel_config());
            Matvec { x, m, norm, weight, bias: None, y, y_stride, y_offset, accumulate: false, tuning }
                .record(recording)?;
            y_offset += weight.shape.rows;
        }
        Ok(y_stride)
    }
}
