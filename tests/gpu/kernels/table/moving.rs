//! Rows of the kernels that copy numbers.

use ocelli::config::{KvPrecision, RopePairs};
use ocelli::kernels::cases::{Case, add_features, patch_merge, patchify, position_rows, rope};
use ocelli::kernels::rope::Heads;

use super::pointwise::FOLDED;

pub(crate) fn rows() -> Vec<Case> {
    let mut rows = Vec::new();
    rows.extend(rope_rows());
    for (grid, merge, channels) in [
        ((1, 1), 2, 3),
        ((1, 3), 1, 48),
        ((3, 1), 2, 64),
        ((5, 7), 2, 33),
        ((2, 3), 4, 5),
        ((3, 2), 3, 127),
        ((7, 5), 2, 65),
    ] {
        rows.push(patch_merge(grid, merge, channels, 0..grid.0 * grid.1));
    }
    rows.extend([
        patch_merge((33, 31), 2, 513, 0..33 * 31),
        patch_merge((5, 7), 2, 33, 6..23),
        patch_merge((3, 2), 3, 5, 5..6),
    ]);
    for (grid, side) in
        [((1, 1), 2), ((1, 3), 14), ((3, 1), 16), ((5, 7), 3), ((2, 3), 32), ((7, 5), 14), ((1, 1), 255)]
    {
        rows.push(patchify(grid, side, 1, 0..grid.0 * grid.1));
    }
    rows.extend([
        patchify((65, 55), 14, 1, 0..65 * 55),
        patchify((5, 7), 14, 1, 9..26),
        patchify((3, 5), 3, 1, 14..15),
        patchify((66, 54), 16, 2, 0..66 * 54),
        patchify((4, 10), 14, 2, 9..26),
        patchify((6, 9), 5, 3, 53..54),
    ]);
    for (grid, merge, side, width) in [
        ((1, 1), 1, 6, 4),
        ((2, 2), 2, 1, 8),
        ((2, 4), 2, 48, 12),
        ((12, 6), 2, 6, 132),
        ((5, 7), 1, 9, 64),
        ((66, 100), 2, 48, 36),
    ] {
        rows.push(position_rows(grid, merge, (side, width), 0..grid.0 * grid.1));
    }
    rows.push(position_rows((6, 10), 2, (7, 20), 9..41));
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
                    rows.push(rope(tokens, heads, (true, precision), spare));
                }
            }
        }
        for (tokens, counts, dim, spare) in [(1, (1, 1), 80, 0), (33, (3, 2), 24, 8), (300, (2, 2), 80, 0)] {
            rows.push(rope(tokens, heads(counts, dim, RopePairs::Half), (false, precision), spare));
        }
    }
    rows.push(rope(FOLDED / (6 * 4) + 1, heads((2, 2), 32, RopePairs::Half), (true, KvPrecision::F16), 0));
    rows
}
