//! Rows of the kernels of gated delta nets.

use ocelli::kernels::LaneLayout;
use ocelli::kernels::cases::{Case, NormedHeads, delta_scan, gated_head_norm};
use ocelli::kernels::delta_scan::DeltaHeads;
use ocelli::kernels::gated_head_norm::NormMode;

pub(crate) fn rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (tokens, keys, values, dim) in
        [(1, 1, 1, 32), (1, 16, 16, 128), (2, 2, 4, 64), (3, 2, 6, 32), (70, 2, 4, 64), (33, 1, 3, 128), (5, 1, 1, 256)]
    {
        for tiled in [false, true] {
            let heads = DeltaHeads { keys, values, dim, tiled };
            rows.extend([true, false].map(|keeps| delta_scan(tokens, heads, keeps)));
        }
    }
    for (tokens, heads, dim) in [(1, 1, 32), (1, 16, 128), (2, 2, 64), (3, 5, 64), (4, 3, 32), (70, 4, 60)] {
        for mode in [NormMode::All, NormMode::Norm, NormMode::Keep] {
            rows.extend(
                [(1, 0), (64, 2), (6144, 32)].map(|(channels, spare)| {
                    gated_head_norm(NormedHeads { tokens, heads, dim, channels, spare }, mode)
                }),
            );
        }
    }
    for (tokens, heads, dim) in [(1, 3, 32), (2, 2, 64), (4, 5, 96), (3, 16, 128), (1, 2, 256)] {
        let sizes = NormedHeads { tokens, heads, dim, channels: 64, spare: 2 };
        rows.push(gated_head_norm(sizes, NormMode::Norm).with_lane_layout(LaneLayout::for_lanes(dim)));
    }
    rows
}
