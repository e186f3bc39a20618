//! Rows of the kernels that copy numbers.

use ocelli::config::{KvPrecision, RopePairs};
use ocelli::kernels::cases::{Case, add_features, patch_merge, patchify, position_rows, rope};
use ocelli::kernels::patch_merge::Squares;
use ocelli::kernels::position_rows::{Grid, PositionTable};
use ocelli::kernels::rope::Heads;

use super::pointwise::FOLDED;

pub(crate) fn rows() -> Vec<Case> {
    let mut rows = Vec::new();
    rows.extend(rope_rows());
    let squares = |columns, merge, channels| Squares { columns, merge, channels };
    for (rows_of_squares, squares) in [
        (1, squares(1, 2, 3)),
        (1, squares(3, 1, 48)),
        (3, squares(1, 2, 64)),
        (5, squares(7, 2, 33)),
        (2, squares(3, 4, 5)),
        (3, squares(2, 3, 127)),
        (7, squares(5, 2, 65)),
    ] {
        rows.push(patch_merge(rows_of_squares, squares, 0..rows_of_squares * squares.columns));
    }
    rows.extend([
        patch_merge(33, squares(31, 2, 513), 0..33 * 31),
        patch_merge(5, squares(7, 2, 33), 6..23),
        patch_merge(3, squares(2, 3, 5), 5..6),
    ]);
    let grid = |rows, columns, merge| Grid { rows, columns, merge };
    for (grid, side) in [
        (grid(1, 1, 1), 2),
        (grid(1, 3, 1), 14),
        (grid(3, 1, 1), 16),
        (grid(5, 7, 1), 3),
        (grid(2, 3, 1), 32),
        (grid(7, 5, 1), 14),
        (grid(1, 1, 1), 255),
    ] {
        rows.push(patchify(grid, side, 0..grid.rows * grid.columns));
    }
    rows.extend([
        patchify(grid(65, 55, 1), 14, 0..65 * 55),
        patchify(grid(5, 7, 1), 14, 9..26),
        patchify(grid(3, 5, 1), 3, 14..15),
        patchify(grid(66, 54, 2), 16, 0..66 * 54),
        patchify(grid(4, 10, 2), 14, 9..26),
        patchify(grid(6, 9, 3), 5, 53..54),
    ]);
    let table = |side, width| PositionTable { side, width };
    for (grid, table) in [
        (grid(1, 1, 1), table(6, 4)),
        (grid(2, 2, 2), table(1, 8)),
        (grid(2, 4, 2), table(48, 12)),
        (grid(12, 6, 2), table(6, 132)),
        (grid(5, 7, 1), table(9, 64)),
        (grid(66, 100, 2), table(48, 36)),
    ] {
        rows.push(position_rows(grid, table, 0..grid.rows * grid.columns));
    }
    rows.push(position_rows(grid(6, 10, 2), table(7, 20), 9..41));
    rows.extend(
        [(1, 4, 0), (2, 132, 1), (65, 64, 3), (300, 2048, 2)]
            .map(|(tokens, width, offset)| add_features(tokens, width, offset)),
    );
    rows.push(add_features(FOLDED / 4096 + 1, 4 * 4096, 1));
    rows
}

/// Rows of heads that are split.
fn rope_rows() -> Vec<Case> {
    let heads = |(q, kv), dim, pairs| Heads { q, kv, dim, pairs };
    let mut rows = Vec::new();
    for precision in [KvPrecision::F32, KvPrecision::F16] {
        for (turn, pairs) in [RopePairs::Half, RopePairs::Interleaved].into_iter().enumerate() {
            for (index, dim) in [8, 24, 32, 40, 64, 72, 80, 96, 128, 160, 256].into_iter().enumerate() {
                let counts = [(4, 1), (5, 5), (3, 0), (0, 3)];
                let sizes = [(1, 0), (33, 4), (3, 0)];
                for (third, (tokens, spare)) in sizes.into_iter().enumerate() {
                    let heads = heads(counts[(index + turn + third) % counts.len()], dim, pairs);
                    let has_norms = (index + third) % 2 == 1;
                    rows.push(rope(tokens, heads, (true, has_norms), precision, spare));
                }
            }
        }
        for (tokens, counts, dim, spare) in [(1, (1, 1), 80, 0), (33, (3, 2), 24, 8), (300, (2, 2), 80, 0)] {
            let heads = heads(counts, dim, RopePairs::Half);
            rows.extend([false, true].map(|norms| rope(tokens, heads, (false, norms), precision, spare)));
        }
    }
    rows.push(rope(FOLDED / (6 * 4) + 1, heads((2, 2), 32, RopePairs::Half), (true, false), KvPrecision::F16, 0));
    rows
}
