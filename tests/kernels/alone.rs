//! A row comes to the same bits alone and among others: drafts that are verified several at a time rely on it.

use ocelli::gpu::{Features, Purpose, Recording, Slice};
use ocelli::kernels::gemv::{Norm, Tuning};
use ocelli::kernels::matvec::Matvec;
use ocelli::kernels::upload_weight;
use ocelli::weights::layout::{Layout, MatrixShape};

use ocelli::kernels::cases::Random;

use crate::common;

const N: usize = 68;
/// Of no more blocks than lanes, and of more.
const INPUTS: [usize; 2] = [768, 2304];

#[test]
fn a_row_comes_to_the_same_bits_alone_and_among_others() {
    let gpu = common::gpu();
    let emulated = Tuning { uses: Features::NONE, emulated: 16, ..Tuning::SUBGROUPS };
    let kernel_config =
        [(Layout::Q4_0, Tuning::SUBGROUPS), (Layout::F16, Tuning { row_groups: 2, ..Tuning::SUBGROUPS })];
    let others = [(Layout::Q8_0, emulated), (Layout::Q4_0, Tuning::DOT), (Layout::Q8_0, Tuning::DOT_SOFTWARE)];
    for (index, (layout, tuning)) in kernel_config.into_iter().chain(others).enumerate() {
        let k = INPUTS[index % 2];
        let mut random = Random::new(index as u64);
        let weight = upload_weight(gpu, layout, MatrixShape { rows: N, cols: k }, &random.numbers(N * k, 1.0));
        let weight = weight.expect("weight");
        let upload = |numbers: &[f32]| gpu.upload("alone", Purpose::Activations, numbers).expect("upload").all();
        let (x, gain) = (random.numbers(4 * k, 3.0), upload(&random.numbers(k, 1.0)));
        let product = |rows: &[f32]| -> Vec<u32> {
            let m = rows.len() / k;
            let (x, y) = (upload(rows), upload(&vec![f32::NAN; m * N]));
            let norm = Some(Norm { weight: &gain, eps: 1e-5 });
            let (x, y): (&Slice, &Slice) = (&x, &y);
            let launch = Matvec {
                x,
                m,
                norm,
                weight: &weight,
                bias: None,
                y,
                y_stride: N,
                y_offset: 0,
                accumulate: false,
                tuning,
            };
            let mut recording = Recording::new();
            launch.record(&mut recording).expect("record");
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
