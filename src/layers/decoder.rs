//! A decoder: embedding, layers of a mixer and a feed-forward, norm and head. The same code records prompts, single tokens and drafts.

use std::ops::Range;
use std::slice::from_ref;

use super::attend::scoring;
use super::attention::Attention;
use super::cross::CrossAttention;
use super::delta::DeltaNet;
use super::linear::{FusedLinear, Norm, Residual, normed};
use super::mlp::Mlp;
use super::pass::{Form, Pass};
use super::per_layer::{PerLayerGate, PerLayerInputs};
use super::rope::RopeTables;
use crate::config::{KvHeads, LayerKind, RopeConfig, TextConfig, Values};
use crate::error::{Error, Result};
use crate::gpu::{Recording, Slice};
use crate::kernels::gate_rows::RowPart;
use crate::kernels::rope_append::{HeadNorms, HeadValues, Heads, RopeChoice};
use crate::kernels::sample::Sampling;
use crate::kernels::{RowShape, accept, add_features, embed_rows, sample_scan, soft_cap};
use crate::state::{LayerState, State};
use crate::weights::{Weight, WeightStore};

/// The part of a layer that mixes rows.
#[derive(Debug)]
pub enum Mixer {
    /// Causal self-attention over earlier entries.
    Attention(Attention),
    /// A recurrence over all earlier entries.
    Delta(DeltaNet),
    /// Attention to the visible pictures. The whole layer is skipped while no picture is visible.
    Cross(CrossAttention),
}

/// One layer of a decoder.
#[derive(Debug)]
pub struct Layer {
    /// Mixes its rows.
    pub mixer: Mixer,
    /// Follows the mixer.
    pub mlp: Mlp,
    /// Follows the feed-forward, in models with per-layer inputs.
    pub per_layer: Option<PerLayerGate>,
}

/// The weights of one layer, under Hugging Face's names, with the options of the configuration.
struct LayerWeights<'a> {
    config: &'a TextConfig,
    weights: &'a mut WeightStore,
    layer: usize,
}

impl LayerWeights<'_> {
    fn at(&self, name: &str) -> String {
        format!("layers.{}.{name}", self.layer)
    }

    fn matrix(&mut self, name: &str) -> Result<Weight> {
        self.weights.matrix(&self.at(name))
    }

    fn fused(&mut self, name: &str) -> Result<FusedLinear> {
        Ok(FusedLinear { matrices: self.weights.fused(&self.at(name))? })
    }

    fn vector(&mut self, name: &str) -> Result<Slice> {
        self.weights.vector(&self.at(name))
    }

    fn norm(&mut self, name: &str) -> Result<Norm> {
        norm(self.config, self.weights, &self.at(name))
    }

    /// The last product of attention or feed-forward, with the norm after it in layers that have one.
    fn residual(&mut self, name: &str, post_norm: &str) -> Result<Residual> {
        let has_norm = self.config.layer_options.post_norms;
        let post_norm = if has_norm { Some(self.norm(post_norm)?) } else { None };
        Ok(Residual { weight: self.matrix(name)?, post_norm, factor: None })
    }

    /// The factor of the layer, in models that have one.
    fn factor(&mut self) -> Result<Option<Slice>> {
        if self.config.layer_options.layer_scalars { self.vector("layer_scalar").map(Some) } else { Ok(None) }
    }

    /// The last product of the mixer.
    fn mixed(&mut self, name: &str) -> Result<Residual> {
        self.residual(name, "post_attention_layernorm")
    }

    fn head_norms(&mut self, mixer: &str) -> Result<HeadNorms> {
        let q = self.vector(&format!("{mixer}.q_norm"))?;
        // The kernel binds a weight of keys even where there are none.
        let k = if self.config.owns_kv(self.layer) { self.vector(&format!("{mixer}.k_norm"))? } else { q.clone() };
        let values = match self.config.layer_options.values {
            _ if self.config.keys_are_values(self.kind()) => HeadValues::Keys,
            Values::Plain => HeadValues::Plain,
            Values::Normed | Values::KeysInFullLayers => HeadValues::Normed,
        };
        Ok(HeadNorms { q, k, eps: self.config.rms_norm_eps, values })
    }

    fn kind(&self) -> LayerKind {
        self.config.layers.get(self.layer).copied().unwrap_or(LayerKind::FullAttention)
    }

    fn heads(&self, rope: &RopeConfig) -> Heads {
        let KvHeads { count: kv, dim } = self.config.kv_heads(self.kind());
        Heads { q: self.config.num_attention_heads, kv, dim, pairs: rope.pairs }
    }

    fn mlp(&mut self) -> Result<Mlp> {
        // With post-norms, the name of the norm before the feed-forward is that of the norm after attention.
        let has_post_norms = self.config.layer_options.post_norms;
        let norm = if has_post_norms { "pre_feedforward_layernorm" } else { "post_attention_layernorm" };
        let down_proj = self.residual("mlp.down_proj", "post_feedforward_layernorm")?;
        // Per-layer inputs come after the feed-forward.
        let is_last = self.config.layer_options.per_layer_inputs.is_none();
        let factor = if is_last { self.factor()? } else { None };
        Ok(Mlp {
            norm: self.norm(norm)?,
            gate_up_proj: self.fused("mlp.gate_up_proj")?,
            down_proj: Residual { factor, ..down_proj },
            activation: self.config.layer_options.hidden_act,
        })
    }

    /// The part of a layer that reads per-layer inputs, in models that have them.
    fn per_layer(&mut self) -> Result<Option<PerLayerGate>> {
        let Some(width) = self.config.layer_options.per_layer_inputs else { return Ok(None) };
        let projection = self.residual("per_layer_projection", "post_per_layer_input_norm")?;
        // The inputs are larger than those of `transformers` by the root of 2, which the norm undoes.
        let post_norm = projection.post_norm.map(|norm| Norm { eps: 2.0 * norm.eps, ..norm });
        let stride = width * self.config.layers.len();
        Ok(Some(PerLayerGate {
            gate: self.matrix("per_layer_input_gate")?,
            projection: Residual { post_norm, factor: self.factor()?, ..projection },
            part: RowPart { stride, offset: self.layer * width },
            activation: self.config.layer_options.hidden_act,
        }))
    }
}

impl Layer {
    /// Takes the weights of a layer of self-attention and a gated feed-forward, under Hugging Face's names. Fails with
    /// [`crate::Error::InvalidPackage`] if one is missing.
    pub fn attention(config: &TextConfig, weights: &mut WeightStore, layer: usize) -> Result<Self> {
        let mut own = LayerWeights { config, weights, layer };
        let kind = config.layers.get(layer).copied().unwrap_or(LayerKind::FullAttention);
        let (of, is_sliding) = (config.ropes().count(), kind == LayerKind::SlidingAttention);
        let index = if is_sliding { of - 1 } else { 0 };
        let rope = config.ropes().nth(index).map_or(&config.rope, |(rope, _)| rope);
        let attention = Attention {
            norm: own.norm("input_layernorm")?,
            qkv_proj: own.fused("self_attn.qkv_proj")?,
            o_proj: own.mixed("self_attn.o_proj")?,
            heads: own.heads(rope),
            head_norms: if config.head_norms { Some(own.head_norms("self_attn")?) } else { None },
            rope: if of > 1 { RopeChoice { index, of, widest: config.widest_head() } } else { RopeChoice::ONLY },
            scoring: scoring(config, kind),
            shares_kv: !config.owns_kv(layer),
        };
        Ok(Self { mixer: Mixer::Attention(attention), mlp: own.mlp()?, per_layer: own.per_layer()? })
    }

    /// Takes the weights of a layer of a gated delta net and a gated feed-forward; fails as [`Self::attention`], and with
    /// [`Error::Internal`] for a decoder without sizes of such layers.
    pub fn delta(config: &TextConfig, weights: &mut WeightStore, layer: usize) -> Result<Self> {
        let mut own = LayerWeights { config, weights, layer };
        let no_sizes = || Error::Internal { detail: "a delta net without sizes".into() };
        let mut in_proj = own.fused("linear_attn.in_proj_qkvz")?.matrices;
        in_proj.extend(own.fused("linear_attn.in_proj_ba")?.matrices);
        let delta = DeltaNet {
            norm: own.norm("input_layernorm")?,
            in_proj,
            conv: own.vector("linear_attn.conv1d")?,
            rates: [own.vector("linear_attn.rate")?, own.vector("linear_attn.dt_bias")?],
            head_norm: own.vector("linear_attn.norm")?,
            out_proj: own.mixed("linear_attn.out_proj")?,
            config: config.delta.clone().ok_or_else(no_sizes)?,
        };
        Ok(Self { mixer: Mixer::Delta(delta), mlp: own.mlp()?, per_layer: None })
    }

    /// Takes the weights of a layer of attention to pictures and a gated feed-forward; fails as [`Self::attention`].
    pub fn cross(config: &TextConfig, weights: &mut WeightStore, layer: usize) -> Result<Self> {
        let mut own = LayerWeights { config, weights, layer };
        let cross = CrossAttention {
            norm: own.norm("input_layernorm")?,
            q_proj: own.matrix("cross_attn.q_proj")?,
            kv_proj: own.fused("cross_attn.kv_proj")?,
            o_proj: own.mixed("cross_attn.o_proj")?,
            heads: own.heads(&config.rope),
            head_norms: own.head_norms("cross_attn")?,
            scoring: scoring(config, LayerKind::CrossAttention),
        };
        Ok(Self { mixer: Mixer::Cross(cross), mlp: own.mlp()?, per_layer: None })
    }
}

fn norm(config: &TextConfig, weights: &mut WeightStore, name: &str) -> Result<Norm> {
    Norm::new(weights, name, config.hidden_size, config.rms_norm_eps)
}

/// The decoder's weights.
#[derive(Debug)]
pub struct Decoder {
    /// Its configuration.
    pub config: TextConfig,
    ropes: RopeTables,
    embed_tokens: Weight,
    layers: Vec<Layer>,
    /// The norm after the last layer.
    pub(crate) norm: Norm,
    lm_head: Option<Weight>,
    /// Further rows of features of each image token: each is added after one of the first layers.
    stacked_features: usize,
    /// Inputs of the layers beside the stream, in models that have them.
    per_layer: Option<PerLayerInputs>,
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
            ropes: RopeTables::new(config),
            embed_tokens: weights.matrix("embed_tokens")?,
            layers: (0..config.layers.len()).map(|index| layer(config, weights, index)).collect::<Result<_>>()?,
            norm: norm(config, weights, "norm")?,
            lm_head: if config.tie_word_embeddings { None } else { Some(weights.matrix("lm_head")?) },
            stacked_features: 0,
            per_layer: PerLayerInputs::new(config, weights)?,
        })
    }

    /// Adds `stacked_features` further rows of features of each image token, one after each of the first layers.
    #[must_use]
    pub fn with_stacked_features(self, stacked_features: usize) -> Self {
        Self { stacked_features, ..self }
    }

    /// Rows of the rope table in the step buffer, for these positions.
    pub(crate) fn rope_table(&self, positions: &[[usize; 3]]) -> Vec<u32> {
        self.ropes.rows(&self.config, positions)
    }

    /// Records the rows that start a pass: embeddings of the tokens in `sources`, or rows of `features`.
    pub fn record_inputs(&self, pass: &mut Pass<'_>, sources: &Slice, features: &Slice) -> Result<()> {
        let (x, lane_layout) = (pass.x(), pass.lane_layout(self.config.hidden_size)); // [rows, hidden]
        let embedding = (&self.embed_tokens, self.config.embedding_scale);
        embed_rows::record(pass.recording, embedding, pass.rows, sources, features, (&x, lane_layout))?;
        self.per_layer.as_ref().map_or(Ok(()), |per_layer| per_layer.record(pass))
    }

    /// Records some layers over the rows in `pass.x`.
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
            layer.per_layer.as_ref().map_or(Ok(()), |per_layer| per_layer.record(pass))?;
            if let Some(features) = pass.features.as_ref().filter(|_| index < self.stacked_features) {
                let shape = RowShape { rows: pass.rows, width: self.config.hidden_size };
                let x = pass.x();
                add_features::record(pass.recording, shape, 1 + index, [&pass.work.sources.all(), features], &x)?;
            }
        }
        Ok(())
    }

    /// Replays the first `count` rows of the last pass over drafts into the state of recurrent layers. `out`: scratch memory, as wide as
    /// [`Workspace::attn`](super::Workspace::attn).
    pub(crate) fn replay_drafts(
        &self,
        recording: &mut Recording,
        count: usize,
        state: &State,
        out: &Slice,
    ) -> Result<()> {
        for (layer, index) in self.layers.iter().zip(0..) {
            if let (Mixer::Delta(delta), LayerState::Delta(state)) = (&layer.mixer, state.layer(index)?) {
                delta.replay(recording, count, &state, out)?;
            }
        }
        Ok(())
    }

    /// Records the logits of `rows` rows of the last layer's output into `pass.work.logits`. `x`: `// [rows, hidden]`.
    pub fn record_head(&self, pass: &mut Pass<'_>, (x, rows): (&Slice, usize)) -> Result<()> {
        let (head, logits) = (self.lm_head.as_ref().unwrap_or(&self.embed_tokens), pass.work.logits.all()); // [rows, vocab]
        normed(pass, from_ref(head), &self.norm, (x, rows), &logits)?;
        let cap = self.config.final_logit_softcapping;
        cap.map_or(Ok(()), |cap| soft_cap::record(pass.recording, rows * self.config.vocab_size, cap, &logits))
    }

    /// Records a step from its inputs to its logits; for several rows of one conversation also the greedy choice for each row, and its
    /// comparison with the drafts.
    pub(crate) fn record_step(&self, pass: &mut Pass<'_>, state: &State) -> Result<()> {
        let (work, rows) = (pass.work, pass.rows);
        let (inputs, step) = (work.sources.all(), work.step.all());
        let sources = if rows == 1 { work.step.slice(0..4) } else { inputs.clone() };
        // The kernel needs a binding of features even if no source refers to one.
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
        let Some(Layer { mixer, mlp, .. }) = self.layers.first() else { return 0 };
        let mixed: Vec<&Weight> = match mixer {
            Mixer::Attention(attention) => {
                attention.qkv_proj.matrices.iter().chain([&attention.o_proj.weight]).collect()
            }
            Mixer::Delta(delta) => delta.matrices().collect(),
            Mixer::Cross(cross) => cross.matrices().collect(),
        };
        let matrices = mixed.into_iter().chain(&mlp.gate_up_proj.matrices);
        let parts = matrices.chain([&mlp.down_proj.weight]).flat_map(|weight| &weight.parts);
        parts.flat_map(|part| &part.planes).map(|plane| plane.bytes).sum()
    }
}
