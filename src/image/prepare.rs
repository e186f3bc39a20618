//! Resizing a picture for the model. Each family defines the size: see `families/*/pictures.rs`.

use ocelli_pictures::Rgb8;
use sha2::{Digest, Sha256};

use super::resize::bicubic_u8;
use crate::config::{ImageGrid, Slices};

/// A resized picture before normalisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedImage {
    /// Width in pixels: whole cells of the grid.
    pub width: usize,
    /// Height in pixels: whole cells of the grid.
    pub height: usize,
    /// Pixels. // [height, width, 3], or the views of the tower one after another
    pub rgb: Vec<u8>,
    /// Size in cells.
    pub grid: ImageGrid,
}

/// Resizes a picture to a grid of cells of `cell` pixels by bicubic interpolation.
pub fn resample(picture: &Rgb8, grid: ImageGrid, cell: usize) -> PreparedImage {
    let (width, height) = (grid.cols * cell, grid.rows * cell);
    let rgb = bicubic_u8(&picture.pixels, (picture.width as usize, picture.height as usize), (width, height));
    PreparedImage { width, height, rgb, grid }
}

/// The square tiles of a picture of `width` pixels in a row, row by row. `// [height, width, 3]` to `// [tiles, tile, tile, 3]`
pub fn tiles(rgb: &[u8], width: usize, tile: usize) -> Vec<u8> {
    let mut tiles = Vec::with_capacity(rgb.len());
    for rows in rgb.chunks_exact(3 * width * tile) {
        for left in (0..3 * width).step_by(3 * tile) {
            tiles.extend(rows.chunks_exact(3 * width).flat_map(|row| &row[left..left + 3 * tile]));
        }
    }
    tiles
}

/// Hash that identifies a picture.
pub type Fingerprint = [u8; 32];

/// Hash of a picture together with the grid in which it is shown, and with the number of its owner; 0 for none.
pub fn fingerprint_in(original: &Fingerprint, grid: ImageGrid, owner: u64) -> Fingerprint {
    let mut hash = Sha256::new();
    hash.update(original);
    hash.update((grid.rows as u64).to_le_bytes());
    hash.update((grid.cols as u64).to_le_bytes());
    if let Some(Slices { rows, cols, whole }) = grid.slices {
        [rows, cols, whole[0], whole[1]].into_iter().for_each(|number| hash.update((number as u64).to_le_bytes()));
    }
    if owner != 0 {
        hash.update(owner.to_le_bytes());
    }
    hash.finalize().into()
}

/// SHA-256 of a picture's size and pixels: equal pictures have equal fingerprints, whatever file they came from.
pub fn fingerprint(picture: &Rgb8) -> Fingerprint {
    let mut hash = Sha256::new();
    hash.update(picture.width.to_le_bytes());
    hash.update(picture.height.to_le_bytes());
    hash.update(&picture.pixels);
    hash.finalize().into()
}
