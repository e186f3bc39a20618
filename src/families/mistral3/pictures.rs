//! Sizes of pictures and their tokens: rows of `[IMG]` that end in `[IMG_BREAK]`, the last one in `[IMG_END]`.

use super::config::VisionConfig;
use crate::config::{ImageGrid, PixelSize};
use crate::error::{Error, Result};
use crate::families::definition::{PictureShape, Pictures, SizeLimit};

/// Most heights of pictures in a memory plan; of more possible ones, as many are picked evenly.
const HEIGHTS: usize = 64;

impl Pictures for VisionConfig {
    fn size_limit(&self) -> SizeLimit {
        SizeLimit::Edge(self.image_size)
    }

    fn cell(&self) -> usize {
        self.patch_size * self.spatial_merge_size
    }

    /// Scales the longer edge down to the limit, then rounds both up to whole merged patches; the aspect ratio changes slightly and nothing is
    /// padded. Source: `get_resize_output_image_size` of `transformers` `image_processing_pixtral.py`.
    fn grid(&self, from: PixelSize, longest_edge: usize) -> Result<ImageGrid> {
        let cell = self.cell();
        if cell == 0 || longest_edge == 0 {
            return Err(Error::Internal { detail: "the vision config has a size of zero".into() });
        }
        let longest = longest_edge as f64;
        let ratio = (from.width as f64 / longest).max(from.height as f64 / longest);
        // A very thin picture would shrink to no pixels.
        let fit = |edge: usize| if ratio > 1.0 { ((edge as f64 / ratio).floor() as usize).max(1) } else { edge };
        Ok(ImageGrid::new(fit(from.height).div_ceil(cell), fit(from.width).div_ceil(cell)))
    }

    fn image_token(&self) -> u32 {
        self.image_token_id
    }

    fn tokens(&self, grid: ImageGrid) -> Vec<u32> {
        let mut ids = Vec::with_capacity(grid.rows * (grid.cols + 1));
        for row in 1..=grid.rows {
            ids.extend(std::iter::repeat_n(self.image_token_id, grid.cols));
            ids.push(if row == grid.rows { self.image_end_token_id } else { self.image_break_token_id });
        }
        ids
    }

    fn shapes(&self, longest_edge: usize, context: usize) -> Vec<PictureShape> {
        let most = longest_edge.div_ceil(self.cell()).max(1);
        let shape = |rows: usize| {
            // A prompt has at least one more token.
            let cols = most.min((context.saturating_sub(2) / rows).saturating_sub(1));
            (cols > 0).then_some(PictureShape { grid: ImageGrid::new(rows, cols), tokens: rows * (cols + 1) })
        };
        let heights = (1..=HEIGHTS).map(|index| (most * index).div_ceil(HEIGHTS));
        let mut shapes: Vec<PictureShape> = heights.filter_map(shape).collect();
        shapes.push(PictureShape { grid: ImageGrid::new(1, 1), tokens: 2 });
        shapes
    }
}
