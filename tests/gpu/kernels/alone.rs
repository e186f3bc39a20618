//! The result of a row does not depend on the other rows, bit by bit. Verification of several drafts at a time relies on it.

use ocelli::gpu::{Features, Purpose, Recording};
use ocelli::kernels::cases::{Harness, random_matrix};
use ocelli::kernels::gemv::{Gemv, Norm, Tuning};
use ocelli::kernels::{Linear, matvec};
use ocelli::layout::{LaneLayout, Layout, MatrixShape};

use crate::device;

const N: usize = 68;
/// Rows with at most as many blocks as lanes, and with more.
const INPUTS: [usize; 2] = [768, 2304];

#[test]
fn a_row_has_the_same_bits_alone_and_among_others() {
    let gpu = device::gpu();
    let emulated = Tuning { uses: Features::NONE, emulated: 16, ..Tuning::SUBGROUPS };
    let kernel_config =
        [(Layout::Q4_0, Tuning::SUBGROUPS), (Layout::F16, Tuning { row_groups: 2, ..Tuning::SUBGROUPS })];
    let others = [(Layout::Q8_0, emulated), (Layout::Q4_0, Tuning::DOT), (Layout::Q8_0, Tuning::DOT_SOFTWARE)];
    for (index, (layout, tuning)) in kernel_config.into_iter().chain(others).enumerate() {
        let k = INPUTS[index % 2];
        let (mut harness, shape) = (Harness::new(gpu, index as u64), MatrixShape { rows: N, cols: k });
        let (weight, _) = random_matrix(&mut harness, layout, shape, N).expect("weight");
        let upload = |numbers: &[f32]| gpu.upload("alone", Purpose::Activations, numbers).expect("upload").all();
        let (x, gain) = (harness.random.numbers(4 * k, 3.0), upload(&harness.random.numbers(k, 1.0)));
        let product = |rows: &[f32]| -> Vec<u32> {
            let m = rows.len() / k;
            let (x, y) = (upload(rows), upload(&vec![f32::NAN; m * N]));
            let (norm, gemv) = (
                Norm { weight: &gain, eps: 1e-5, lane_layout: LaneLayout::NATURAL },
                Gemv::new((layout, shape), m, 1, true, tuning),
            );
            let (x, y, weight) = (&x, &y, &weight);
            let linear = Linear { x, m, weight, bias: None, y, y_stride: N, y_offset: 0, accumulate: false };
            let mut recording = Recording::new();
            matvec::record(&mut recording, &gemv, &linear, Some(norm)).expect("record");
            gpu.run("alone", &recording).expect("run");
            pollster::block_on(gpu.read_as(y)).expect("read")
        };
        let alone: Vec<u32> = x.chunks_exact(k).flat_map(&product).collect();
        for m in if tuning.emulated > 0 { vec![2] } else { vec![2, 4] } {
            let among: Vec<u32> = x.chunks_exact(m * k).flat_map(&product).collect();
            assert!(among == alone, "{layout} m={m} {tuning:?}");
        }
    }
}
