//! The tower of SmolVLM and other models with SigLIP (`transformers` `modeling_siglip.py`), at the size of the fixture.

use ocelli::Result;
use ocelli::config::Activation;
use ocelli::gpu::Recording;
use ocelli::layers::vision::{
    Affine, Biases, BlockNames, FeatureRows, FeedForward, NormKind, PatchGrid, PatchNorm, PatchStem, Positions,
    ProjectorMemory, Stage, Tower, TowerOptions, TowerParts, Workspace,
};
use ocelli::weights::WeightStore;

pub(super) const HIDDEN: usize = 48;
/// Patches along an edge.
const POSITION_SIDE: usize = 9;
/// Side of the squares of patches that a connector reads.
const MERGE: usize = 3;

/// The last stage of the tower, before any connector.
#[derive(Debug)]
struct LastNorm(PatchNorm);

impl Stage for LastNorm {
    fn record(&self, recording: &mut Recording, work: &Workspace, features: FeatureRows<'_>) -> Result<()> {
        for range in work.chunks() {
            let y = features.buffer.all().skip_rows(features.first + range.start, HIDDEN); // [range, hidden]
            self.0.record(recording, range.len(), &work.residual(&range), &y)?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Parts;

impl TowerParts for Parts {
    fn stem(&self, _options: &TowerOptions, weights: &mut WeightStore) -> Result<Box<dyn Stage>> {
        let positions = Positions { table: weights.vector("vision.positions")?, side: POSITION_SIDE };
        let patch_conv = Affine::new(weights, "vision.patch_conv", true)?;
        Ok(Box::new(PatchStem { patch_conv, positions: Some(positions), norm: None }))
    }

    fn projector(&self, options: &TowerOptions, weights: &mut WeightStore) -> Result<Box<dyn Stage>> {
        Ok(Box::new(LastNorm(PatchNorm::new(weights, "vision.ln_post", HIDDEN, options)?)))
    }
}

pub(super) fn tower() -> Tower {
    let options = TowerOptions {
        grid: PatchGrid { side: 8, merge: MERGE, mean: [0.5; 3], std: [0.5; 3] },
        hidden: HIDDEN,
        layers: 2,
        norm: NormKind::Layer,
        eps: 1e-6,
        heads: 2,
        head_dim: HIDDEN / 2,
        score_scale: None,
        head_norms: false,
        clips: false,
        rope: None,
        feed_forward: FeedForward { width: 88, activation: Activation::GeluTanh, gated: false },
        biases: Biases::All,
        names: BlockNames {
            attention_norm: "norm1",
            queries: None,
            projections: &["attn.q", "attn.k", "attn.v"],
            output: "attn.o",
            feed_forward_norm: "norm2",
            up: &["mlp.fc1"],
            down: "mlp.fc2",
            post_norms: None,
        },
        rows_per_token: MERGE * MERGE,
        projector: ProjectorMemory::default(),
    };
    Tower::new(options, Parts)
}
