//! Arrangement of pictures in tiles, and their single token, `<|image|>`.

use super::config::VisionConfig;
use crate::config::{ImageGrid, PixelSize};
use crate::error::{Error, Result};
use crate::families::definition::{PictureShape, Pictures, SizeLimit};
use crate::image::Rgb8;
use crate::image::prepare::PreparedImage;
use crate::image::resize::bilinear_u8;

impl VisionConfig {
    /// The picture's size on the canvas of a grid of tiles: it fills the canvas's width or height, enlarged to a tile at most. Source:
    /// `get_image_size_fit_to_canvas` of `transformers` `image_processing_mllama.py`.
    fn size_on(&self, grid: ImageGrid, PixelSize { width, height }: PixelSize) -> PixelSize {
        let fit = |edge: usize, tiles: usize| edge.clamp(self.tile_size, tiles * self.tile_size);
        let (most_width, most_height) = (fit(width, grid.cols), fit(height, grid.rows));
        let (scale_x, scale_y) = (most_width as f64 / width as f64, most_height as f64 / height as f64);
        let scaled = |edge: usize, scale: f64, most: usize| ((edge as f64 * scale) as usize).clamp(1, most);
        if scale_x < scale_y {
            PixelSize { width: most_width, height: scaled(height, scale_x, most_height) }
        } else {
            PixelSize { width: scaled(width, scale_y, most_width), height: most_height }
        }
    }
}

impl Pictures for VisionConfig {
    fn size_limit(&self) -> SizeLimit {
        SizeLimit::Edge(self.max_num_tiles * self.tile_size)
    }

    fn cell(&self) -> usize {
        self.tile_size
    }

    /// The arrangement of tiles that enlarges the picture least or, if all are too small, shrinks it least; of several, the first with the
    /// fewest tiles. Source: `get_optimal_tiled_canvas` of `transformers` `image_processing_mllama.py`.
    fn grid(&self, from: PixelSize, longest_edge: usize) -> Result<ImageGrid> {
        if from.width == 0 || from.height == 0 || longest_edge == 0 {
            return Err(Error::Internal { detail: "a picture without an area".into() });
        }
        let most = longest_edge.div_ceil(self.tile_size);
        let scale = |grid: &ImageGrid| {
            let by = |tiles: usize, edge: usize| (tiles * self.tile_size) as f64 / edge as f64;
            by(grid.rows, from.height).min(by(grid.cols, from.width))
        };
        let fits = |grid: &ImageGrid| grid.rows.max(grid.cols) <= most;
        let all: Vec<(ImageGrid, f64)> = self.arrangements().filter(fits).map(|grid| (grid, scale(&grid))).collect();
        let enlarged = all.iter().map(|(_, scale)| *scale).filter(|scale| *scale >= 1.0).reduce(f64::min);
        let best = enlarged.or_else(|| all.iter().map(|(_, scale)| *scale).reduce(f64::max));
        let alike = all.iter().filter(|(_, scale)| Some(*scale) == best).map(|(grid, _)| *grid);
        let least = alike.min_by_key(|grid| grid.rows * grid.cols);
        least.ok_or_else(|| Error::Internal { detail: "no arrangement of tiles".into() })
    }

    fn image_token(&self) -> u32 {
        self.image_token_id
    }

    fn tokens(&self, _grid: ImageGrid) -> Vec<u32> {
        vec![self.image_token_id]
    }

    fn rows(&self, _grid: ImageGrid) -> usize {
        1
    }

    /// The rows of one tile; a picture has as many for each of its tiles.
    fn rows_of_token(&self) -> usize {
        self.tile_rows()
    }

    fn feature_rows(&self, grid: ImageGrid) -> usize {
        grid.rows * grid.cols * self.tile_rows()
    }

    /// Pictures take one token each, so the context does not bound their features.
    fn max_feature_rows(&self, _context: usize) -> usize {
        0
    }

    fn must_begin_pass(&self) -> bool {
        true
    }

    fn shapes(&self, longest_edge: usize, _context: usize) -> Vec<PictureShape> {
        let most = longest_edge.div_ceil(self.tile_size).max(1);
        let fits = |grid: &ImageGrid| grid.rows.max(grid.cols) <= most;
        let largest = self.arrangements().filter(fits).max_by_key(|grid| grid.rows * grid.cols);
        largest.map(|grid| PictureShape { grid, tokens: 1 }).into_iter().collect()
    }

    /// Scales the picture in proportion, into the top left corner of a black canvas.
    fn prepare(&self, picture: &Rgb8, longest_edge: usize) -> Result<PreparedImage> {
        picture.check()?;
        let from = PixelSize::from(picture);
        let grid = self.grid(from, longest_edge)?;
        let (width, height) = (grid.cols * self.tile_size, grid.rows * self.tile_size);
        let to = self.size_on(grid, from);
        let scaled = bilinear_u8(&picture.pixels, (from.width, from.height), (to.width, to.height)); // [to.height, to.width, 3]
        let mut rgb = vec![0; 3 * width * height]; // [height, width, 3]
        for (row, pixels) in rgb.chunks_exact_mut(3 * width).zip(scaled.chunks_exact(3 * to.width)) {
            row[..pixels.len()].copy_from_slice(pixels);
        }
        Ok(PreparedImage { width, height, rgb, grid })
    }
}
