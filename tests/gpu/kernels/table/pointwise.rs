//! Rows of pointwise kernels and norms.

use ocelli::config::Activation;
use ocelli::gpu::Features;
use ocelli::kernels::RowShape;
use ocelli::kernels::cases::{
    ACTIVATIONS, Case, activation, clamp, gate_rows, glu, layer_norm, peak, pool_rows, rms_norm, soft_cap,
    subgroup_probe,
};
use ocelli::kernels::gate_rows::RowPart;
use ocelli::kernels::peak::Numbers;
use ocelli::kernels::rms_norm::{Results, Tuning};
use ocelli::kernels::subgroup_probe::THREADS;
use ocelli::layout::LaneLayout;

const PLAIN: Tuning = Tuning { uses: Features::NONE, emulated: 0 };
pub(super) const WIDTHS: [usize; 12] = [1, 3, 31, 32, 33, 63, 64, 65, 127, 128, 129, 588];
/// More than 32768 workgroups of 64 threads, and not a whole number of them: grids are folded.
pub(super) const FOLDED: usize = 32_768 * 64 + 77;

pub(crate) fn rows() -> Vec<Case> {
    let mut rows = Vec::new();
    let shape = |rows, width| RowShape { rows, width };
    for kind in ACTIVATIONS {
        rows.extend(WIDTHS.map(|len| activation(len, kind, 6.0)));
        rows.extend([1e-3, 1.0, 30.0, 90.0, 1e4, 1e18, 1e30].map(|size| activation(129, kind, size)));
        rows.extend([1, 3, 33].map(|rows| glu(rows, 65, kind, 8.0)));
        rows.push(glu(5, 129, kind, 200.0));
        rows.extend(
            [64, 128, 768, 2560].map(|width| glu(3, width, kind, 8.0).with_lane_layout(LaneLayout::for_lanes(width))),
        );
    }
    rows.extend(WIDTHS.map(|width| glu(4, width, Activation::Silu, 4.0)));
    rows.extend([activation(FOLDED, Activation::Silu, 6.0), glu(FOLDED / 129 + 1, 129, Activation::Silu, 6.0)]);
    for width in [4, 12, 32, 36, 64, 68, 124, 128, 132, 252, 256, 260, 588, 3072] {
        rows.extend([1, 3, 33].map(|rows| rms_norm((PLAIN, Results::Stored), (rows, width), 1e-5, 3.0)));
    }
    // Inputs that are small relative to eps, and inputs with large squares.
    rows.extend([
        rms_norm((PLAIN, Results::Stored), (2, 128), 1e-6, 1e-6),
        rms_norm((PLAIN, Results::Stored), (2, 128), 1e-5, 1e12),
        rms_norm((PLAIN, Results::Stored), (5000, 4), 1e-5, 1.0),
    ]);
    for width in [4, 12, 128, 252, 256, 260, 1152, 4608] {
        rows.extend([1, 3, 33].map(|rows| layer_norm(RowShape { rows, width }, 1e-6, 3.0)));
    }
    rows.extend([
        layer_norm(shape(2, 128), 1e-6, 1e-6),
        layer_norm(shape(2, 128), 1e-6, 1e12),
        layer_norm(shape(5000, 4), 1e-5, 1.0),
    ]);
    rows.extend([64, 128, 896, 3072].map(|width| {
        rms_norm((PLAIN, Results::Stored), (3, width), 1e-5, 3.0).with_lane_layout(LaneLayout::for_lanes(width))
    }));
    rows.extend([4, 36, 256, 3072].map(|width| rms_norm((PLAIN, Results::Added), (3, width), 1e-5, 3.0)));
    rows.extend([64, 896].map(|width| {
        rms_norm((PLAIN, Results::Added), (3, width), 1e-5, 3.0).with_lane_layout(LaneLayout::for_lanes(width))
    }));
    for (rows_of, width) in [(1, 1), (3, 37), (5, 64), (33, 129)] {
        rows.push(clamp(shape(rows_of, width), RowPart { stride: 2 * width + 3, offset: width }));
        rows.push(pool_rows(shape(rows_of, 4 * width), 9, Some(1e-6)));
        rows.push(pool_rows(shape(rows_of, 4 * width), 1 + width % 3, Some(1e-6)));
        rows.push(pool_rows(shape(rows_of, 4 * width), 4, None));
    }
    rows.push(rms_norm((PLAIN, Results::Scaled), (3, 896), 1e-5, 3.0).with_lane_layout(LaneLayout::for_lanes(896)));
    for (index, width) in [4, 16, 64, 256, 260].into_iter().enumerate() {
        let part = RowPart { stride: 3 * width + 4 * index, offset: width };
        rows.push(gate_rows(shape(5, width), part, ACTIVATIONS[index % 3], 8.0));
        if width % 64 == 0 {
            let lane_layout = LaneLayout::for_lanes(width);
            rows.push(gate_rows(shape(2, width), part, Activation::GeluTanh, 8.0).with_lane_layout(lane_layout));
        }
    }
    rows.extend(WIDTHS.map(|len| soft_cap(len, 30.0, 90.0)));
    rows.extend([1e-3, 1.0, 1e4, 1e30].map(|size| soft_cap(129, 50.0, size)));
    rows.push(soft_cap(FOLDED, 30.0, 90.0));
    rows.extend(THREADS.map(|threads| subgroup_probe(threads, 0, 5)));
    rows.extend([4, 8, 24, 64, 512].map(|emulated| subgroup_probe(64, emulated, 5)));
    rows.extend(Numbers::ALL.into_iter().flat_map(|numbers| [0, 1, 9].map(|turns| peak(numbers, 131, turns))));
    let subgroups = Tuning { uses: Features::SUBGROUPS, emulated: 0 };
    let emulated = [4, 8, 16, 32, 64, 128].map(|emulated| Tuning { uses: Features::NONE, emulated });
    for tuning in [subgroups].into_iter().chain(emulated) {
        rows.extend([(1, 4), (3, 260), (5, 3072)].map(|sizes| rms_norm((tuning, Results::Stored), sizes, 1e-5, 3.0)));
        rows.extend([Results::Added, Results::Scaled].map(|results| rms_norm((tuning, results), (3, 260), 1e-5, 3.0)));
    }
    rows
}
