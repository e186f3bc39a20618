//! Sizes of pictures and their tokens: a run of `<|image_pad|>` between `<|vision_start|>` and `<|vision_end|>`.

use super::config::VisionConfig;
use crate::config::{ImageGrid, PixelSize};
use crate::error::{Error, Result};
use crate::families::definition::{PictureShape, Pictures, SizeLimit};

/// Side of the largest square picture, even if a model allows more: a binding of 128 MiB holds the queries, keys and values of its patches in a
/// tower of width 1152.
const LARGEST_EDGE: usize = 1536;
/// The longer edge is at most so many times the shorter one.
const LARGEST_RATIO: usize = 200;

/// Pixels of a picture at most; the model's own bound need not be that of a square.
fn most_pixels(config: &VisionConfig, longest_edge: usize) -> usize {
    if longest_edge >= config.max_pixels.isqrt() { config.max_pixels } else { longest_edge * longest_edge }
}

impl Pictures for VisionConfig {
    fn size_limit(&self) -> SizeLimit {
        SizeLimit::Area(self.max_pixels.min(LARGEST_EDGE * LARGEST_EDGE))
    }

    fn cell(&self) -> usize {
        self.patch_size * self.spatial_merge_size
    }

    /// Both edges are rounded to whole cells, halves to even ones; a picture of more pixels than a square of `longest_edge` or of fewer than
    /// the model's least is scaled first. The aspect ratio is not quite kept and nothing is padded. Source: `smart_resize` of
    /// `transformers` `image_processing_qwen2_vl.py`.
    fn grid(&self, PixelSize { width, height }: PixelSize, longest_edge: usize) -> Result<ImageGrid> {
        let cell = self.cell() as f64;
        if cell == 0.0 || longest_edge == 0 || width == 0 || height == 0 {
            return Err(Error::Internal { detail: "a picture or the vision config has a size of zero".into() });
        }
        let [width, height] = [width, height].map(|edge| edge as f64);
        if width.max(height) / width.min(height) > LARGEST_RATIO as f64 {
            let reason = format!("{width} x {height} pixels: one edge is more than 200 times the other");
            return Err(Error::InvalidImage { reason });
        }
        let most = most_pixels(self, longest_edge);
        let least = self.min_pixels.min(most) as f64;
        let cells = |edge: f64| (edge / cell).round_ties_even();
        let pixels = cells(width) * cells(height) * cell * cell;
        let fit: &dyn Fn(f64) -> f64 = if pixels > most as f64 {
            let shrink = (width * height / most as f64).sqrt();
            &move |edge| (edge / shrink / cell).floor().max(1.0)
        } else if pixels < least {
            let grow = (least / (width * height)).sqrt();
            &move |edge| (edge * grow / cell).ceil()
        } else {
            &cells
        };
        Ok(ImageGrid::new(fit(height) as usize, fit(width) as usize))
    }

    fn image_token(&self) -> u32 {
        self.image_token_id
    }

    fn tokens(&self, grid: ImageGrid) -> Vec<u32> {
        let mut ids = vec![self.vision_start_token_id];
        ids.extend(std::iter::repeat_n(self.image_token_id, grid.rows * grid.cols));
        ids.push(self.vision_end_token_id);
        ids
    }

    fn rows_of_token(&self) -> usize {
        VisionConfig::rows_of_token(self)
    }

    /// Memory depends on the number of cells only: one picture with the most, beside which a prompt has at least one token.
    fn shapes(&self, longest_edge: usize, context: usize) -> Vec<PictureShape> {
        let (pixels, cell) = (most_pixels(self, longest_edge.min(self.largest_edge())), self.cell());
        // The thinnest pictures have an edge of one cell, even if that exceeds the bound of pixels.
        let most = (pixels / (cell * cell)).max((LARGEST_RATIO * pixels).isqrt() / cell);
        let cells = most.min(context.saturating_sub(3)).max(1);
        let rows = cells.isqrt();
        let (rows, cols) = if cells % rows == 0 { (rows, cells / rows) } else { (1, cells) };
        vec![PictureShape { grid: ImageGrid::new(rows, cols), tokens: cells + 2 }]
    }
}
