//! A few rows times a weight matrix: every workgroup makes four outputs of one row.

use super::{Linear, folded_grid, weighted};
use crate::error::Result;
use crate::gpu::{Access, Kernel, Recording};
use crate::weights::layout::Layout;

/// Outputs of a workgroup.
const ROWS: usize = 4;

/// The kernel for a layout.
pub fn kernel(layout: Layout) -> Kernel {
    let own = [Access::Read, Access::ReadWrite, Access::Read];
    weighted("matvec", include_str!("../../shaders/matvec.wgsl"), own, layout)
}

/// Records the product.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, linear: &Linear<'_>) -> Result<()> {
    let grid = |rows: usize| {
        let [x, y, _] = folded_grid(rows.div_ceil(ROWS));
        [x, y, linear.m as u32]
    };
    linear.record_parts(recording, &kernel(linear.weight.layout), grid)
}
