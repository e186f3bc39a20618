//! The tower of Llama 3.2 Vision: a transformer over the patches of all tiles that a picture may have (`transformers`
//! `modeling_mllama.py`).
//!
//! Rows are those of all tiles, tile by tile, the present ones first, and after them the padding of all tiles. Present rows attend to all of
//! them, absent ones to the present.

use super::config::VisionConfig;
use super::tables::{self, CLASSES, PATCHES, POSITIONS, TILE_POSITIONS, TILES};
use crate::config::{Activation, ImageGrid};
use crate::error::Result;
use crate::gpu::{Allocator, Buffer, Recording, Slice};
use crate::kernels::{RowShape, add_features, embed_rows, patchify};
use crate::layers::vision::{
    Affine, Biases, Block, BlockNames, FeatureRows, FeedForward, NormKind, Output, PatchGrid, PatchNorm, Pixels,
    ProjectorMemory, RowCount, Stage, Tower, TowerOptions, TowerParts, Workspace,
};
use crate::layout::LaneLayout;
use crate::weights::{Weight, WeightStore};

/// Tensors of a block.
const NAMES: BlockNames = BlockNames {
    attention_norm: "norm1",
    queries: None,
    projections: &["attn.qkv"],
    output: "attn.o",
    feed_forward_norm: "norm2",
    up: &["mlp.fc1"],
    down: "mlp.fc2",
    post_norms: None,
};

/// Weights between the pixels and the first layer.
#[derive(Debug)]
struct Stem {
    patch_conv: Affine,
    /// `// [hidden]`
    class: Slice,
    /// `// [tile rows, hidden]`
    positions: Slice,
    /// `// [arrangements * tiles, tile rows * hidden]`
    tile_positions: Weight,
    /// `// [arrangements * tiles, hidden]`
    pre_tile: Slice,
    ln_pre: PatchNorm,
    tiles: usize,
    tile_rows: usize,
}

impl Stage for Stem {
    /// Records pixels to the first layer's input. The rows of padding stay zeros.
    fn record(&self, recording: &mut Recording, work: &Workspace, _features: FeatureRows<'_>) -> Result<()> {
        let (picture, pixels, tables) = (work.picture()?, work.act.all(), &work.tables); // picture: [height, width]
        let (hidden, tile_rows) = (work.options.hidden, self.tile_rows);
        // The memory of the layers' queries is free.
        let (x, rows) = (work.q.all(), self.tiles * tile_rows); // [rows, hidden]
        let sources = tables[TILE_POSITIONS].all();
        let to = (&x, LaneLayout::NATURAL);
        embed_rows::record(recording, (&self.tile_positions, None), self.tiles, &sources, &self.class, to)?;
        for (table, vectors) in [(POSITIONS, &self.positions), (CLASSES, &self.class), (PATCHES, &self.pre_tile)] {
            add_features::record(recording, RowShape { rows, width: hidden }, 0, [&tables[table].all(), vectors], &x)?;
        }
        for tile in 0..work.rows.present / tile_rows {
            for range in work.chunks_of(tile_rows - 1) {
                let (m, first) = (range.len(), tile * (tile_rows - 1));
                let patches = first + range.start..first + range.end;
                patchify::record(recording, &work.patches, patches, &picture, &pixels)?; // [range, 3 * side * side]
                let offset = (tile * tile_rows + 1 + range.start) * hidden;
                let output = Output { y: &x, stride: hidden, offset, accumulate: true };
                self.patch_conv.record_into(recording, &pixels, m, output)?;
            }
        }
        for range in work.chunks_of(rows) {
            self.ln_pre.record(recording, range.len(), &work.queries(&range), &work.residual(&range))?; // [range, hidden]
        }
        Ok(())
    }
}

/// The step between the local and the global layers.
#[derive(Debug)]
struct Middle {
    ln_post: PatchNorm,
    /// `// [arrangements * tiles, hidden]`
    post_tile: Slice,
}

impl Middle {
    fn record(&self, recording: &mut Recording, work: &Workspace) -> Result<()> {
        let h = work.h.all();
        for range in work.chunks() {
            let x = work.residual(&range); // [range, hidden]
            self.ln_post.record(recording, range.len(), &x, &h)?;
            recording.copy(Slice { bytes: x.bytes, ..h.clone() }, x);
        }
        let shape = RowShape { rows: work.rows.all, width: work.options.hidden };
        add_features::record(recording, shape, 0, [&work.tables[TILES].all(), &self.post_tile], &work.x)
    }
}

/// A part of the projector, of the input of some layer or of the tower's output.
#[derive(Debug)]
struct Projector {
    weight: Affine,
    /// Set in all but the part that is recorded first.
    accumulates: bool,
}

impl Projector {
    /// Takes the weights of a part: 0 is that of the tower's output, which is recorded last, 1 the first of the others.
    fn new(weights: &mut WeightStore, part: usize) -> Result<Self> {
        let name = format!("projector.{part}");
        let weight = match part {
            0 => Affine::with_bias(weights, &name, "projector.bias")?,
            _ => Affine::new(weights, &name, false)?,
        };
        Ok(Self { weight, accumulates: part != 1 })
    }
}

impl Stage for Projector {
    fn record(&self, recording: &mut Recording, work: &Workspace, features: FeatureRows<'_>) -> Result<()> {
        let (stride, y) = (self.weight.width(), &features.buffer.all()); // [features, text hidden]
        for range in work.chunks_of(work.rows.present) {
            let (x, offset) = (work.residual(&range), (features.first + range.start) * stride); // [range, hidden]
            let output = Output { y, stride, offset, accumulate: self.accumulates };
            self.weight.record_into(recording, &x, range.len(), output)?;
        }
        Ok(())
    }
}

/// A layer that does more than its block.
#[derive(Debug)]
struct Layer {
    /// Present if the layer's input is part of the features.
    projector: Option<Projector>,
    /// Present in the first global layer.
    middle: Option<Middle>,
    block: Block,
}

impl Stage for Layer {
    fn record(&self, recording: &mut Recording, work: &Workspace, features: FeatureRows<'_>) -> Result<()> {
        self.projector.as_ref().map_or(Ok(()), |projector| projector.record(recording, work, features))?;
        self.middle.as_ref().map_or(Ok(()), |middle| middle.record(recording, work))?;
        self.block.record(recording, work, features)
    }
}

impl TowerParts for VisionConfig {
    fn stem(&self, options: &TowerOptions, weights: &mut WeightStore) -> Result<Box<dyn Stage>> {
        Ok(Box::new(Stem {
            patch_conv: Affine::new(weights, "vision.patch_conv", false)?,
            class: weights.vector("vision.class")?,
            positions: weights.vector("vision.positions")?,
            tile_positions: weights.matrix("vision.tile_positions")?,
            pre_tile: weights.vector("vision.pre_tile")?,
            ln_pre: PatchNorm::new(weights, "vision.ln_pre", options.hidden, options)?,
            tiles: self.max_num_tiles,
            tile_rows: self.tile_rows(),
        }))
    }

    fn layer(&self, options: &TowerOptions, weights: &mut WeightStore, index: usize) -> Result<Box<dyn Stage>> {
        let listed = self.intermediate_layers.iter().position(|&listed| listed == index);
        let mut middle = None;
        if index == self.num_hidden_layers {
            let ln_post = PatchNorm::new(weights, "vision.ln_post", options.hidden, options)?;
            middle = Some(Middle { ln_post, post_tile: weights.vector("vision.post_tile")? });
        }
        let projector = listed.map(|index| Projector::new(weights, 1 + index)).transpose()?;
        Ok(Box::new(Layer { projector, middle, block: Block::new(options, weights, index)? }))
    }

    fn projector(&self, _options: &TowerOptions, weights: &mut WeightStore) -> Result<Box<dyn Stage>> {
        Ok(Box::new(Projector::new(weights, 0)?))
    }

    fn rows(&self, _options: &TowerOptions, pixels: &Pixels<'_>) -> RowCount {
        let ImageGrid { rows, cols, .. } = pixels.grid;
        RowCount { all: self.tower_rows(), present: (rows * cols).min(self.max_num_tiles) * self.tile_rows() }
    }

    fn tables(&self, gpu: &dyn Allocator, pixels: &Pixels<'_>) -> Result<Vec<Buffer>> {
        tables::upload(gpu, self, pixels.grid)
    }
}

/// The tower and its projector, without their weights.
pub(super) fn tower(vision: &VisionConfig) -> Tower {
    let VisionConfig { patch_size: side, image_mean: mean, image_std: std, .. } = *vision;
    let (width, activation) = (vision.intermediate_size, Activation::Gelu);
    let options = TowerOptions {
        // The patches of a tile are consecutive.
        grid: PatchGrid { side, merge: vision.side(), mean, std },
        hidden: vision.hidden_size,
        layers: vision.depth(),
        norm: NormKind::Layer,
        eps: vision.norm_eps,
        heads: vision.num_attention_heads,
        head_dim: vision.head_dim(),
        score_scale: None,
        head_norms: false,
        clips: false,
        rope: None,
        feed_forward: FeedForward { width, activation, gated: false },
        biases: Biases::FeedForward,
        names: NAMES,
        rows_per_token: 1,
        projector: ProjectorMemory::default(),
    };
    Tower::new(options, vision.clone())
}
