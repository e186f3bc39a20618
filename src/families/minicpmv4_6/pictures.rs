//! Views of pictures and their tokens: the whole picture, then slices row by row, each between its markers.

use super::config::{Markers, VisionConfig};
use super::windows::{WINDOW, patch};
use crate::config::{ImageGrid, PixelSize, Slices};
use crate::error::{Error, Result};
use crate::families::definition::{PictureShape, Pictures, SizeLimit};
use crate::image::Rgb8;
use crate::image::prepare::PreparedImage;
use crate::image::resize::bicubic_u8;

/// Most cells of a view. `transformers` has no limit, but only views more than a hundred times as long as wide exceed this one.
const MAX_CELLS: usize = 96;

/// Cells along an edge: the nearest number, of two the even one, and at least one.
fn cells(edge: f64, cell: usize) -> usize {
    (edge / cell as f64).round_ties_even().max(1.0) as usize
}

impl VisionConfig {
    /// Most slices of a picture that is limited to this edge.
    fn most_slices(&self, longest_edge: usize) -> usize {
        let area = ((longest_edge as u128 + 1).pow(2) - 1) / (self.scale_resolution as u128).pow(2);
        usize::try_from(area).unwrap_or(usize::MAX).clamp(1, self.max_slices)
    }

    fn most_cells(&self) -> usize {
        MAX_CELLS.max(3 * (self.scale_resolution / self.cell_side()).pow(2) / 2)
    }

    /// Rows and columns of cells of a view of that width and height. Source: `find_best_resize` of `transformers`
    /// `image_processing_minicpmv4_6.py`.
    fn view(&self, (mut width, mut height): (f64, f64), grows: bool) -> [usize; 2] {
        let (resolution, cell) = (self.scale_resolution as f64, self.cell_side());
        if grows || width * height > resolution * resolution {
            let aspect = width / height;
            height = (resolution / aspect.sqrt()).trunc();
            width = (height * aspect).trunc();
        }
        let (rows, cols) = (cells(height, cell), cells(width, cell));
        let most = self.most_cells();
        match rows.saturating_mul(cols) > most {
            true if rows > cols => [(most / cols).max(1), cols.min(most)],
            true => [rows.min(most), (most / rows).max(1)],
            false => [rows, cols],
        }
    }

    /// Rows and columns of slices, of at most `most`: of the numbers next to that of squares which cover the picture, those whose shape is most like
    /// the picture's. Source: `get_sliced_grid`.
    fn slices(&self, PixelSize { width, height }: PixelSize, most: usize) -> Option<(usize, usize)> {
        let (width, height) = (width as f64, height as f64);
        let wanted = (width * height / (self.scale_resolution as f64).powi(2)).ceil().min(most as f64) as usize;
        let (mut best, mut least) = ((1, 1), f64::INFINITY);
        if wanted <= 1 {
            return None;
        }
        for count in (wanted - 1..=wanted + 1).filter(|&count| count != 1 && count <= most) {
            for rows in (1..=count).filter(|&rows| count.is_multiple_of(rows)) {
                let cols = count / rows;
                let error = ((width / height).ln() - (cols as f64 / rows as f64).ln()).abs();
                if error < least || error.total_cmp(&least).is_eq() && rows > best.0 {
                    (best, least) = ((rows, cols), error);
                }
            }
        }
        Some(best)
    }

    /// The grid of a picture in so many rows and columns of slices of that size, in cells.
    fn sliced((rows, cols): (usize, usize), slice: [usize; 2], whole: [usize; 2]) -> ImageGrid {
        let slices = Some(Slices { rows, cols, whole });
        ImageGrid { rows: rows * slice[0], cols: cols * slice[1], slices }
    }

    /// Adds the patches of a view to `out`, in the order in which the tower reads them: a place of all windows after another, windows cell by cell.
    /// `image`: pixels in rows of `width`; `from`: the view's first row and column.
    fn cut(&self, (image, width): (&[u8], usize), from: [usize; 2], [rows, cols]: [usize; 2], out: &mut Vec<u8>) {
        let side = self.tower.patch_size;
        for place in 0..WINDOW {
            for window in 0..WINDOW * rows * cols {
                let [row, column] = patch(place, window, cols);
                let (top, left) = (from[0] + row * side, from[1] + column * side);
                for y in top..top + side {
                    out.extend_from_slice(&image[3 * (y * width + left)..][..3 * side]);
                }
            }
        }
    }
}

impl Pictures for VisionConfig {
    fn size_limit(&self) -> SizeLimit {
        SizeLimit::Area(self.max_slices * self.scale_resolution * self.scale_resolution)
    }

    fn cell(&self) -> usize {
        self.cell_side()
    }

    /// The cells of all slices together, or those of the whole picture if it is not sliced. Source: `get_refine_size`.
    fn grid(&self, from: PixelSize, longest_edge: usize) -> Result<ImageGrid> {
        if from.width == 0 || from.height == 0 || longest_edge == 0 {
            return Err(Error::Internal { detail: "a picture without an area".into() });
        }
        let slices = self.slices(from, self.most_slices(longest_edge));
        let whole = self.view((from.width as f64, from.height as f64), slices.is_none());
        let Some((rows, cols)) = slices else { return Ok(ImageGrid::new(whole[0], whole[1])) };
        let part = |edge: usize, parts: usize| (cells(edge as f64, parts) * parts) as f64 / parts as f64;
        let slice = self.view((part(from.width, cols), part(from.height, rows)), true);
        Ok(Self::sliced((rows, cols), slice, whole))
    }

    fn image_token(&self) -> u32 {
        self.image_token_id
    }

    /// The tokens without the picture's number, which belongs to the layout of the conversation.
    fn tokens(&self, grid: ImageGrid) -> Vec<u32> {
        let Markers { whole, slice, row_end } = &self.markers;
        let view = |[begin, end]: &[Vec<u32>; 2], tokens: usize| {
            let run = std::iter::repeat_n(self.image_token_id, tokens);
            begin.iter().copied().chain(run).chain(end.iter().copied()).collect::<Vec<u32>>()
        };
        let all = grid.rows * grid.cols;
        let Some(Slices { rows, cols, whole: [whole_rows, whole_cols] }) = grid.slices else { return view(whole, all) };
        let mut ids = view(whole, whole_rows * whole_cols);
        let of_slice = view(slice, all / (rows * cols));
        for row in 0..rows {
            if row > 0 {
                ids.extend(row_end);
            }
            ids.extend(of_slice.repeat(cols));
        }
        ids
    }

    fn rows(&self, ImageGrid { rows, cols, slices }: ImageGrid) -> usize {
        rows * cols + slices.map_or(0, |slices| slices.whole[0] * slices.whole[1])
    }

    /// Square pictures, and the longest that there may be, in each number of slices for which a prompt has room.
    fn shapes(&self, longest_edge: usize, context: usize) -> Vec<PictureShape> {
        let side = cells(self.scale_resolution as f64, self.cell_side());
        let views = [[side, side], [1, self.most_cells()]];
        let grid = |view: [usize; 2], count: usize| match count {
            1 => ImageGrid::new(view[0], view[1]),
            _ => Self::sliced((1, count), view, view),
        };
        let grids = (1..=self.most_slices(longest_edge)).flat_map(|count| views.map(|view| grid(view, count)));
        let shapes = grids.map(|grid| PictureShape { grid, tokens: self.tokens(grid).len() });
        let smallest = grid(views[0], 1);
        shapes.filter(|shape| shape.tokens < context || shape.grid == smallest).collect()
    }

    /// The whole picture and its slices, each resized from the original, as patches in the order of the tower's rows.
    fn prepare(&self, picture: &Rgb8, longest_edge: usize) -> Result<PreparedImage> {
        picture.check()?;
        let (from, cell) = (PixelSize::from(picture), self.cell_side());
        let grid = self.grid(from, longest_edge)?;
        let resized = |[rows, cols]: [usize; 2]| {
            bicubic_u8(&picture.pixels, (from.width, from.height), (cols * cell, rows * cell)) // [rows * cell, cols * cell, 3]
        };
        let all = [grid.rows, grid.cols];
        let whole = grid.slices.map_or(all, |slices| slices.whole);
        let mut rgb = Vec::with_capacity(3 * self.rows(grid) * cell * cell); // [patches, side, side, 3]
        self.cut((&resized(whole), whole[1] * cell), [0, 0], whole, &mut rgb);
        if let Some(Slices { rows, cols, .. }) = grid.slices {
            let (image, slice) = (resized(all), [all[0] / rows, all[1] / cols]);
            for index in 0..rows * cols {
                let from = [index / cols * slice[0] * cell, index % cols * slice[1] * cell];
                self.cut((&image, all[1] * cell), from, slice, &mut rgb);
            }
        }
        Ok(PreparedImage { width: grid.cols * cell, height: grid.rows * cell, rgb, grid })
    }
}
