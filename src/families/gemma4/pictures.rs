//! Sizes of pictures and their tokens: a run of `<|image|>` between `<|image>` and `<image|>`.

use super::config::VisionConfig;
use crate::config::{ImageGrid, PixelSize};
use crate::error::{Error, Result};
use crate::families::definition::{PictureShape, Pictures, SizeLimit};

/// The numbers of tokens to which a picture can be fitted (`transformers` `image_processing_gemma4.py`).
const BUDGETS: [usize; 5] = [70, 140, 280, 560, 1120];

impl VisionConfig {
    /// Most tokens of a picture: the largest budget whose square is no larger than `longest_edge` wide.
    fn budget(&self, longest_edge: usize) -> usize {
        let area = |tokens: usize| tokens * self.cell() * self.cell();
        let fits =
            |&tokens: &usize| tokens <= self.max_soft_tokens && area(tokens) < (longest_edge + 1) * (longest_edge + 1);
        BUDGETS.into_iter().rev().find(fits).unwrap_or_else(|| BUDGETS[0].min(self.max_soft_tokens))
    }
}

impl Pictures for VisionConfig {
    fn size_limit(&self) -> SizeLimit {
        SizeLimit::Area(self.max_soft_tokens * self.cell() * self.cell())
    }

    fn cell(&self) -> usize {
        self.patch_size * self.pooling
    }

    /// The largest size with as many cells as the budget and nearly the picture's aspect ratio, both edges rounded down; small pictures are
    /// enlarged. Source: `get_aspect_ratio_preserving_size` of `transformers` `image_processing_gemma4.py`.
    fn grid(&self, PixelSize { width, height }: PixelSize, longest_edge: usize) -> Result<ImageGrid> {
        let (cell, budget) = (self.cell() as f64, self.budget(longest_edge));
        if cell == 0.0 || budget == 0 || width == 0 || height == 0 {
            return Err(Error::Internal { detail: "a picture or the vision config has a size of zero".into() });
        }
        let scale = (budget as f64 * cell * cell / (width as f64 * height as f64)).sqrt();
        let cells = |edge: usize| (scale * edge as f64 / cell).floor() as usize;
        // A thin picture has one cell across, and keeps its aspect ratio in whole cells.
        let thin = |long: usize, short: usize| (long / short).min(budget);
        let (rows, cols) = match (cells(height), cells(width)) {
            (0, 0) => (0, 0),
            (0, _) => (1, thin(width, height)),
            (_, 0) => (thin(height, width), 1),
            both => both,
        };
        if rows == 0 || cols == 0 || rows * cols > budget {
            let reason = format!("{width} x {height} pixels do not fit {budget} cells of {} pixels", self.cell());
            return Err(Error::InvalidImage { reason });
        }
        Ok(ImageGrid::new(rows, cols))
    }

    fn image_token(&self) -> u32 {
        self.image_token_id
    }

    fn tokens(&self, grid: ImageGrid) -> Vec<u32> {
        let mut ids = vec![self.begin_token_id];
        ids.extend(std::iter::repeat_n(self.image_token_id, grid.rows * grid.cols));
        ids.push(self.end_token_id);
        ids
    }

    /// Memory depends on the number of cells only: one picture with the most, beside which a prompt has at least one token.
    fn shapes(&self, longest_edge: usize, context: usize) -> Vec<PictureShape> {
        let cells = self.budget(longest_edge).min(context.saturating_sub(3)).max(1);
        let rows = cells.isqrt();
        let (rows, cols) = if cells.is_multiple_of(rows) { (rows, cells / rows) } else { (1, cells) };
        vec![PictureShape { grid: ImageGrid::new(rows, cols), tokens: cells + 2 }]
    }
}
