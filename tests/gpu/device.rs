//! The device that the GPU tests share.

use std::sync::OnceLock;

use ocelli::gpu::Gpu;
pub(crate) use ocelli::kernels::cases::Random;

/// The device of the whole test file, opened once.
///
/// # Panics
/// If there is none: a GPU test without a GPU has failed, it is not skipped.
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
