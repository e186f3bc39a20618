//! Products of the processor, for each layout, with inputs in floats and in 8-bit integers: bytes a second of few rows, multiply-adds a second of many.
//! `OCELLI_ISA` and `OCELLI_THREADS` choose.

use std::hint::black_box;
use std::time::Instant;

use ocelli_cpu::native::Machine;
use ocelli_cpu::{InstructionSet, Job, Layout, Op, Span};

/// Rows of the matrices.
const N: usize = 3072;

/// Bytes of the planes of a group of four rows and 256 inputs.
fn planes(layout: Layout) -> &'static [usize] {
    match layout {
        Layout::F32 => &[4096],
        Layout::F16 => &[2048],
        Layout::Q8_0 => &[1024, 64],
        Layout::Q6K => &[512, 256, 64, 8],
        Layout::Q5K => &[512, 128, 64, 16],
        Layout::Q5_1 => &[512, 128, 128],
        Layout::Q5_0 => &[512, 128, 64],
        Layout::Q4_1 => &[512, 128],
        Layout::Q4K | Layout::Q2K => &[512, 64, 16],
        Layout::Iq4Xs => &[512, 32, 8],
        Layout::Q4_0 | Layout::Iq4Nl => &[512, 64],
        Layout::Mxfp4 => &[512, 32],
        Layout::Q3K => &[512, 64, 8],
        Layout::Q4_64 => &[512, 32],
    }
}

fn main() {
    let threads = std::env::var("OCELLI_THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let wanted = std::env::var("OCELLI_ISA").unwrap_or_default();
    let sets = InstructionSet::detected();
    for set in sets.iter().filter(|set| wanted.is_empty() || set.name().eq_ignore_ascii_case(&wanted)) {
        for layout in [Layout::Q4_0, Layout::Q8_0, Layout::Q4K, Layout::Q6K, Layout::F16] {
            for k in [1024, 3072] {
                for rounds in [false, true] {
                    measure(*set, threads, (layout, k), rounds);
                }
            }
        }
    }
}

/// Measures matrices with rows of `k` numbers.
fn measure(set: InstructionSet, threads: usize, (layout, k): (Layout, usize), rounds: bool) {
    let inputs = if rounds { "rounded" } else { "exact" };
    let machine = Machine::new(set, threads).expect("threads");
    let buffer = |bytes: usize| {
        let span = Span { at: machine.alloc(bytes as u64).expect("memory"), bytes: bytes as u64 };
        // Pages that were never written are one and the same page, which stays in the first cache.
        machine.write(span.at, &vec![0x31; bytes]).expect("a buffer");
        span
    };
    // Enough matrices that no cache holds them.
    let bytes: usize = planes(layout).iter().map(|bytes| bytes * N / 4 * k / 256).sum();
    let copies = (192 << 20) / bytes + 1;
    let weights: Vec<Vec<Span>> =
        (0..copies).map(|_| planes(layout).iter().map(|bytes| buffer(bytes * N / 4 * k / 256)).collect()).collect();
    let (x, y) = (buffer(512 * k * 4), buffer(512 * N * 4));
    let [k4, n, blocks] = [k / 4, N, k / 32].map(|size| size as u32);
    for m in [1_u32, 2, 4, 8] {
        let mut job = Job::default();
        for planes in &weights {
            let params = [m, n, k4, blocks, n / 4, 0, n, 0, 0, 0, 0];
            let spans = [x, y, x].into_iter().chain(planes.iter().copied());
            job.launch(Op::Matvec { layout, has_norm: false, rounds }, &params, [1, 1, 1], spans);
        }
        let seconds = least(5, || machine.run(black_box(&job), &mut None).expect("a job"));
        let rate = (bytes * copies) as f64 / seconds / 1e9;
        println!("{} {threads} {layout:?} {k} {inputs} rows {m}: {rate:.2} GB/s", set.name());
    }
    for m in [32_u32, 64, 512] {
        let mut job = Job::default();
        let params = [m, n, k4, blocks, n, 0, 0, 0];
        job.launch(
            Op::Matmul { layout, rounds },
            &params,
            [1, 1, 1],
            [x, y, x].into_iter().chain(weights[0].iter().copied()),
        );
        let seconds = least(3, || machine.run(black_box(&job), &mut None).expect("a job"));
        let rate = 2.0 * f64::from(m) * (N * k) as f64 / seconds / 1e9;
        println!("{} {threads} {layout:?} {k} {inputs} rows {m}: {rate:.1} GFLOP/s", set.name());
    }
}

/// The least time of several runs, in seconds.
fn least(times: usize, mut run: impl FnMut()) -> f64 {
    let time = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..times).map(|_| time(&mut run)).fold(f64::INFINITY, f64::min)
}
