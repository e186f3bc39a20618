//! The decoder: pre-norm layers of causal grouped-query attention and a gated feed-forward (`transformers`
//! `modeling_ministral3.py`).

use super::kv_cache::KvCache;
use super::linear::{Stacked, project};
use super::rope;
use crate::config::{Activation, LayerKind, TextConfig};
use crate::error::Result;
use crate::gpu::buffer::allocated;
use crate::gpu::{Buffer, Gpu, Purpose, Recording, Slice};
use crate::kernels::attention::{self, Attention, Heads, KeysValues};
use crate::kernels::kv_append::{self, Append};
use crate::kernels::{embed_rows, glu, rms_norm, rope as rope_kernel};
use crate::weights::upload::{Weight, WeightStore};

/// The decoder's weights.
#[derive(Debug)]
pub struct Decoder {
    config: TextConfig,
    frequencies: Vec<f32>,
    embed_tokens: Weight,
    layers: Vec<Layer>,
    norm: Slice,
    lm_head: Option<Weight>,
}

#[derive(Debug)]
struct Layer {
    input_layernorm: Slice,
    qkv_proj: Stacked,
    o_proj: Weight,
    post_attention_layernorm: Slice,
    gate_up_proj: Stacked,
    down_proj: Weight,
}

/// Buffers that every layer uses in turn, for up to so many tokens.
#[derive(Debug)]
pub(super) struct Workspace {
    /// Residual stream. `// [tokens, hidden]`
    pub(super) x: Buffer,
    h: Buffer,       // [tokens, hidden]
    qkv: Buffer,     // [tokens, (q_heads + 2 * kv_heads) * head_dim]
    attn: Buffer,    // [tokens, q_heads * head_dim]
    gate_up: Buffer, // [tokens, 2 * intermediate]
    act: Buffer,     // [tokens, intermediate]
    angles: Buffer,  // [tokens, head_dim / 2, 2]
    q_scale: Buffer, // [tokens]
    sources: Buffer, // [tokens]
    /// Rows the head reads. `// [head rows, hidden]`
    pub(super) gathered: Buffer,
    /// What the head makes of them. `// [head rows, vocab]`
    pub(super) logits: Buffer,
}

/// Rows of the decoder computed at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct TextRows {
    /// Tokens of a prompt.
    pub prompt: usize,
    /// Rows of logits; no more than of a prompt.
    pub head: usize,
}

/// Bytes of every buffer, in the order of [`Workspace`].
fn buffers(config: &TextConfig, rows: TextRows) -> [u64; 11] {
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
        of(rows.prompt, config.head_dim),
        of(rows.prompt, 1),
        of(rows.prompt, 1),
        of(rows.head, config.hidden_size),
        of(rows.head, config.vocab_size),
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
        let [x, h, qkv, attn, gate_up, act, angles, q_scale, sources, gathered, logits] = buffers(config, rows);
        Ok(Self {
            x: alloc("x", x)?,
            h: alloc("h", h)?,
            qkv: alloc("qkv", qkv)?,
            attn: alloc("attn", attn)?,
            gate_up: alloc("gate_up", gate_up)?,
            act: alloc("act", act)?,
            angles: alloc("angles", angles)?,
            q_scale: alloc("q_scale", q_scale)?,
            sources: alloc("sources", sources)?,
            gathered: alloc("gathered", gathered)?,
            logits: alloc("logits", logits)?,
        })
    }
}

/// Matrices that one launch can compute, for [`crate::weights::upload::Selection`].
pub fn joins(config: &TextConfig) -> Vec<Vec<String>> {
    (0..config.layers.len()).flat_map(|layer| [qkv_names(layer), gate_up_names(layer)]).collect()
}

fn qkv_names(layer: usize) -> Vec<String> {
    ["q", "k", "v"].map(|name| format!("layers.{layer}.self_attn.{name}_proj")).to_vec()
}

fn gate_up_names(layer: usize) -> Vec<String> {
    ["gate", "up"].map(|name| format!("layers.{layer}.mlp.{name}_proj")).to_vec()
}

impl Layer {
    fn new(weights: &mut WeightStore, layer: usize) -> Result<Self> {
        let at = |name: &str| format!("layers.{layer}.{name}");
        Ok(Self {
            input_layernorm: weights.vector(&at("input_layernorm"))?,
            qkv_proj: Stacked::new(weights, &qkv_names(layer))?,
            o_proj: weights.matrix(&at("self_attn.o_proj"))?,
            post_attention_layernorm: weights.vector(&at("post_attention_layernorm"))?,
            gate_up_proj: Stacked::new(weights, &gate_up_names(layer))?,
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
            frequencies: rope::inverse_frequencies(&config.rope, config.head_dim),
            embed_tokens: weights.matrix("embed_tokens")?,
            layers: (0..config.layers.len()).map(|layer| Layer::new(weights, layer)).collect::<Result<_>>()?,
            norm: weights.vector("norm")?,
            lm_head: if config.tie_word_embeddings { None } else { Some(weights.matrix("lm_head")?) },
        })
    }

    /// Writes what the next tokens' forward pass reads besides weights: which rows to gather, and how far to turn them.
    pub(super) fn upload_inputs(&self, gpu: &Gpu, work: &Workspace, sources: &[u32], past: usize) -> Result<()> {
        let angles = rope::text_angles(&self.config.rope, &self.frequencies, past, sources.len());
        let q_scale = rope::query_scales(self.config.query_scaling.as_ref(), past, sources.len());
        gpu.write(&work.angles, 0, bytemuck::cast_slice(&angles))?;
        gpu.write(&work.q_scale, 0, bytemuck::cast_slice(&q_scale))?;
        gpu.write(&work.sources, 0, bytemuck::cast_slice(sources))
    }

    /// Records the forward pass of `tokens` tokens behind those in the cache, from [`Self::upload_inputs`] to the last
    /// layer's output in `work.x`.
    pub(super) fn record(
        &self,
        recording: &mut Recording,
        work: &Workspace,
        cache: &KvCache,
        features: &Slice,
        tokens: usize,
    ) -> Result<()> {
        let x = work.x.all(); // [tokens, hidden]
        embed_rows::record(recording, &self.embed_tokens, tokens, &work.sources.all(), features, &x)?;
        for (index, (layer, kind)) in self.layers.iter().zip(&self.config.layers).enumerate() {
            match kind {
                LayerKind::FullAttention => self.self_attention(recording, work, cache, index, tokens)?,
            }
            self.feed_forward(recording, work, layer, tokens)?;
        }
        Ok(())
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
        let (x, h, qkv, attn) = (work.x.all(), work.h.all(), work.qkv.all(), work.attn.all());
        let stride = layer.qkv_proj.width();
        rms_norm::record(recording, (tokens, config.hidden_size), config.rms_norm_eps, &x, &layer.input_layernorm, &h)?;
        layer.qkv_proj.record(recording, &h, tokens, &qkv)?; // [tokens, q | k | v]
        let heads = rope_kernel::Heads { q: q_heads, k: kv_heads, dim: head_dim, pairs: config.rope.pairs };
        rope_kernel::record(recording, heads, (tokens, stride), &qkv, &work.angles.all(), &work.q_scale.all())?;
        let append = Append { tokens, past, kv_heads, head_dim, stride, k_offset: q_heads * head_dim };
        let cached = cache.layer(index);
        kv_append::record(recording, append, &qkv, cached)?;
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
