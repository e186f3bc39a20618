//! Views of pictures and their tokens: tiles row by row, each after its marker, then the whole picture.

use super::config::VisionConfig;
use crate::config::{ImageGrid, PixelSize};
use crate::error::{Error, Result};
use crate::families::definition::{PictureShape, Pictures, SizeLimit};
use crate::image::Rgb8;
use crate::image::prepare::{PreparedImage, tiles};
use crate::image::resize::lanczos_u8;

/// Scales `size` so that its longer edge is `edge`; the other one is `round` of the rest. Fractions are dropped as in Python.
fn scaled(size: PixelSize, edge: usize, round: impl Fn(usize) -> usize) -> PixelSize {
    let aspect = size.width as f64 / size.height as f64;
    match size.width >= size.height {
        true => PixelSize { width: edge, height: round((edge as f64 / aspect) as usize).max(1) },
        false => PixelSize { width: round((edge as f64 * aspect) as usize).max(1), height: edge },
    }
}

impl VisionConfig {
    /// Tiles along the longer edge of a picture that is limited to this size.
    fn tiles_along(&self, longest_edge: usize) -> usize {
        (longest_edge / self.tile()).min(self.most_tiles()).max(1)
    }

    /// The size after the first resize: the longer edge is `longest_edge` in whole tiles, the shorter one is even.
    fn first_size(&self, from: PixelSize, longest_edge: usize) -> Result<PixelSize> {
        if from.width == 0 || from.height == 0 {
            return Err(Error::Internal { detail: "a picture without an area".into() });
        }
        // Without tiles, less detail would cost as much.
        let edge = match self.splits {
            true => self.tiles_along(longest_edge) * self.tile(),
            false => self.longest_edge,
        };
        Ok(scaled(from, edge, |shorter| shorter.next_multiple_of(2)))
    }

    /// The views of a picture with these tiles: the tiles, if there are several, and the whole.
    pub(super) fn views(&self, ImageGrid { rows, cols, .. }: ImageGrid) -> usize {
        rows * cols + usize::from(rows * cols > 1)
    }
}

impl Pictures for VisionConfig {
    fn size_limit(&self) -> SizeLimit {
        SizeLimit::Edge(self.most_tiles() * self.tile())
    }

    fn cell(&self) -> usize {
        self.tile()
    }

    /// The tiles that cover the picture after the first resize. Every picture fills the longest edge, however small it is. Source: `resize`
    /// and `resize_for_vision_encoder` of `transformers` `image_processing_idefics3.py`.
    fn grid(&self, from: PixelSize, longest_edge: usize) -> Result<ImageGrid> {
        let first = self.first_size(from, longest_edge)?;
        if !self.splits {
            return Ok(ImageGrid::new(1, 1));
        }
        let tiles = |edge: usize| edge.div_ceil(self.tile());
        let PixelSize { width, height } = scaled(first, first.width.max(first.height), |shorter| shorter);
        Ok(ImageGrid::new(tiles(height), tiles(width)))
    }

    fn image_token(&self) -> u32 {
        self.image_token_id
    }

    fn tokens(&self, grid: ImageGrid) -> Vec<u32> {
        let (markers, mut ids) = (&self.markers, Vec::new());
        let (most, run) = (self.most_tiles(), || std::iter::repeat_n(self.image_token_id, self.tokens_of_view()));
        if self.views(grid) > 1 {
            for row in 0..grid.rows {
                for column in 0..grid.cols {
                    ids.extend(markers.edge.iter().chain(markers.tiles.get(row * most + column).into_iter().flatten()));
                    ids.extend(run());
                }
                ids.extend(if row + 1 < grid.rows { &markers.row_end } else { &markers.last_row_end });
            }
        }
        ids.extend(markers.edge.iter().chain(&markers.whole));
        ids.extend(run().chain(markers.edge.iter().copied()));
        ids
    }

    fn rows(&self, grid: ImageGrid) -> usize {
        self.views(grid) * self.tokens_of_view()
    }

    /// Pictures whose longer edge has the most tiles, if a prompt has room for them; otherwise the smallest picture.
    fn shapes(&self, longest_edge: usize, context: usize) -> Vec<PictureShape> {
        let most = self.tiles_along(longest_edge);
        let grids = (1..=most).map(|rows| ImageGrid::new(rows, most)).chain([ImageGrid::new(1, 1)]);
        let shapes = grids.map(|grid| PictureShape { grid, tokens: self.tokens(grid).len() });
        shapes.filter(|shape| shape.tokens < context || self.views(shape.grid) == 1).collect()
    }

    /// The views one after another. The whole picture is resized from that which was cut into tiles.
    fn prepare(&self, picture: &Rgb8, longest_edge: usize) -> Result<PreparedImage> {
        picture.check()?;
        let (from, tile) = (PixelSize::from(picture), self.tile());
        let (first, grid) = (self.first_size(from, longest_edge)?, self.grid(from, longest_edge)?);
        let (width, height) = (grid.cols * tile, grid.rows * tile);
        let pair = |size: PixelSize| (size.width, size.height);
        let scaled = lanczos_u8(&picture.pixels, pair(from), pair(first));
        let all = lanczos_u8(&scaled, pair(first), (width, height)); // [height, width, 3]
        let mut rgb = if self.views(grid) > 1 { tiles(&all, width, tile) } else { Vec::new() }; // [views, tile, tile, 3]
        rgb.extend(lanczos_u8(&all, (width, height), (tile, tile)));
        Ok(PreparedImage { width, height, rgb, grid })
    }
}
