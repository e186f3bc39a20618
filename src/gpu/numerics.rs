//! Identification of the numerics of a device.

use sha2::{Digest, Sha256};

use super::device::Gpu;
use crate::shader::FILES;

impl Gpu {
    /// Device, driver, kernel configuration and kernels as a string. Results are identical where these are
    /// identical.
    pub fn numerics(&self) -> String {
        let report = self.report();
        let kernels = if self.host().is_some() { env!("OCELLI_CPU_SOURCES").into() } else { shaders() };
        let device = format!("{} {} {} {:?}", report.backend, report.name, report.driver, report.class);
        format!("{} {kernels} {device} {:?} {:?}", env!("CARGO_PKG_VERSION"), report.features, self.kernel_config())
    }
}

/// A hash of the WGSL files.
fn shaders() -> String {
    let mut kernels = Sha256::new();
    FILES.iter().for_each(|file| kernels.update(file.text));
    kernels.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
