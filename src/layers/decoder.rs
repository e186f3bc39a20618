//! A decoder: embedding, layers of a mixer and a feed-forward, norm and head. The same code records prompts, single tokens and drafts.

use std::ops::Range;
use std::slice::from_ref;

use super::attention::Attention;
use super::cross::CrossAttention;
use super::delta::DeltaNet;
use super::linear::{FusedLinear, Norm, normed};
use super::mlp::Mlp;
use super::pass::{Form, Pass};
use super::rope;
use crate::config::{Activation, TextConfig};
use crate::error::{Error, Result};
use crate::gpu::{Recording, Slice};
use crate::kernels::rope_append::{HeadNorms, Heads, table_row, table_stride};
use crate::kernels::sample::Sampling;
use crate::kernels::{RowShape, accept, add_features, embed_rows, sample_scan};
use crate::state::{LayerState, State};
use crate::weights::{Weight, WeightStore};

/// What mixes the rows of a layer.
#[derive(Debug)]
pub enum Mixer {
    /// Causal self-attention over all earlier entries.
    Attention(Attention),
    /// A recurrence over all earlier entries.
    Delta(DeltaNet),
    /// Attention to the pictures in sight. Where there is none, the whole layer is left out.
    Cross(CrossAttention),
}

/// One layer of a decoder.
#[derive(Debug)]
pub struct Layer {
    /// What mixes its rows.
    pub mixer: Mixer,
    /// What follows.
    pub mlp: Mlp,
}

impl Layer {
    /// Takes the weights of a pre-norm layer of attention and a gated feed-forward, under Hugging Face's names. Fails with
    /// [`crate::Error::InvalidPackage`] if one is missing.
    pub fn attention(config: &TextConfig, weights: &mut WeightStore, layer: usize) -> Result<Self> {
        let at = |name: &str| format!("layers.{layer}.{name}");
        let head_norm = |weights: &mut WeightStore, name: &str| weights.vector(&at(&format!("self_attn.{name}_norm")));
        let head_norms = if config.head_norms {
            Some(HeadNorms { q: head_norm(weights, "q")?, k: head_norm(weights, "k")?, eps: config.rms_norm_eps })
        } else {
            None
        };
        let mixer = Mixer::Attention(Attention {
            head_norms,
            norm: norm(config, weights, &at("input_layernorm"))?,
            qkv_proj: FusedLinear { matrices: weights.fused(&at("self_attn.qkv_proj"))? },
            o_proj: weights.matrix(&at("self_attn.o_proj"))?,
            heads: heads(config),
        });
        Ok(Self { mixer, mlp: Self::mlp(config, weights, layer)? })
    }

    /// Takes the weights of a pre-norm layer of a gated delta net and a gated feed-forward; fails as [`Self::attention`], and with
    /// [`Error::Internal`] for a decoder without sizes of such layers.
    pub fn delta(config: &TextConfig, weights: &mut WeightStore, layer: usize) -> Result<Self> {
        let at = |name: &str| format!("layers.{layer}.linear_attn.{name}");
        let delta = config.delta.clone();
        let no_sizes = || Error::Internal { detail: "a delta net without sizes".into() };
        let mut in_proj = weights.fused(&at("in_proj_qkvz"))?;
        in_proj.extend(weights.fused(&at("in_proj_ba"))?);
        let mixer = Mixer::Delta(DeltaNet {
            norm: norm(config, weights, &format!("layers.{layer}.input_layernorm"))?,
            in_proj,
            conv: weights.vector(&at("conv1d"))?,
            rates: [weights.vector(&at("rate"))?, weights.vector(&at("dt_bias"))?],
            head_norm: weights.vector(&at("norm"))?,
            out_proj: weights.matrix(&at("out_proj"))?,
            config: delta.ok_or_else(no_sizes)?,
        });
        Ok(Self { mixer, mlp: Self::mlp(config, weights, layer)? })
    }

    /// Takes the weights of a pre-norm layer of attention to pictures and a gated feed-forward; fails as [`Self::attention`].
    pub fn cross(config: &TextConfig, weights: &mut WeightStore, layer: usize) -> Result<Self> {
        let at = |name: &str| format!("layers.{layer}.{name}");
        let (q, k) = (weights.vector(&at("cross_attn.q_norm"))?, weights.vector(&at("cross_attn.k_norm"))?);
        let mixer = Mixer::Cross(CrossAttention {
            norm: norm(config, weights, &at("input_layernorm"))?,
            q_proj: weights.matrix(&at("cross_attn.q_proj"))?,
            kv_proj: FusedLinear { matrices: weights.fused(&at("cross_attn.kv_proj"))? },
            o_proj: weights.matrix(&at("cross_attn.o_proj"))?,
            heads: heads(config),
            head_norms: HeadNorms { q, k, eps: config.rms_norm_eps },
        });
        Ok(Self { mixer, mlp: Self::mlp(config, weights, layer)? })
    }

    fn mlp(config: &TextConfig, weights: &mut WeightStore, layer: usize) -> Result<Mlp> {
        let at = |name: &str| format!("layers.{layer}.{name}");
        Ok(Mlp {
            norm: norm(config, weights, &at("post_attention_layernorm"))?,
            gate_up_proj: FusedLinear { matrices: weights.fused(&at("mlp.gate_up_proj"))? },
            down_proj: weights.matrix(&at("mlp.down_proj"))?,
            activation: Activation::Silu,
        })
    }
}

fn heads(config: &TextConfig) -> Heads {
    let (q, kv) = (config.num_attention_heads, config.num_key_value_heads);
    Heads { q, kv, dim: config.head_dim, pairs: config.rope.pairs }
}

fn norm(config: &TextConfig, weights: &mut WeightStore, name: &str) -> Result<Norm> {
    Norm::new(weights, name, (config.hidden_size, config.rms_norm_eps))
}

/// The decoder's weights.
#[derive(Debug)]
pub struct Decoder {
    /// Its shape.
    pub config: TextConfig,
    /// Of the rotary embedding. `// [head_dim / 2]`
    frequencies: Vec<f32>,
    embed_tokens: Weight,
    layers: Vec<Layer>,
    norm: Norm,
    lm_head: Option<Weight>,
    /// Rows of features of a picture's token beside the one that it starts from: each is added behind one of the first layers.
    stacked_features: usize,
}

impl Decoder {
    /// Takes embedding, final norm and head; `layer` takes the layers. Fails with [`crate::Error::InvalidPackage`] if a weight is missing.
    pub fn new(
        config: &TextConfig,
        weights: &mut WeightStore,
        layer: impl Fn(&TextConfig, &mut WeightStore, usize) -> Result<Layer>,
    ) -> Result<Self> {
        Ok(Self {
            config: config.clone(),
            frequencies: rope::inverse_frequencies(&config.rope, config.head_dim),
            embed_tokens: weights.matrix("embed_tokens")?,
            layers: (0..config.layers.len()).map(|index| layer(config, weights, index)).collect::<Result<_>>()?,
            norm: norm(config, weights, "norm")?,
            lm_head: if config.tie_word_embeddings { None } else { Some(weights.matrix("lm_head")?) },
            stacked_features: 0,
        })
    }

    /// With so many further rows of features of each picture's token, which are added behind the first layers.
    #[must_use]
    pub fn with_stacked_features(self, stacked_features: usize) -> Self {
        Self { stacked_features, ..self }
    }

    /// Rows of the rope table in the step buffer, for these positions.
    pub(crate) fn rope_table(&self, positions: &[[usize; 3]]) -> Vec<u32> {
        let config = &self.config;
        let angles = rope::text_angles(&config.rope, &self.frequencies, positions); // [positions, head_dim / 2, 2]
        let scales = rope::query_scales(config.query_scaling.as_ref(), positions); // [positions]
        let mut words = Vec::with_capacity(positions.len() * table_stride(config.head_dim));
        for (rotations, scale) in angles.chunks(config.head_dim / 2).zip(scales) {
            words.extend(table_row(rotations, scale).map(f32::to_bits));
        }
        words
    }

    /// Records the rows that start a pass: embeddings of the tokens in `sources`, or rows of `features`.
    pub fn record_inputs(&self, pass: &mut Pass<'_>, sources: &Slice, features: &Slice) -> Result<()> {
        let (x, lane_layout) = (pass.x(), pass.lane_layout(self.config.hidden_size)); // [rows, hidden]
        embed_rows::record(pass.recording, &self.embed_tokens, pass.rows, sources, features, (&x, lane_layout))
    }

    /// Records some layers over the rows in `pass.work.x`.
    pub fn record_layers(&self, pass: &mut Pass<'_>, state: &State, layers: Range<usize>) -> Result<()> {
        for (layer, index) in self.layers.iter().zip(0..).take(layers.end).skip(layers.start) {
            match (&layer.mixer, state.layer(index)?) {
                (Mixer::Attention(attention), LayerState::Kv(cache)) => attention.record(pass, &cache)?,
                (Mixer::Delta(delta), LayerState::Delta(state)) => delta.record(pass, &state)?,
                (Mixer::Cross(_), LayerState::Pictures(None)) => continue,
                (Mixer::Cross(cross), LayerState::Pictures(Some(seen))) => cross.record(pass, &seen)?,
                _ => return Err(Error::Internal { detail: format!("layer {index} has a state of another kind") }),
            }
            layer.mlp.record(pass)?;
            if let Some(features) = pass.features.as_ref().filter(|_| index < self.stacked_features) {
                let shape = RowShape { rows: pass.rows, width: self.config.hidden_size };
                let x = pass.work.x.all();
                add_features::record(pass.recording, shape, 1 + index, [&pass.work.sources.all(), features], &x)?;
            }
        }
        Ok(())
    }

    /// Records that recurrent layers see the first `count` rows of the last pass over drafts. `out`: somewhere to work, as wide as
    /// [`Workspace::attn`](super::Workspace::attn).
    pub(crate) fn bring_forward(
        &self,
        recording: &mut Recording,
        count: usize,
        state: &State,
        out: &Slice,
    ) -> Result<()> {
        for (layer, index) in self.layers.iter().zip(0..) {
            if let (Mixer::Delta(delta), LayerState::Delta(state)) = (&layer.mixer, state.layer(index)?) {
                delta.bring_forward(recording, count, &state, out)?;
            }
        }
        Ok(())
    }

    /// Records the logits of `rows` rows of the last layer's output into `pass.work.logits`. `x`: `// [rows, hidden]`.
    pub fn record_head(&self, pass: &mut Pass<'_>, (x, rows): (&Slice, usize)) -> Result<()> {
        let (head, logits) = (self.lm_head.as_ref().unwrap_or(&self.embed_tokens), pass.work.logits.all()); // [rows, vocab]
        normed(pass, from_ref(head), &self.norm, (x, rows), &logits)
    }

    /// Records a step from its inputs to its logits; of several rows of a conversation also the choice among the logits of each, and its
    /// comparison with the drafts that the rows began with.
    pub(crate) fn record_step(&self, pass: &mut Pass<'_>, state: &State) -> Result<()> {
        let (work, rows) = (pass.work, pass.rows);
        let (inputs, step) = (work.sources.all(), work.step.all());
        let sources = if rows == 1 { work.step.slice(0..4) } else { inputs.clone() };
        // The kernel binds some features even where no source names one.
        self.record_inputs(pass, &sources, &work.gathered.all())?;
        self.record_layers(pass, state, 0..self.layers.len())?;
        let x = pass.x(); // [rows, hidden]
        self.record_head(pass, (&x, rows))?;
        if rows == 1 || matches!(pass.form, Form::Step { apart: true, .. }) {
            return Ok(());
        }
        let sampling = Sampling::greedy(self.config.vocab_size, rows, &work.likeliest, &inputs)?;
        sample_scan::record(pass.recording, &sampling, rows, &work.logits.all(), &step)?; // [rows, vocab]
        accept::record(pass.recording, &sampling, rows, &inputs, &step)
    }

    /// Bytes of the matrices of the first layer.
    pub fn layer_bytes(&self) -> u64 {
        let Some(Layer { mixer, mlp }) = self.layers.first() else { return 0 };
        let mixed: Vec<&Weight> = match mixer {
            Mixer::Attention(attention) => attention.qkv_proj.matrices.iter().chain([&attention.o_proj]).collect(),
            Mixer::Delta(delta) => delta.matrices().collect(),
            Mixer::Cross(cross) => cross.matrices().collect(),
        };
        let matrices = mixed.into_iter().chain(&mlp.gate_up_proj.matrices);
        let parts = matrices.chain([&mlp.down_proj]).flat_map(|weight| &weight.parts);
        parts.flat_map(|part| &part.planes).map(|plane| plane.bytes).sum()
    }
}
