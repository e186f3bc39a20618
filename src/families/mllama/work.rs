//! The buffers of one picture's pass through the tower.

use std::ops::Range;

use super::config::VisionConfig;
use crate::config::{ImageGrid, KvPrecision, RopePairs};
use crate::error::Result;
use crate::families::tower::Pixels;
use crate::gpu::{Allocator, Buffer, Purpose, Slice, buffer};
use crate::kernels::embed_rows::FEATURE;
use crate::kernels::patchify::Patches;
use crate::layers::{PatchHeads, PatchKeys};

/// Buffers that every layer uses in turn.
///
/// Rows are those of all tiles that a picture may have, tile by tile, the ones that are there first, and behind them the padding of all
/// tiles.
#[derive(Debug)]
pub(super) struct Workspace {
    pub(super) config: VisionConfig,
    /// Residual stream. `// [rows, hidden]`
    pub(super) x: Buffer,
    /// Queries. `// [rows, hidden]`
    pub(super) q: Buffer,
    /// Keys and values.
    pub(super) keys: PatchKeys,
    /// Normed rows. `// [chunk, hidden]`
    pub(super) h: Buffer,
    /// Pixels of patches, queries, keys and values, attention's results, the inner rows of feed-forwards. `// [chunk, widest of them]`
    pub(super) act: Buffer,
    /// The picture. `// [height, width]`, a word a pixel
    pub(super) pixels: Option<Buffer>,
    /// How it is cut into patches and normalised.
    pub(super) cut: Patches,
    /// For `add_features` and `embed_rows`: where the rows of tables are.
    pub(super) sources: Sources,
    /// Tiles that are there.
    pub(super) tiles: usize,
    /// Rows computed at a time.
    rows: usize,
}

/// Rows of tables, for each row of the tower.
#[derive(Debug)]
pub(super) struct Sources {
    /// Of the vector of a row's tile, for all rows. `// [rows]`
    pub(super) tiles: Buffer,
    /// The same, for patches alone. `// [rows]`
    pub(super) patches: Buffer,
    /// Of positions within a tile. `// [rows]`
    pub(super) positions: Buffer,
    /// What stands for a whole tile. `// [rows]`
    pub(super) class: Buffer,
    /// Of positions by tile. `// [tiles]`
    pub(super) tables: Buffer,
}

/// How the tower cuts and normalises a picture.
pub(super) fn cut(pixels: &Pixels<'_>, config: &VisionConfig) -> Patches {
    let VisionConfig { patch_size, image_mean, image_std, .. } = *config;
    let (width, height) = (pixels.width, pixels.height);
    // The patches of a tile come one after another.
    Patches { width, height, side: patch_size, merge: config.side(), mean: image_mean, std: image_std }
}

/// Rows of the tower, whatever the picture.
pub(super) fn all_rows(config: &VisionConfig) -> usize {
    config.max_num_tiles * (config.tile_rows() + config.padding())
}

/// Rows of a chunk are a multiple of this, so that each begins where a binding may.
pub(super) fn row_alignment(config: &VisionConfig) -> usize {
    // Keys and values may take half as many words as they are numbers.
    buffer::row_alignment(&[config.hidden_size / 2])
}

/// Width of [`Workspace::act`].
fn act_width(config: &VisionConfig) -> usize {
    let pixels = 3 * config.patch_size * config.patch_size;
    [config.intermediate_size, 3 * config.hidden_size, pixels].into_iter().max().unwrap_or(0)
}

/// Numbers in the widest row.
pub(super) fn widest_row(config: &VisionConfig) -> usize {
    act_width(config)
}

impl Sources {
    fn new(gpu: &dyn Allocator, config: &VisionConfig, grid: ImageGrid) -> Result<Self> {
        let number = config.arrangements().position(|known| known == grid).map_or(0, |index| index + 1);
        let (most, tile_rows, padding) = (config.max_num_tiles, config.tile_rows(), config.padding());
        let rows = all_rows(config);
        // The tile of a row, and its place there.
        let place = |row: usize| match row.checked_sub(most * tile_rows) {
            Some(pad) => (pad / padding.max(1), None),
            None => (row / tile_rows, Some(row % tile_rows)),
        };
        let upload = |count: usize, source: &dyn Fn(usize) -> Option<usize>| {
            let words = || {
                let word = |row| source(row).map_or(0, |row| row as u32 | FEATURE);
                bytemuck::cast_slice(&(0..count).map(word).collect::<Vec<u32>>()).to_vec()
            };
            gpu.upload_with("places", Purpose::Activations, 4 * count as u64, &words)
        };
        let tile = |tile: usize| number * most + tile;
        let tables = || bytemuck::cast_slice(&(0..most).map(|index| tile(index) as u32).collect::<Vec<_>>()).to_vec();
        Ok(Self {
            tiles: upload(rows, &|row| Some(tile(place(row).0)))?,
            patches: upload(rows, &|row| place(row).1.filter(|&row| row > 0).map(|_| tile(place(row).0)))?,
            positions: upload(rows, &|row| place(row).1)?,
            class: upload(rows, &|row| place(row).1.filter(|&row| row == 0))?,
            tables: gpu.upload_with("places", Purpose::Activations, 4 * most as u64, &tables)?,
        })
    }
}

impl Workspace {
    pub(super) fn new(
        gpu: &dyn Allocator,
        config: &VisionConfig,
        pixels: &Pixels<'_>,
        (rows, precision): (usize, KvPrecision),
    ) -> Result<Self> {
        let (cut, hidden, all) = (cut(pixels, config), config.hidden_size, all_rows(config));
        let rows = rows.min(all.next_multiple_of(row_alignment(config)));
        let tile = config.tile_size.max(1);
        let grid = ImageGrid { rows: pixels.height / tile, cols: pixels.width / tile };
        let alloc = |label, rows: usize, width: usize| {
            gpu.alloc(label, Purpose::Activations, (rows * width * size_of::<f32>()) as u64)
        };
        // None of them rotate.
        let heads = PatchHeads { count: config.num_attention_heads, dim: config.head_dim(), pairs: RopePairs::Half };
        let words = || pixels.rgb.as_chunks().0.iter().flat_map(|&[r, g, b]| [r, g, b, 0]).collect();
        let pixel_bytes = (pixels.width * pixels.height * size_of::<u32>()) as u64;
        Ok(Self {
            config: config.clone(),
            x: alloc("vision x", all, hidden)?,
            q: alloc("vision q", all, hidden)?,
            keys: PatchKeys::new(gpu, heads, precision, (all, 0))?,
            h: alloc("vision h", rows, hidden)?,
            act: alloc("vision act", rows, act_width(config))?,
            pixels: Some(gpu.upload_with("pixels", Purpose::Activations, pixel_bytes, &words)?),
            cut,
            sources: Sources::new(gpu, config, grid)?,
            tiles: (grid.rows * grid.cols).min(config.max_num_tiles),
            rows,
        })
    }

    /// Rows of the tiles that are there: the first ones.
    pub(super) fn present(&self) -> usize {
        self.tiles * self.config.tile_rows()
    }

    /// So many rows, some at a time.
    pub(super) fn chunks(&self, all: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let rows = self.rows;
        (0..all).step_by(rows).map(move |first| first..all.min(first + rows))
    }

    /// Some rows of a buffer of rows of `width` numbers.
    pub(super) fn rows(&self, buffer: &Buffer, range: &Range<usize>, width: usize) -> Slice {
        let row_bytes = (width * size_of::<f32>()) as u64;
        buffer.slice(range.start as u64 * row_bytes..range.end as u64 * row_bytes)
    }
}
