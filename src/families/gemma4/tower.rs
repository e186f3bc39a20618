//! The tower of Gemma 4: norms before and after each half of a block, normed heads, clipped products, a rope of two axes beside two tables of
//! positions, and a mean over squares of patches (`transformers` `modeling_gemma4.py`).

use super::config::VisionConfig;
use crate::config::{Activation, RopePairs};
use crate::error::Result;
use crate::gpu::{Allocator, Buffer, Purpose, Recording, Slice};
use crate::kernels::embed_rows::FEATURE;
use crate::kernels::{RowShape, add_features, patchify, pool_rows};
use crate::layers::vision::{
    Affine, Biases, BlockNames, FeatureRows, FeedForward, Frequencies, NormKind, Output, PatchGrid, PatchRope, Pixels,
    ProjectorMemory, Stage, Tower, TowerOptions, TowerParts, Workspace,
};
use crate::weights::WeightStore;

/// Tensors of a block.
const NAMES: BlockNames = BlockNames {
    attention_norm: "norm1",
    queries: None,
    projections: &["attn.q", "attn.k", "attn.v"],
    output: "attn.o",
    feed_forward_norm: "norm2",
    up: &["mlp.gate", "mlp.up"],
    down: "mlp.down",
    post_norms: Some(["post_norm1", "post_norm2"]),
};

/// Pixels to the input of the first layer.
#[derive(Debug)]
struct Stem {
    patch_conv: Affine,
    /// Rows of positions by column, then by row. `// [2 * positions, hidden]`
    positions: Slice,
}

impl Stage for Stem {
    fn record(&self, recording: &mut Recording, work: &Workspace, _features: FeatureRows<'_>) -> Result<()> {
        let (picture, pixels) = (work.picture()?, work.act.all()); // picture: [height, width]
        for range in work.chunks() {
            patchify::record(recording, &work.patches, range.clone(), &picture, &pixels)?; // [range, 3 * side * side]
            self.patch_conv.record(recording, &pixels, range.len(), &work.residual(&range))?; // [range, hidden]
        }
        let shape = RowShape { rows: work.rows.all, width: work.options.hidden };
        work.tables
            .iter()
            .try_for_each(|table| add_features::record(recording, shape, 0, [&table.all(), &self.positions], &work.x))
    }
}

/// Squares of patches to rows of features: their mean, normed, and a product.
#[derive(Debug)]
struct Projector {
    linear: Affine,
    /// Patches of a square.
    patches: usize,
    eps: f32,
}

impl Stage for Projector {
    /// Records the residual stream to features. The patches of a square are consecutive.
    fn record(&self, recording: &mut Recording, work: &Workspace, features: FeatureRows<'_>) -> Result<()> {
        let (pooled, width) = (work.h.all(), work.options.hidden);
        let (y, stride) = (&features.buffer.all(), self.linear.width());
        for range in work.chunks() {
            let (first, rows) = (features.first + range.start / self.patches, range.len() / self.patches);
            let shape = RowShape { rows, width };
            pool_rows::record(recording, shape, (self.patches, Some(self.eps)), &work.residual(&range), &pooled)?; // [rows, width]
            let output = Output { y, stride, offset: first * stride, accumulate: false };
            self.linear.record_into(recording, &pooled, rows, output)?;
        }
        Ok(())
    }
}

impl VisionConfig {
    fn patch_grid(&self) -> PatchGrid {
        PatchGrid { side: self.patch_size, merge: self.pooling, mean: [0.5; 3], std: [0.5; 3] }
    }
}

impl TowerParts for VisionConfig {
    fn stem(&self, _options: &TowerOptions, weights: &mut WeightStore) -> Result<Box<dyn Stage>> {
        let patch_conv = Affine::new(weights, "vision.patch_conv", false)?;
        Ok(Box::new(Stem { patch_conv, positions: weights.vector("vision.positions")? }))
    }

    fn projector(&self, options: &TowerOptions, weights: &mut WeightStore) -> Result<Box<dyn Stage>> {
        // `transformers` multiplies the means by the root of their width before the norm.
        let eps = options.eps / options.hidden as f32;
        let linear = Affine::new(weights, "projector", false)?;
        Ok(Box::new(Projector { linear, patches: options.rows_per_token, eps }))
    }

    /// The rows of the tables of positions that are added to each patch: that of its column, and that of its row.
    fn tables(&self, gpu: &dyn Allocator, pixels: &Pixels<'_>) -> Result<Vec<Buffer>> {
        let grid = self.patch_grid().patches(pixels).grid();
        let count = grid.rows * grid.columns;
        let upload = |source: &dyn Fn((usize, usize)) -> usize| {
            let words = || {
                let word = |patch| source(grid.place(patch)) as u32 | FEATURE;
                bytemuck::cast_slice(&(0..count).map(word).collect::<Vec<u32>>()).to_vec()
            };
            gpu.upload_with("places", Purpose::Activations, 4 * count as u64, &words)
        };
        Ok(vec![upload(&|(_, column)| column)?, upload(&|(row, _)| self.positions() + row)?])
    }
}

/// The tower and its projector, without their weights.
pub(super) fn tower(vision: &VisionConfig) -> Tower {
    let (width, activation) = (vision.intermediate_size, Activation::GeluTanh);
    let options = TowerOptions {
        grid: vision.patch_grid(),
        hidden: vision.hidden_size,
        layers: vision.num_hidden_layers,
        norm: NormKind::Rms,
        eps: vision.rms_norm_eps,
        heads: vision.num_attention_heads,
        head_dim: vision.head_dim,
        // The head norms replace a scale.
        score_scale: Some(1.0),
        head_norms: true,
        clips: vision.clips,
        rope: Some(PatchRope { theta: vision.rope_theta, pairs: RopePairs::Half, frequencies: Frequencies::Shared }),
        feed_forward: FeedForward { width, activation, gated: true },
        biases: Biases::None,
        names: NAMES,
        rows_per_token: vision.pooling * vision.pooling,
        projector: ProjectorMemory::default(),
    };
    Tower::new(options, vision.clone())
}
