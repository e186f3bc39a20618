//! The SigLIP tower, which several families share (`transformers` `modeling_siglip.py`): layer norms, biases, learned positions, no rope.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::tensor_spec::{Role, TensorSpec};
use super::vision_faults::{head_fault, normalisation_fault};
use crate::checkpoint::gguf::decoder::Keys;
use crate::checkpoint::hf::fields::Fields;
use crate::config::{Activation, MAX_HEADS, MAX_LAYERS, MAX_WIDTH, number_fault, size_fault};
use crate::error::Result;
use crate::gpu::Recording;
use crate::layers::vision::{
    Affine, Biases, BlockNames, FeatureRows, FeedForward, NormKind, Output, PatchGrid, PatchNorm, PatchStem, Positions,
    ProjectorMemory, Stage, TowerOptions, Workspace,
};
use crate::layout::Layout;
use crate::weights::WeightStore;

/// Epsilon of every layer norm of the published models. GGUF files of models that rely on it have another one.
const EPS: f32 = 1e-6;
/// Tensors of a block.
const NAMES: BlockNames = BlockNames {
    attention_norm: "norm1",
    queries: None,
    projections: &["attn.q", "attn.k", "attn.v"],
    output: "attn.o",
    feed_forward_norm: "norm2",
    up: &["mlp.fc1"],
    down: "mlp.fc2",
    post_norms: None,
};

/// Sizes that configurations of a family leave out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults {
    /// Width of the tower.
    pub(super) hidden_size: usize,
    /// Attention heads of the tower.
    pub(super) num_attention_heads: usize,
    /// Side of a patch in pixels.
    pub(super) patch_size: usize,
}

/// A plain transformer over the patches of a square picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Siglip {
    /// Width of the tower.
    pub hidden_size: usize,
    /// Width of its feed-forward.
    pub intermediate_size: usize,
    /// Layers of the tower.
    pub num_hidden_layers: usize,
    /// Attention heads of the tower.
    pub num_attention_heads: usize,
    /// Side of a picture in pixels; where pictures have other sizes, of the square that the table of positions covers.
    pub image_size: usize,
    /// Side of a patch in pixels. Pixels at the lower and right edges that fill no patch are ignored.
    pub patch_size: usize,
    /// Epsilon of every layer norm.
    pub layer_norm_eps: f32,
    /// Per-channel mean of the normalisation, in 0..1.
    pub image_mean: [f32; 3],
    /// Per-channel standard deviation of the normalisation, in 0..1.
    pub image_std: [f32; 3],
}

impl Siglip {
    /// Patches along an edge of a picture, and positions along an edge of the table.
    pub(super) fn side(&self) -> usize {
        self.image_size / self.patch_size
    }

    fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// For people.
    pub(super) fn summary(&self) -> String {
        let Self { num_hidden_layers, hidden_size, num_attention_heads, patch_size, .. } = self;
        let head_dim = self.head_dim();
        format!(
            "{num_hidden_layers} layers, {hidden_size} wide, {num_attention_heads} heads of {head_dim}, patches of {patch_size}"
        )
    }

    /// The reason why the tower cannot be run, if there is one.
    pub(super) fn find_fault(&self) -> Option<String> {
        let sizes = [
            ("vision.num_attention_heads", self.num_attention_heads, 1, MAX_HEADS),
            ("vision.hidden_size", self.hidden_size, 4, MAX_WIDTH),
            ("vision.intermediate_size", self.intermediate_size, 4, MAX_WIDTH),
            ("vision.num_hidden_layers", self.num_hidden_layers, 1, MAX_LAYERS),
            ("vision.patch_size", self.patch_size, 2, 256),
            ("vision.image_size", self.image_size, 1, 1 << 12),
        ];
        size_fault(&sizes)
            .or_else(|| number_fault(&[("vision.layer_norm_eps", self.layer_norm_eps.into())]))
            .or_else(|| head_fault(self.hidden_size, self.num_attention_heads))
            .or_else(|| normalisation_fault(self.image_mean, self.image_std))
    }

    /// Reads `vision_config` and the settings of the image processor.
    pub(super) fn from_hf(
        config: Fields<'_>,
        images: Fields<'_>,
        architecture: &str,
        Defaults { hidden_size, num_attention_heads, patch_size }: Defaults,
    ) -> Result<Self> {
        let defaults = json!({
            "hidden_size": hidden_size, "intermediate_size": 3072, "num_hidden_layers": 12,
            "num_attention_heads": num_attention_heads, "num_channels": 3, "image_size": 224, "patch_size": patch_size,
            "layer_norm_eps": EPS,
            "hidden_act": "gelu_pytorch_tanh",
        });
        let config = config.or(&defaults);
        let size = |key: &str| config.needed(key, Fields::size);
        let act = config.text("hidden_act")?.unwrap_or_default();
        if act != "gelu_pytorch_tanh" {
            return Err(config.unsupported(architecture, "hidden_act", &format!("is {act:?}")));
        }
        if size("num_channels")? != 3 {
            return Err(config.unsupported(architecture, "num_channels", "is not 3"));
        }
        Ok(Self {
            hidden_size: size("hidden_size")?,
            intermediate_size: size("intermediate_size")?,
            num_hidden_layers: size("num_hidden_layers")?,
            num_attention_heads: size("num_attention_heads")?,
            image_size: config.needed("image_size", Fields::side)?,
            patch_size: config.needed("patch_size", Fields::side)?,
            layer_norm_eps: config.needed("layer_norm_eps", Fields::number)? as f32,
            image_mean: images.triple("image_mean")?.unwrap_or([0.5; 3]),
            image_std: images.triple("image_std")?.unwrap_or([0.5; 3]),
        })
    }

    /// Reads the keys of a GGUF file of the vision half.
    pub(super) fn from_gguf(keys: &Keys<'_>) -> Result<Self> {
        if keys.get("use_gelu")? != Some(true) {
            return Err(keys.unsupported("clip.use_gelu is not true"));
        }
        Ok(Self {
            hidden_size: keys.needed("vision.embedding_length")?,
            intermediate_size: keys.needed("vision.feed_forward_length")?,
            num_hidden_layers: keys.needed("vision.block_count")?,
            num_attention_heads: keys.needed("vision.attention.head_count")?,
            image_size: keys.needed("vision.image_size")?,
            patch_size: keys.needed("vision.patch_size")?,
            layer_norm_eps: EPS,
            image_mean: keys.get("vision.image_mean")?.unwrap_or([0.5; 3]),
            image_std: keys.get("vision.image_std")?.unwrap_or([0.5; 3]),
        })
    }

    /// The tensors up to the norm after the last layer, which belongs to the last stage; `hf` are the prefixes in Hugging Face checkpoints.
    pub(super) fn tensors(&self, hf: &'static [&'static str]) -> impl Iterator<Item = TensorSpec> + use<'_> {
        let (hidden, ffn, pixels) = (self.hidden_size, self.intermediate_size, 3 * self.patch_size * self.patch_size);
        let positions = self.side() * self.side();
        let at = move |stage: usize, name: &str, shape: &[usize], file: &str, gguf: &str| {
            let part = |kind: &str, name: String, shape: &[usize]| {
                TensorSpec::new(name, shape, Role::Vision(stage))
                    .hf(hf, &format!("{file}.{kind}"))
                    .gguf(format!("{gguf}.{kind}"))
            };
            let name = format!("vision.{name}");
            [part("bias", format!("{name}.bias"), &shape[..1]), part("weight", name, shape)]
        };
        let [patch_bias, patch_conv] =
            at(0, "patch_conv", &[hidden, pixels], "embeddings.patch_embedding", "v.patch_embd");
        let [_, table] = at(0, "positions", &[positions * hidden], "embeddings.position_embedding", "v.position_embd");
        let patch_conv = TensorSpec {
            checkpoint_shape: Some(vec![hidden, 3, self.patch_size, self.patch_size]),
            // Pixels enter here, and it is half a percent of the tower: fewer than 16 bits would save little and lose much.
            floor: Some(Layout::F16),
            ..patch_conv
        };
        let table = TensorSpec { checkpoint_shape: Some(vec![positions, hidden]), ..table };
        let layer = move |index: usize| {
            let at = |name: &str, shape: &[usize], file: &str, gguf: &str| {
                let (name, file) = (format!("layers.{index}.{name}"), format!("encoder.layers.{index}.{file}"));
                at(1 + index, &name, shape, &file, &format!("v.blk.{index}.{gguf}"))
            };
            [
                at("norm1", &[hidden], "layer_norm1", "ln1"),
                at("attn.q", &[hidden, hidden], "self_attn.q_proj", "attn_q"),
                at("attn.k", &[hidden, hidden], "self_attn.k_proj", "attn_k"),
                at("attn.v", &[hidden, hidden], "self_attn.v_proj", "attn_v"),
                at("attn.o", &[hidden, hidden], "self_attn.out_proj", "attn_out"),
                at("norm2", &[hidden], "layer_norm2", "ln2"),
                at("mlp.fc1", &[ffn, hidden], "mlp.fc1", "ffn_up"),
                at("mlp.fc2", &[hidden, ffn], "mlp.fc2", "ffn_down"),
            ]
        };
        let last = at(1 + self.num_hidden_layers, "ln_post", &[hidden], "post_layernorm", "v.post_ln");
        [patch_conv, patch_bias, table]
            .into_iter()
            .chain((0..self.num_hidden_layers).flat_map(layer).flatten())
            .chain(last)
    }

    /// The tower, of whose patches squares with a side of `merge` become one token.
    pub(super) fn options(&self, merge: usize) -> TowerOptions {
        let Self { patch_size: side, image_mean: mean, image_std: std, .. } = *self;
        let (width, activation) = (self.intermediate_size, Activation::GeluTanh);
        TowerOptions {
            grid: PatchGrid { side, merge, mean, std },
            hidden: self.hidden_size,
            layers: self.num_hidden_layers,
            norm: NormKind::Layer,
            eps: self.layer_norm_eps,
            heads: self.num_attention_heads,
            head_dim: self.head_dim(),
            score_scale: None,
            head_norms: false,
            clips: false,
            rope: None,
            feed_forward: FeedForward { width, activation, gated: false },
            biases: Biases::All,
            names: NAMES,
            rows_per_token: merge * merge,
            projector: ProjectorMemory::default(),
        }
    }

    /// The first stage.
    pub(super) fn stem(&self, weights: &mut WeightStore) -> Result<Box<dyn Stage>> {
        let positions = Positions { table: weights.vector("vision.positions")?, side: self.side() };
        let patch_conv = Affine::new(weights, "vision.patch_conv", true)?;
        Ok(Box::new(PatchStem { patch_conv, positions: Some(positions), norm: None }))
    }
}

/// A last stage: the norm after the last layer, then squares of patches side by side to rows of features.
#[derive(Debug)]
pub(super) struct Connector {
    norm: PatchNorm,
    linear: Affine,
}

impl Connector {
    /// Takes the weights; [`crate::Error::InvalidPackage`] if one is missing.
    pub(super) fn new(options: &TowerOptions, weights: &mut WeightStore) -> Result<Self> {
        let norm = PatchNorm::new(weights, "vision.ln_post", options.hidden, options)?;
        Ok(Self { norm, linear: Affine::new(weights, "connector", false)? })
    }
}

impl Stage for Connector {
    /// Records the residual stream to features. The patches of a square are consecutive: side by side, they are its row.
    fn record(&self, recording: &mut Recording, work: &Workspace, features: FeatureRows<'_>) -> Result<()> {
        let (normed, patches) = (work.h.all(), work.options.rows_per_token);
        let (y, stride) = (&features.buffer.all(), self.linear.width());
        for range in work.chunks() {
            let (first, tokens) = (features.first + range.start / patches, range.len() / patches);
            self.norm.record(recording, range.len(), &work.residual(&range), &normed)?; // [tokens, patches * hidden]
            let output = Output { y, stride, offset: first * stride, accumulate: false };
            self.linear.record_into(recording, &normed, tokens, output)?;
        }
        Ok(())
    }
}
