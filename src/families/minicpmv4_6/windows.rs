//! The order of patches: those of a window are merged between two layers, the windows of a cell after the last one.

/// Patches of a window, and windows of a cell.
pub(super) const WINDOW: usize = 4;
/// Side of a cell in patches: a cell becomes one token.
pub(super) const CELL: usize = 4;

/// Row and column of the patch at a place of a window, in a view with `cols` cells in a row.
pub(super) fn patch(place: usize, window: usize, cols: usize) -> [usize; 2] {
    let (cell, inner) = (window / WINDOW, window % WINDOW);
    [cell / cols * CELL + inner / 2 * 2 + place / 2, cell % cols * CELL + inner % 2 * 2 + place % 2]
}
