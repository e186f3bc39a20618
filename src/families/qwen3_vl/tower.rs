//! The tower of Qwen's models: layer norms, biases, a plain feed-forward, learned positions beside a rope, and mergers (`transformers`
//! `modeling_qwen3_vl.py`).

use super::config::VisionConfig;
use super::merger::Merger;
use crate::config::{Activation, RopePairs};
use crate::error::Result;
use crate::gpu::Recording;
use crate::layers::vision::{
    Affine, Biases, Block, BlockNames, FeatureRows, FeedForward, Frequencies, NormKind, PatchGrid, PatchRope,
    PatchStem, Positions, ProjectorMemory, Stage, Tower, TowerOptions, TowerParts, Workspace,
};
use crate::weights::WeightStore;

/// Epsilon of every layer norm; written into the models' code, not their configuration.
const EPS: f32 = 1e-6;
/// The rope; written into the models' code, not their configuration.
const ROPE: PatchRope = PatchRope { theta: 10_000.0, pairs: RopePairs::Half, frequencies: Frequencies::Shared };
/// Tensors of a block.
const NAMES: BlockNames = BlockNames {
    attention_norm: "norm1",
    queries: None,
    projections: &["attn.qkv"],
    output: "attn.proj",
    feed_forward_norm: "norm2",
    up: &["mlp.linear_fc1"],
    down: "mlp.linear_fc2",
    post_norms: None,
};

/// A layer whose output is merged to features of the decoder's first layers.
#[derive(Debug)]
struct MergedBlock {
    block: Block,
    merger: Merger,
}

impl Stage for MergedBlock {
    fn record(&self, recording: &mut Recording, work: &Workspace, features: FeatureRows<'_>) -> Result<()> {
        self.block.record(recording, work, features)?;
        self.merger.record(recording, work, features)
    }
}

impl TowerParts for VisionConfig {
    fn stem(&self, _options: &TowerOptions, weights: &mut WeightStore) -> Result<Box<dyn Stage>> {
        let positions = Positions { table: weights.vector("vision.positions")?, side: self.position_side };
        let patch_conv = Affine::new(weights, "vision.patch_conv", true)?;
        Ok(Box::new(PatchStem { patch_conv, positions: Some(positions), norm: None }))
    }

    fn layer(&self, options: &TowerOptions, weights: &mut WeightStore, index: usize) -> Result<Box<dyn Stage>> {
        let block = Block::new(options, weights, index)?;
        let Some(deep) = self.deepstack.iter().position(|&deep| deep == index) else { return Ok(Box::new(block)) };
        Ok(Box::new(MergedBlock { block, merger: Merger::new(self, options, weights, Some(deep))? }))
    }

    fn projector(&self, options: &TowerOptions, weights: &mut WeightStore) -> Result<Box<dyn Stage>> {
        Ok(Box::new(Merger::new(self, options, weights, None)?))
    }
}

/// The tower and its mergers, without their weights.
pub(in crate::families) fn tower(vision: &VisionConfig) -> Tower {
    let VisionConfig { patch_size: side, spatial_merge_size: merge, image_mean: mean, image_std: std, .. } = *vision;
    let (width, activation) = (vision.intermediate_size, Activation::GeluTanh);
    let options = TowerOptions {
        grid: PatchGrid { side, merge, mean, std },
        hidden: vision.hidden_size,
        layers: vision.num_hidden_layers,
        norm: NormKind::Layer,
        eps: EPS,
        heads: vision.num_attention_heads,
        head_dim: vision.head_dim(),
        score_scale: None,
        head_norms: false,
        clips: false,
        rope: Some(ROPE),
        feed_forward: FeedForward { width, activation, gated: false },
        biases: Biases::All,
        names: NAMES,
        rows_per_token: vision.merged(),
        projector: ProjectorMemory::default(),
    };
    Tower::new(options, vision.clone())
}
