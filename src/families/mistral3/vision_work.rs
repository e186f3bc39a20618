//! The buffers of one picture's pass through the tower and the projector.

use std::ops::Range;

use super::config::VisionConfig;
use crate::config::KvPrecision;
use crate::error::Result;
use crate::families::tower::Pixels;
use crate::gpu::{Allocator, Buffer, Purpose, Slice, buffer};
use crate::kernels::patchify::Patches;
use crate::kernels::rope::table;
use crate::layers::{PatchHeads, PatchKeys, rope};

/// Buffers that every layer uses in turn; the projector uses them once more.
#[derive(Debug)]
pub(super) struct Workspace {
    pub(super) config: VisionConfig,
    /// Residual stream. `// [patches, hidden]`
    pub(super) x: Buffer,
    /// Keys and values; for the projector their buffer takes the normalised output of the tower. `// [patches, hidden]`
    pub(super) keys: PatchKeys,
    /// Normalised rows. `// [rows, hidden]`
    pub(super) h: Buffer,
    /// Queries, keys and values before they are rotated, attention's results, gate and up, squares of patches.
    /// `// [rows, widest of them]`
    pub(super) wide: Buffer,
    /// Pixels of patches, queries, the gate's results, the projector's inner rows. `// [rows, widest of them]`
    pub(super) act: Buffer,
    /// The picture. `// [height, width]`, a word a pixel
    pub(super) pixels: Option<Buffer>,
    /// How it is cut into patches and normalised.
    pub(super) cut: Patches,
    /// `// [patches, head_dim]`
    pub(super) angles: Buffer,
    /// Patches of the picture.
    pub(super) patches: usize,
    /// Rows computed at a time.
    rows: usize,
}

/// How the tower cuts and normalises a picture.
pub(super) fn cut(pixels: &Pixels<'_>, config: &VisionConfig) -> Patches {
    let VisionConfig { patch_size, image_mean, image_std, .. } = *config;
    Patches { width: pixels.width, height: pixels.height, side: patch_size, merge: 1, mean: image_mean, std: image_std }
}

/// Rows of a chunk are a multiple of this, so that every chunk begins where a binding may: at a multiple of 256 bytes.
pub(super) fn row_alignment(config: &VisionConfig) -> usize {
    // Keys and values may take half as many words as they are numbers.
    let width = config.num_attention_heads * config.head_dim;
    buffer::row_alignment(&[config.hidden_size, width / 2, config.head_dim])
}

/// Widths of [`Workspace::wide`] and [`Workspace::act`].
fn widths(config: &VisionConfig, text_hidden: usize) -> [usize; 2] {
    let width = config.num_attention_heads * config.head_dim;
    let square = config.hidden_size * config.spatial_merge_size * config.spatial_merge_size;
    let pixels = config.num_channels * config.patch_size * config.patch_size;
    [
        [2 * config.intermediate_size, square, 2 * width].into_iter().max().unwrap_or(0),
        [config.intermediate_size, text_hidden, width, pixels].into_iter().max().unwrap_or(0),
    ]
}

/// Numbers in the widest row of a patch.
pub(super) fn widest_row(config: &VisionConfig, text_hidden: usize) -> usize {
    widths(config, text_hidden).into_iter().max().unwrap_or(0)
}

impl Workspace {
    pub(super) fn new(
        gpu: &dyn Allocator,
        config: &VisionConfig,
        pixels: &Pixels<'_>,
        (rows, precision): (usize, KvPrecision),
        text_hidden: usize,
    ) -> Result<Self> {
        let cut = cut(pixels, config);
        let patches = cut.count();
        let rows = rows.min(patches.next_multiple_of(row_alignment(config)));
        let (hidden, pairs) = (config.hidden_size, config.rope_pairs);
        let heads = PatchHeads { count: config.num_attention_heads, dim: config.head_dim, pairs };
        let [wide, act] = widths(config, text_hidden);
        let bytes = |rows: usize, width: usize| (rows * width * size_of::<f32>()) as u64;
        let alloc = |label, rows: usize, width: usize| gpu.alloc(label, Purpose::Activations, bytes(rows, width));
        let upload =
            |label, bytes, data: &dyn Fn() -> Vec<u8>| gpu.upload_with(label, Purpose::Activations, bytes, data);
        let grid_rows = patches / cut.columns().max(1);
        let rotations = || {
            let angles = rope::vision_angles(config.rope_theta, config.head_dim, grid_rows, cut.columns());
            bytemuck::cast_slice(&table(pairs, config.head_dim, &angles)).to_vec()
        };
        let words = || pixels.rgb.as_chunks().0.iter().flat_map(|&[r, g, b]| [r, g, b, 0]).collect();
        let pixel_bytes = (pixels.width * pixels.height * size_of::<u32>()) as u64;
        Ok(Self {
            config: config.clone(),
            x: alloc("vision x", patches, hidden)?,
            keys: PatchKeys::new(gpu, heads, precision, (patches, bytes(patches, hidden)))?,
            h: alloc("vision h", rows, hidden)?,
            wide: alloc("vision wide", rows, wide)?,
            act: alloc("vision act", rows, act)?,
            angles: upload("vision angles", bytes(patches, config.head_dim), &rotations)?,
            pixels: Some(upload("pixels", pixel_bytes, &words)?),
            cut,
            patches,
            rows,
        })
    }

    /// Width of all heads of a patch.
    pub(super) fn width(&self) -> usize {
        self.config.num_attention_heads * self.config.head_dim
    }

    /// The patches, some rows at a time.
    pub(super) fn chunks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        chunks(self.patches, self.rows)
    }

    /// `count` rows, as many at a time as the buffers of a chunk hold.
    pub(super) fn chunks_of(&self, count: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        chunks(count, self.rows)
    }

    /// Whether one chunk takes all patches, so that what it leaves behind is still there for the next step.
    pub(super) fn is_one_chunk(&self) -> bool {
        self.patches <= self.rows
    }

    /// Some rows of a buffer of rows of `width` numbers.
    pub(super) fn rows(&self, buffer: &Buffer, range: &Range<usize>, width: usize) -> Slice {
        let row_bytes = (width * size_of::<f32>()) as u64;
        buffer.slice(range.start as u64 * row_bytes..range.end as u64 * row_bytes)
    }
}

fn chunks(count: usize, step: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(step).map(move |first| first..count.min(first + step))
}
