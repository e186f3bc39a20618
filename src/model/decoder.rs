//! The decoder: pre-norm layers of causal grouped-query attention and a gated feed-forward (`transformers`
//! `modeling_ministral3.py`).

use std::ops::Range;

use super::kv_cache::KvCache;
use super::linear::{FusedLinear, project};
use super::step::{self, StepHeader};
use crate::config::{Activation, LayerKind, TextConfig};
use crate::error::Result;
use crate::gpu::buffer::allocated;
use crate::gpu::{Buffer, Gpu, Purpose, Recording, Slice};
use crate::kernels::attention::{self, Attention, Heads, KeysValues};
use crate::kernels::rope_append::{self, Heads as QkvHeads, RopeAppend};
use crate::kernels::sample::Sampling;
use crate::kernels::{embed_rows, glu, rms_norm};
use crate::weights::upload::{Weight, WeightStore};

/// The decoder's weights.
#[derive(Debug)]
pub struct Decoder {
    pub(super) config: TextConfig,
    pub(super) frequencies: Vec<f32>,
    pub(super) embed_tokens: Weight,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Slice,
    pub(super) lm_head: Option<Weight>,
}

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) input_layernorm: Slice,
    pub(super) qkv_proj: FusedLinear,
    pub(super) o_proj: Weight,
    pub(super) post_attention_layernorm: Slice,
    pub(super) gate_up_proj: FusedLinear,
    pub(super) down_proj: Weight,
}

/// Buffers that every layer uses in turn, for up to so many tokens.
#[derive(Debug)]
pub(super) struct Workspace {
    /// Residual stream. `// [tokens, hidden]`
    pub(super) x: Buffer,
    h: Buffer, // [tokens, hidden]
    /// `// [tokens, (q_heads + 2 * kv_heads) * head_dim]`
    pub(super) qkv: Buffer,
    /// `// [tokens, q_heads * head_dim]`
    pub(super) attn: Buffer,
    /// `// [tokens, 2 * intermediate]`
    pub(super) gate_up: Buffer,
    /// `// [tokens, intermediate]`
    pub(super) act: Buffer,
    /// Where the next pass is in the conversation: see [`step`].
    pub(super) step: Buffer,
    /// Positions in the step buffer's table.
    pub(super) table: Range<usize>,
    /// What the workgroups that share a step's attention found.
    pub(super) partials: Buffer,
    /// What the rows start from. `// [tokens]`
    pub(super) sources: Buffer,
    /// Rows the head reads. `// [head rows, hidden]`
    pub(super) gathered: Buffer,
    /// What the head makes of them. `// [head rows, vocab]`
    pub(super) logits: Buffer,
    /// What drafts are judged by: of every chunk of a row's logits the likeliest token, and its logit. `// [2, step rows, chunks, 2]`
    pub(super) likeliest: Buffer,
}

/// Operations of a submission: some hundredths of a second on a small GPU.
const AT_ONCE: u64 = 1 << 36;

/// Rows of the decoder computed at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct TextRows {
    /// Tokens of a prompt.
    pub prompt: usize,
    /// Rows of logits; no more than of a prompt.
    pub head: usize,
    /// Of a step, a token and drafts behind it; no more than of logits, and 1 where nothing is drafted.
    pub step: usize,
}

/// Bytes of every buffer, in the order of [`Workspace`].
fn buffers(config: &TextConfig, rows: TextRows) -> [u64; 12] {
    let partials = step::partials_bytes(config, rows.step);
    let q_width = config.num_attention_heads * config.head_dim;
    let kv_width = config.num_key_value_heads * config.head_dim;
    let of = |rows: usize, width: usize| rows as u64 * width as u64 * size_of::<f32>() as u64;
    [
        of(rows.prompt, config.hidden_size),
        of(rows.prompt, config.hidden_size),
        of(rows.prompt, q_width + 2 * kv_width),
        of(rows.prompt, q_width),
        of(rows.prompt, 2 * config.intermediate_size),
        of(rows.prompt, config.intermediate_size),
        step::step_bytes(config, rows.prompt),
        partials,
        of(rows.prompt, 1),
        of(rows.head, config.hidden_size),
        of(rows.head, config.vocab_size),
        if rows.step > 1 { Sampling::partials_bytes(config.vocab_size, rows.step) } else { 0 },
    ]
}

/// Numbers in the widest row of a token, but for its logits.
pub fn widest(config: &TextConfig) -> usize {
    let heads = config.num_attention_heads + 2 * config.num_key_value_heads;
    [config.hidden_size, heads * config.head_dim, 2 * config.intermediate_size].into_iter().max().unwrap_or(0)
}

/// Bytes of all buffers of a forward pass together, and of the largest.
pub fn work_bytes(config: &TextConfig, rows: TextRows) -> (u64, u64) {
    let bytes = buffers(config, rows).map(allocated);
    (bytes.iter().sum(), bytes.into_iter().max().unwrap_or(0))
}

impl Workspace {
    /// Buffers for so many rows at a time.
    ///
    /// # Errors
    /// As [`Gpu::alloc`].
    pub(super) fn new(gpu: &Gpu, config: &TextConfig, rows: TextRows) -> Result<Self> {
        let alloc = |label, bytes| gpu.alloc(label, Purpose::Activations, bytes);
        let [x, h, qkv, attn, gate_up, act, step, partials, sources, gathered, logits, likeliest] =
            buffers(config, rows);
        Ok(Self {
            x: alloc("x", x)?,
            h: alloc("h", h)?,
            qkv: alloc("qkv", qkv)?,
            attn: alloc("attn", attn)?,
            gate_up: alloc("gate_up", gate_up)?,
            act: alloc("act", act)?,
            step: alloc("step", step)?,
            table: 0..0,
            partials: alloc("partials", partials)?,
            sources: alloc("sources", sources)?,
            gathered: alloc("gathered", gathered)?,
            logits: alloc("logits", logits)?,
            likeliest: alloc("likeliest tokens", likeliest)?,
        })
    }
}

impl Layer {
    fn new(weights: &mut WeightStore, layer: usize) -> Result<Self> {
        let at = |name: &str| format!("layers.{layer}.{name}");
        Ok(Self {
            input_layernorm: weights.vector(&at("input_layernorm"))?,
            qkv_proj: FusedLinear::new(weights, &at("self_attn.qkv_proj"))?,
            o_proj: weights.matrix(&at("self_attn.o_proj"))?,
            post_attention_layernorm: weights.vector(&at("post_attention_layernorm"))?,
            gate_up_proj: FusedLinear::new(weights, &at("mlp.gate_up_proj"))?,
            down_proj: weights.matrix(&at("mlp.down_proj"))?,
        })
    }
}

impl Decoder {
    /// Takes the decoder's weights.
    ///
    /// # Errors
    /// [`crate::Error::InvalidPackage`] if one is missing.
    pub fn new(config: &TextConfig, weights: &mut WeightStore) -> Result<Self> {
        Ok(Self {
            config: config.clone(),
            frequencies: super::rope::inverse_frequencies(&config.rope, config.head_dim),
            embed_tokens: weights.matrix("embed_tokens")?,
            layers: (0..config.layers.len()).map(|layer| Layer::new(weights, layer)).collect::<Result<_>>()?,
            norm: weights.vector("norm")?,
            lm_head: if config.tie_word_embeddings { None } else { Some(weights.matrix("lm_head")?) },
        })
    }

    /// Writes what the next tokens' forward pass reads besides weights: which rows to gather, and how far to turn them.
    pub(super) fn upload_inputs(&self, gpu: &Gpu, work: &mut Workspace, sources: &[u32], past: usize) -> Result<()> {
        work.table = past..past + sources.len();
        let header = StepHeader { token: 0, position: past, drawn: 0 };
        gpu.write(&work.step, 0, bytemuck::cast_slice(&self.step_words(header, &work.table)))?;
        gpu.write(&work.sources, 0, bytemuck::cast_slice(sources))
    }

    /// Records the rows that start a pass of `tokens` tokens, from what [`Self::upload_inputs`] wrote.
    pub(super) fn record_inputs(
        &self,
        recording: &mut Recording,
        work: &Workspace,
        features: &Slice,
        tokens: usize,
    ) -> Result<()> {
        embed_rows::record(recording, &self.embed_tokens, tokens, &work.sources.all(), features, &work.x.all())
    }

    /// Records some layers of a pass of `tokens` tokens behind those in the cache, over the rows in `work.x`.
    pub(super) fn record_layers(
        &self,
        recording: &mut Recording,
        work: &Workspace,
        cache: &KvCache,
        layers: Range<usize>,
        tokens: usize,
    ) -> Result<()> {
        for index in layers {
            match self.config.layers[index] {
                LayerKind::FullAttention => self.self_attention(recording, work, cache, index, tokens)?,
            }
            self.feed_forward(recording, work, &self.layers[index], tokens)?;
        }
        Ok(())
    }

    /// Layers of a pass of `tokens` tokens that are submitted at once: a page draws its frames between submissions, and drivers
    /// lose patience with long ones.
    pub(super) fn layers_at_once(&self, tokens: usize) -> usize {
        let config = &self.config;
        let heads = config.num_attention_heads + config.num_key_value_heads;
        let weights = config.hidden_size * (2 * heads * config.head_dim + 3 * config.intermediate_size);
        (AT_ONCE / (2 * weights as u64 * tokens as u64).max(1)).clamp(1, config.layers.len().max(1) as u64) as usize
    }

    fn self_attention(
        &self,
        recording: &mut Recording,
        work: &Workspace,
        cache: &KvCache,
        index: usize,
        tokens: usize,
    ) -> Result<()> {
        let (config, layer, past) = (&self.config, &self.layers[index], cache.len());
        let (q_heads, kv_heads, head_dim) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
        let (x, h, qkv, attn, step) = (work.x.all(), work.h.all(), work.qkv.all(), work.attn.all(), work.step.all());
        let stride = layer.qkv_proj.width();
        rms_norm::record(recording, (tokens, config.hidden_size), config.rms_norm_eps, &x, &layer.input_layernorm, &h)?;
        layer.qkv_proj.record(recording, &h, tokens, &qkv)?; // [tokens, q | k | v]
        let heads = QkvHeads { q: q_heads, kv: kv_heads, dim: head_dim, pairs: config.rope.pairs };
        let cached = cache.layer(index);
        rope_append::record(recording, &RopeAppend { qkv: &qkv, tokens, heads, step: &step, cache: cached })?;
        attention::record(
            recording,
            &Attention {
                q: &Heads { buffer: qkv, stride, offset: 0 },
                kv: KeysValues::Cache(cached),
                out: &attn,
                q_tokens: tokens,
                kv_tokens: past + tokens,
                q_heads,
                kv_heads,
                head_dim,
                causal_past: Some(past),
            },
        )?;
        project(recording, &layer.o_proj, &attn, tokens, &x, true)
    }

    fn feed_forward(&self, recording: &mut Recording, work: &Workspace, layer: &Layer, tokens: usize) -> Result<()> {
        let config = &self.config;
        let (x, h, gate_up, act) = (work.x.all(), work.h.all(), work.gate_up.all(), work.act.all());
        rms_norm::record(
            recording,
            (tokens, config.hidden_size),
            config.rms_norm_eps,
            &x,
            &layer.post_attention_layernorm,
            &h,
        )?;
        layer.gate_up_proj.record(recording, &h, tokens, &gate_up)?; // [tokens, gate | up]
        glu::record(recording, (tokens, config.intermediate_size), Activation::Silu, &gate_up, &act)?;
        project(recording, &layer.down_proj, &act, tokens, &x, true)
    }

    /// Records the logits of `rows` rows of the last layer's output into `work.logits`. `x`: `// [rows, hidden]`.
    pub(super) fn record_head(
        &self,
        recording: &mut Recording,
        work: &Workspace,
        x: &Slice,
        rows: usize,
    ) -> Result<()> {
        let h = work.h.all(); // [rows, hidden]
        rms_norm::record(recording, (rows, self.config.hidden_size), self.config.rms_norm_eps, x, &self.norm, &h)?;
        project(recording, self.lm_head.as_ref().unwrap_or(&self.embed_tokens), &h, rows, &work.logits.all(), false)
    }
}
