//! Many rows times a weight matrix, tiled through workgroup memory.

use super::{Linear, weighted};
use crate::error::Result;
use crate::gpu::{Access, Kernel, Recording};
use crate::weights::layout::Layout;

const TILE_M: usize = 32;
const TILE_N: usize = 64;

/// The kernel for a layout.
pub fn kernel(layout: Layout) -> Kernel {
    let own = [Access::Read, Access::ReadWrite, Access::Read];
    weighted("matmul", include_str!("../../shaders/matmul.wgsl"), own, layout)
}

/// Records the product.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, linear: &Linear<'_>) -> Result<()> {
    let tiles = linear.m.div_ceil(TILE_M) as u32;
    let grid = |rows: usize| [rows.div_ceil(TILE_N) as u32, tiles, 1];
    linear.record_parts(recording, &kernel(linear.weight.layout), grid)
}
