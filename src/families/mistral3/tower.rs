//! The Pixtral tower: root mean square norms, a rope, a gated feed-forward, no biases (`transformers` `modeling_pixtral.py`).

use super::config::{Config, VisionConfig};
use super::projector::Projector;
use crate::error::Result;
use crate::layers::vision::{
    Affine, Biases, BlockNames, FeedForward, Frequencies, NormKind, PatchGrid, PatchNorm, PatchRope, PatchStem,
    ProjectorMemory, Stage, Tower, TowerOptions, TowerParts,
};
use crate::weights::WeightStore;

/// Tensors of a block.
const NAMES: BlockNames = BlockNames {
    attention_norm: "attention_norm",
    queries: Some("attention.q_proj"),
    projections: &["attention.k_proj", "attention.v_proj"],
    output: "attention.o_proj",
    feed_forward_norm: "ffn_norm",
    up: &["feed_forward.gate_up_proj"],
    down: "feed_forward.down_proj",
    post_norms: None,
};

/// The parts of the tower beside its blocks.
#[derive(Debug)]
struct Parts {
    config: Config,
    vision: VisionConfig,
}

impl TowerParts for Parts {
    fn stem(&self, options: &TowerOptions, weights: &mut WeightStore) -> Result<Box<dyn Stage>> {
        let norm = PatchNorm::new(weights, "vision.ln_pre", options.hidden, options)?;
        let patch_conv = Affine::new(weights, "vision.patch_conv", false)?;
        Ok(Box::new(PatchStem { patch_conv, positions: None, norm: Some(norm) }))
    }

    fn projector(&self, options: &TowerOptions, weights: &mut WeightStore) -> Result<Box<dyn Stage>> {
        Ok(Box::new(Projector::new(&self.config, &self.vision, options, weights)?))
    }
}

/// The tower and its projector, without their weights.
pub(super) fn tower(config: &Config, vision: &VisionConfig) -> Tower {
    let (hidden, merge) = (vision.hidden_size, vision.spatial_merge_size);
    let (theta, pairs) = (vision.rope_theta, vision.rope_pairs);
    let options = TowerOptions {
        grid: PatchGrid { side: vision.patch_size, merge: 1, mean: vision.image_mean, std: vision.image_std },
        hidden,
        layers: vision.num_hidden_layers,
        norm: NormKind::Rms,
        eps: vision.rms_norm_eps,
        heads: vision.num_attention_heads,
        head_dim: vision.head_dim,
        score_scale: None,
        head_norms: false,
        clips: false,
        rope: Some(PatchRope { theta, pairs, frequencies: Frequencies::Alternating }),
        feed_forward: FeedForward { width: vision.intermediate_size, activation: vision.hidden_act, gated: true },
        biases: Biases::None,
        names: NAMES,
        rows_per_token: 1,
        projector: ProjectorMemory {
            wide: hidden * merge * merge,
            act: config.text.hidden_size,
            in_keys: true,
            ..ProjectorMemory::default()
        },
    };
    Tower::new(options, Parts { config: config.clone(), vision: vision.clone() })
}
