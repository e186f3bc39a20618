//! The tower: a SigLIP tower whose patches become a quarter of their number after one of its layers, and a merger of four of the rest (`transformers`
//! `modeling_minicpmv4_6.py`).
//!
//! Rows are those of the first place of all windows, then those of the second place, and so on. After the merger they are those of the windows, cell
//! by cell.

use std::cmp::Ordering;
use std::ops::Range;

use super::config::VisionConfig;
use super::windows::{CELL, WINDOW, patch};
use crate::config::{Activation, ImageGrid};
use crate::error::Result;
use crate::gpu::{Allocator, Buffer, Purpose, Recording, Slice};
use crate::kernels::embed_rows::FEATURE;
use crate::kernels::{RowShape, activation, add_features, patchify, pool_rows};
use crate::layers::vision::{
    Affine, Block, FeatureRows, Output, PatchNorm, Pixels, ProjectorMemory, Stage, Tower, TowerOptions, TowerParts,
    Views, Workspace,
};
use crate::weights::WeightStore;

/// Index of the table of positions of patches.
const POSITIONS: usize = 0;
/// Index of the table of rows by window.
const ROWS: usize = 1;
/// Epsilon of the norm of the last merger.
const EPS: f32 = 1e-6;

/// Pixels to the input of the first layer.
#[derive(Debug)]
struct Stem {
    patch_conv: Affine,
    /// `// [side * side, hidden]`
    positions: Slice,
}

impl Stage for Stem {
    fn record(&self, recording: &mut Recording, work: &Workspace, _features: FeatureRows<'_>) -> Result<()> {
        let (picture, pixels) = (work.picture()?, work.act.all()); // picture: [patches * side, side]
        for range in work.chunks() {
            patchify::record(recording, &work.patches, range.clone(), &picture, &pixels)?; // [range, 3 * side * side]
            self.patch_conv.record(recording, &pixels, range.len(), &work.residual(&range))?; // [range, hidden]
        }
        let shape = RowShape { rows: work.rows.all, width: work.options.hidden };
        add_features::record(recording, shape, 0, [&work.tables[POSITIONS].all(), &self.positions], &work.x)
    }
}

/// The merger between two layers: attention within windows, then a feed-forward over the patches of a window side by side, added to their mean.
#[derive(Debug)]
struct WindowMerger {
    attention_norm: PatchNorm,
    projections: Affine,
    output: Affine,
    norm: PatchNorm,
    up: Affine,
    down: Affine,
}

impl WindowMerger {
    fn new(options: &TowerOptions, weights: &mut WeightStore) -> Result<Self> {
        let names = ["q", "k", "v"].map(|part| format!("vision.window.attn.{part}"));
        let biased = |weights: &mut WeightStore, name: &str| Affine::new(weights, name, true);
        Ok(Self {
            attention_norm: PatchNorm::new(weights, "vision.window.norm1", options.hidden, options)?,
            projections: Affine::side_by_side(weights, names.into_iter(), biased)?,
            output: biased(weights, "vision.window.attn.o")?,
            norm: PatchNorm::new(weights, "vision.window.norm2", WINDOW * options.hidden, options)?,
            up: biased(weights, "vision.window.fc1")?,
            down: biased(weights, "vision.window.fc2")?,
        })
    }

    /// Records the merger over the rows of some windows. Rows of the stream that are overwritten are those of these windows.
    fn merge(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>) -> Result<()> {
        let (hidden, count) = (work.options.hidden, range.len());
        let (h, wide, act) = (work.h.all(), work.wide.all(), work.act.all());
        work.attend_windows(recording, WINDOW, range, &wide)?; // [place, range, hidden]
        for place in 0..WINDOW {
            let output = Output { y: &act, stride: WINDOW * hidden, offset: place * hidden, accumulate: false };
            self.output.record_into(recording, &wide.skip_rows(place * count, hidden), count, output)?; // [range, place, hidden]
        }
        let rows = RowShape { rows: WINDOW * count, width: hidden };
        add_features::record(recording, rows, range.start, [&work.tables[ROWS].all(), &work.x], &act)?;
        pool_rows::record(recording, RowShape { rows: count, width: hidden }, (WINDOW, None), &act, &h)?; // [range, hidden]
        self.norm.record(recording, count, &act, &wide)?; // [range, place * hidden]
        self.up.record(recording, &wide, count, &act)?; // [range, inner]
        activation::record(recording, count * self.up.width(), Activation::GeluTanh, &act)?;
        self.down.add(recording, &act, count, &h)?;
        let merged = work.residual(range);
        recording.copy(Slice { bytes: merged.bytes, ..h }, merged);
        Ok(())
    }
}

/// A layer, and what belongs to its place.
#[derive(Debug)]
enum Layer {
    /// A layer over patches.
    Patches(Block),
    /// The last layer over patches, and the merger.
    Merging(Block, Box<WindowMerger>),
    /// A layer over windows.
    Windows(Block),
}

impl Stage for Layer {
    fn record(&self, recording: &mut Recording, work: &Workspace, features: FeatureRows<'_>) -> Result<()> {
        match self {
            Self::Patches(block) => block.record(recording, work, features),
            Self::Merging(block, merger) => {
                block.record(recording, work, features)?;
                work.take_rows(recording, &merger.attention_norm, &merger.projections)?;
                work.windows(WINDOW).try_for_each(|range| merger.merge(recording, work, &range))
            }
            Self::Windows(block) => block.record(recording, &of_windows(work), features),
        }
    }
}

/// The work memory for the rows after the merger.
fn of_windows(work: &Workspace) -> Workspace {
    work.with_rows(work.rows.all / WINDOW)
}

/// The last merger: the windows of a cell side by side to a row of features.
#[derive(Debug)]
struct Merger {
    ln_post: PatchNorm,
    norm: PatchNorm,
    up: Affine,
    down: Affine,
}

impl Stage for Merger {
    fn record(&self, recording: &mut Recording, work: &Workspace, features: FeatureRows<'_>) -> Result<()> {
        let (work, stride, y) = (of_windows(work), self.down.width(), &features.buffer.all());
        let (h, wide, act) = (work.h.all(), work.wide.all(), work.act.all());
        for range in work.chunks() {
            let (first, tokens) = (features.first + range.start / WINDOW, range.len() / WINDOW);
            self.ln_post.record(recording, range.len(), &work.residual(&range), &h)?; // [tokens, windows * hidden]
            self.norm.record(recording, tokens, &h, &act)?;
            self.up.record(recording, &act, tokens, &wide)?; // [tokens, windows * hidden]
            activation::record(recording, tokens * self.up.width(), Activation::Gelu, &wide)?;
            let output = Output { y, stride, offset: first * stride, accumulate: false };
            self.down.record_into(recording, &wide, tokens, output)?;
        }
        Ok(())
    }
}

impl TowerParts for VisionConfig {
    fn stem(&self, _options: &TowerOptions, weights: &mut WeightStore) -> Result<Box<dyn Stage>> {
        let patch_conv = Affine::new(weights, "vision.patch_conv", true)?;
        Ok(Box::new(Stem { patch_conv, positions: weights.vector("vision.positions")? }))
    }

    fn layer(&self, options: &TowerOptions, weights: &mut WeightStore, index: usize) -> Result<Box<dyn Stage>> {
        let block = Block::new(options, weights, index)?;
        Ok(Box::new(match index.cmp(&self.merged_layer) {
            Ordering::Less => Layer::Patches(block),
            Ordering::Equal => Layer::Merging(block, Box::new(WindowMerger::new(options, weights)?)),
            Ordering::Greater => Layer::Windows(block),
        }))
    }

    fn projector(&self, options: &TowerOptions, weights: &mut WeightStore) -> Result<Box<dyn Stage>> {
        Ok(Box::new(Merger {
            ln_post: PatchNorm::new(weights, "vision.ln_post", options.hidden, options)?,
            norm: PatchNorm::new(weights, "merger.norm", self.window_width(), options)?.with_eps(EPS),
            up: Affine::new(weights, "merger.fc1", true)?,
            down: Affine::new(weights, "merger.fc2", true)?,
        }))
    }

    /// The whole picture, then the slices, each as its patches one below the other.
    fn views(&self, pixels: &Pixels<'_>) -> Vec<Views> {
        let ImageGrid { rows, cols, slices } = pixels.grid;
        let side = self.tower.patch_size;
        let of = |count: usize, [rows, cols]: [usize; 2]| Views {
            count,
            width: side,
            height: WINDOW * WINDOW * rows * cols * side,
            grid: ImageGrid::new(rows, cols),
        };
        match slices {
            None => vec![of(1, [rows, cols])],
            Some(slices) => {
                let slice = [rows / slices.rows, cols / slices.cols];
                vec![of(1, slices.whole), of(slices.rows * slices.cols, slice)]
            }
        }
    }

    /// The position of each patch, from the table's rows and columns that are as far along its edges as the patch along those of the view; and the row of
    /// each place of each window.
    fn tables(&self, gpu: &dyn Allocator, pixels: &Pixels<'_>) -> Result<Vec<Buffer>> {
        let (ImageGrid { rows, cols, .. }, side) = (pixels.grid, self.tower.side());
        let windows = WINDOW * rows * cols;
        let upload = |source: &dyn Fn(usize) -> usize| {
            let words = || {
                let words: Vec<u32> = (0..WINDOW * windows).map(|row| source(row) as u32 | FEATURE).collect();
                bytemuck::cast_slice(&words).to_vec()
            };
            gpu.upload_with("places", Purpose::Activations, 4 * (WINDOW * windows) as u64, &words)
        };
        let position = |row: usize| {
            let [y, x] = patch(row / windows, row % windows, cols);
            y * side / (CELL * rows) * side + x * side / (CELL * cols)
        };
        Ok(vec![upload(&position)?, upload(&|row| row % WINDOW * windows + row / WINDOW)?])
    }
}

/// The tower and its mergers, without their weights.
pub(super) fn tower(vision: &VisionConfig) -> Tower {
    let options = vision.tower.options(1);
    let projector = ProjectorMemory { two_buffers: true, ..ProjectorMemory::default() };
    Tower::new(TowerOptions { rows_per_token: WINDOW * WINDOW, projector, ..options }, vision.clone())
}
