//! The buffers of one picture's pass through the tower and its mergers.

use std::ops::Range;

use super::config::VisionConfig;
use crate::config::{KvPrecision, RopePairs};
use crate::error::Result;
use crate::families::tower::Pixels;
use crate::gpu::{Allocator, Buffer, Purpose, Slice, buffer};
use crate::kernels::patchify::Patches;
use crate::kernels::rope::table;
use crate::layers::{PatchHeads, PatchKeys, rope};

/// Base of the two-dimensional rope; written into the models' code, not their configuration.
/// Of every layer norm of Qwen's towers; written into the models' code, not their configuration.
pub(super) const EPS: f32 = 1e-6;

const ROPE_THETA: f64 = 10_000.0;

/// Buffers that every layer uses in turn.
#[derive(Debug)]
pub(super) struct Workspace {
    pub(super) config: VisionConfig,
    /// Residual stream. `// [patches, hidden]`
    pub(super) x: Buffer,
    /// Queries. `// [patches, hidden]`
    pub(super) q: Buffer,
    /// Keys and values.
    pub(super) keys: PatchKeys,
    /// Normed rows. `// [rows, hidden]`
    pub(super) h: Buffer,
    /// Pixels of patches, queries, keys and values before they are rotated, attention's results, the inner rows of feed-forwards and mergers. `// [rows, widest of them]`
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
    let VisionConfig { patch_size, spatial_merge_size, image_mean, image_std, .. } = *config;
    let (width, height) = (pixels.width, pixels.height);
    Patches { width, height, side: patch_size, merge: spatial_merge_size, mean: image_mean, std: image_std }
}

/// Rows of a chunk are a multiple of this: whole squares, and every chunk begins where a binding may, at a multiple of 256 bytes.
pub(super) fn row_alignment(config: &VisionConfig) -> usize {
    // Keys and values may take half as many words as they are numbers.
    buffer::row_alignment(&[config.hidden_size / 2, config.head_dim()]).max(config.merged())
}

/// Width of [`Workspace::act`].
fn act_width(config: &VisionConfig) -> usize {
    let pixels = 3 * config.patch_size * config.patch_size;
    [config.intermediate_size, 3 * config.hidden_size, pixels].into_iter().max().unwrap_or(0)
}

/// Numbers in the widest row of a patch.
pub(super) fn widest_row(config: &VisionConfig) -> usize {
    act_width(config)
}

impl Workspace {
    pub(super) fn new(
        gpu: &dyn Allocator,
        config: &VisionConfig,
        pixels: &Pixels<'_>,
        (rows, precision): (usize, KvPrecision),
    ) -> Result<Self> {
        let cut = cut(pixels, config);
        let patches = cut.count();
        let rows = rows.min(patches.next_multiple_of(row_alignment(config)));
        let (hidden, head_dim, pairs) = (config.hidden_size, config.head_dim(), RopePairs::Half);
        let heads = PatchHeads { count: config.num_attention_heads, dim: head_dim, pairs };
        let bytes = |rows: usize, width: usize| (rows * width * size_of::<f32>()) as u64;
        let alloc = |label, rows: usize, width: usize| gpu.alloc(label, Purpose::Activations, bytes(rows, width));
        let upload =
            |label, bytes, data: &dyn Fn() -> Vec<u8>| gpu.upload_with(label, Purpose::Activations, bytes, data);
        let rotations = || {
            let places = (0..patches).map(|patch| cut.grid().place(patch));
            let angles = rope::place_angles(ROPE_THETA, head_dim, places);
            bytemuck::cast_slice(&table(pairs, head_dim, &angles)).to_vec()
        };
        let words = || pixels.rgb.as_chunks().0.iter().flat_map(|&[r, g, b]| [r, g, b, 0]).collect();
        let pixel_bytes = (pixels.width * pixels.height * size_of::<u32>()) as u64;
        Ok(Self {
            config: config.clone(),
            x: alloc("vision x", patches, hidden)?,
            q: alloc("vision q", patches, hidden)?,
            keys: PatchKeys::new(gpu, heads, precision, (patches, 0))?,
            h: alloc("vision h", rows, hidden)?,
            act: alloc("vision act", rows, act_width(config))?,
            angles: upload("vision angles", bytes(patches, head_dim), &rotations)?,
            pixels: Some(upload("pixels", pixel_bytes, &words)?),
            cut,
            patches,
            rows,
        })
    }

    /// The patches, some rows at a time.
    pub(super) fn chunks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (patches, rows) = (self.patches, self.rows);
        (0..patches).step_by(rows).map(move |first| first..patches.min(first + rows))
    }

    /// Some rows of a buffer of rows of `width` numbers.
    pub(super) fn rows(&self, buffer: &Buffer, range: &Range<usize>, width: usize) -> Slice {
        let row_bytes = (width * size_of::<f32>()) as u64;
        buffer.slice(range.start as u64 * row_bytes..range.end as u64 * row_bytes)
    }
}
