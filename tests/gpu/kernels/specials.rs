//! Inputs at risk from rounding: outliers, zeros, very large and very small numbers, NaN.

use ocelli::gpu::{DeviceClass, Features, KernelConfig, Recording};
use ocelli::kernels::cases::{HALVES, Harness, SUM, random_matrix, seen};
use ocelli::kernels::gemv::{self, Gemv};
use ocelli::kernels::{Linear, TuningGroup, matmul, matvec};
use ocelli::layout::{Layout, MatrixShape};
use ocelli::{Result, reference};

use crate::device;

const NONE: usize = 2;

/// Rows of random numbers, each with a peculiarity; row [`NONE`] contains a NaN. `// [8, k]`
fn inputs(harness: &mut Harness<'_>, k: usize) -> Vec<f32> {
    let mut x = harness.random.numbers(8 * k, 1.0);
    for (row, x) in x.chunks_exact_mut(k).enumerate() {
        let size = [1.0, 1.0, 1.0, 1e30, 1e-30, 0.0, 1.0, 1e-37][row];
        x.iter_mut().for_each(|x| *x *= size);
        match row {
            1 => x[k / 2] = 3e4,
            NONE => x[k / 3] = f32::NAN,
            6 => x[..k / 2].fill(0.0),
            _ => {}
        }
    }
    x
}

fn few(recording: &mut Recording, linear: &Linear<'_>) -> Result<()> {
    let gemv = Gemv::of(recording.kernel_config(), linear.weight, linear.m, 1, false);
    matvec::record(recording, &gemv, linear, None)
}

type Record = fn(&mut Recording, &Linear<'_>) -> Result<()>;

/// Runs a product and checks each row relative to its own size.
fn product(kernel_config: KernelConfig, layout: Layout, record: Record, k: usize) -> Result<()> {
    let (m, n) = (8, 20);
    let mut harness = Harness::new(device::gpu(), 1);
    let (weight, w) = random_matrix(&mut harness, layout, MatrixShape { rows: n, cols: k }, n)?; // [n, k]
    let x = inputs(&mut harness, k);
    let (x_slice, y) = (harness.input(&x)?, harness.input(&vec![0.0; m * n])?);
    let linear =
        Linear { x: &x_slice, m, weight: &weight, bias: None, y: &y, y_stride: n, y_offset: 0, accumulate: false };
    let mut recording = Recording::on(kernel_config);
    record(&mut recording, &linear)?;
    let uses = recording.dispatches().last().map(|dispatch| dispatch.kernel.needs()).unwrap_or_default();
    harness.gpu.run("specials", &recording)?;
    let found: Vec<f32> = pollster::block_on(harness.gpu.read_as(&y))?;
    let (x, w) = seen(uses, k, &x, &w);
    let mut right = vec![0.0; m * n];
    let shape = reference::matmul::Shape { m, n, k, y_stride: n, y_offset: 0, accumulate: false };
    reference::matmul::compute(shape, &x, &w, None, &mut right);
    let tolerance = if uses.contains(Features::F16) { HALVES } else { SUM };
    for (row, (found, right)) in found.chunks_exact(n).zip(right.chunks_exact(n)).take(m).enumerate() {
        let x = &x[row * k..][..k];
        for ((f, r), w) in found.iter().zip(right).zip(w.chunks_exact(k)) {
            // In 64 bits, where squares neither overflow nor underflow.
            let products = || x.iter().zip(w).map(|(x, w)| (f64::from(*x) * f64::from(*w)).abs());
            let square: f64 = products().map(|product| product.powi(2)).sum();
            // Devices may take subnormal products for zero, as NVIDIA's do.
            let least = f64::from(f32::MIN_POSITIVE);
            let flushed: f64 = products().map(|product| product.min(least)).sum();
            let is_close = f64::from(f - r).abs() <= tolerance * square.sqrt() + flushed + least;
            let is_right = if row == NONE { f.is_nan() } else { is_close };
            assert!(is_right, "{layout} {kernel_config:?} row {row}: {f} where {r} is right");
        }
    }
    Ok(())
}

/// Configurations for each tuning of a table that uses optional features.
fn tiers(group: TuningGroup, uses: &[Features]) -> Vec<KernelConfig> {
    let places = (1..).zip(uses).filter(|(_, uses)| **uses != Features::NONE);
    let kernel_config = |(place, &features): (u8, &Features)| {
        let mut kernel_config = KernelConfig { features, ..KernelConfig::of(DeviceClass::Hardware) };
        kernel_config.variants[group as usize] = place;
        kernel_config
    };
    places.map(kernel_config).collect()
}

#[test]
fn extreme_numbers_affect_only_their_row() {
    let groups: [(TuningGroup, Vec<Features>, Record); 2] = [
        (TuningGroup::Gemv, gemv::Tuning::ALL.map(|tuning| tuning.uses).into(), few),
        (TuningGroup::Matmul, matmul::Tuning::ALL.map(|tuning| tuning.uses).into(), |recording, linear| {
            linear.record(recording)
        }),
    ];
    for (group, uses, record) in groups {
        let rounds = |kernel_config: &KernelConfig| {
            kernel_config.features.intersects(Features::F16 | Features::DOT)
                && device::gpu().features().contains(kernel_config.features)
        };
        for (index, kernel_config) in tiers(group, &uses).into_iter().filter(rounds).enumerate() {
            for layout in [[Layout::Q8_0, Layout::Q4K], [Layout::Q4_0, Layout::Q6K]][index % 2] {
                product(kernel_config, layout, record, 512).expect("a product");
            }
        }
    }
}
