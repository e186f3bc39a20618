//! What the GPU tests share.
#![allow(dead_code, reason = "every test file is its own crate and uses a part of this")]

use std::sync::OnceLock;

use ocelli::gpu::Gpu;

/// The device of the whole test file, opened once.
///
/// # Panics
/// If there is none: a GPU test that finds no GPU has failed, it is not skipped.
pub(crate) fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| {
        let gpu =
            pollster::block_on(Gpu::open()).expect("GPU tests need a device; `./build.sh setup` installs lavapipe");
        let report = gpu.report();
        println!("device: {} ({}, {})", report.name, report.backend, report.driver);
        gpu
    })
}

/// Marsaglia's xorshift64* (<https://www.jstatsoft.org/article/view/v008i14>): the same numbers on every machine.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A stream of its own for every seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next 32 bits.
    pub(crate) fn bits(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// Evenly spread over -1..1.
    pub(crate) fn number(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    /// `len` numbers in `-size..size`.
    pub(crate) fn numbers(&mut self, len: usize, size: f32) -> Vec<f32> {
        (0..len).map(|_| self.number() * size).collect()
    }
}
