//! Tables of a picture: for every row of the tower, the rows of the learned tables that are added to it.

use super::config::VisionConfig;
use crate::config::ImageGrid;
use crate::error::Result;
use crate::gpu::{Allocator, Buffer, Purpose};
use crate::kernels::embed_rows::FEATURE;

/// Index of the table with the vector of each row's tile, for all rows. `// [rows]`
pub(super) const TILES: usize = 0;
/// The same for patches alone. `// [rows]`
pub(super) const PATCHES: usize = 1;
/// Index of the table of positions within a tile. `// [rows]`
pub(super) const POSITIONS: usize = 2;
/// Index of the table of rows that represent a whole tile. `// [rows]`
pub(super) const CLASSES: usize = 3;
/// Index of the table of positions by tile. `// [tiles]`
pub(super) const TILE_POSITIONS: usize = 4;

/// Uploads the tables of a picture of `grid` tiles, in the order of their indices.
pub(super) fn upload(gpu: &dyn Allocator, config: &VisionConfig, grid: ImageGrid) -> Result<Vec<Buffer>> {
    let number = config.arrangements().position(|known| known == grid).map_or(0, |index| index + 1);
    let (most, tile_rows, padding) = (config.max_num_tiles, config.tile_rows(), config.padding());
    let rows = config.tower_rows();
    // The tile of a row, and its place there.
    let place = |row: usize| match row.checked_sub(most * tile_rows) {
        Some(pad) => (pad / padding.max(1), None),
        None => (row / tile_rows, Some(row % tile_rows)),
    };
    let upload = |source: &dyn Fn(usize) -> Option<usize>| {
        let words = || {
            let word = |row| source(row).map_or(0, |row| row as u32 | FEATURE);
            bytemuck::cast_slice(&(0..rows).map(word).collect::<Vec<u32>>()).to_vec()
        };
        gpu.upload_with("places", Purpose::Activations, 4 * rows as u64, &words)
    };
    let tile = |tile: usize| number * most + tile;
    let tables = || bytemuck::cast_slice(&(0..most).map(|index| tile(index) as u32).collect::<Vec<_>>()).to_vec();
    Ok(vec![
        upload(&|row| Some(tile(place(row).0)))?,
        upload(&|row| place(row).1.filter(|&row| row > 0).map(|_| tile(place(row).0)))?,
        upload(&|row| place(row).1)?,
        upload(&|row| place(row).1.filter(|&row| row == 0))?,
        gpu.upload_with("places", Purpose::Activations, 4 * most as u64, &tables)?,
    ])
}
