//! Identification of the numerics of a device.

use sha2::{Digest, Sha256};

use super::device::Gpu;
use crate::shader::FILES;

impl Gpu {
    /// Device, driver, kernel configuration and kernels as a string. Results are identical where these are.
    pub fn numerics(&self) -> String {
        let kernels = if self.host().is_some() { ocelli_cpu::SOURCES.into() } else { shaders() };
        format!("{} {kernels} {} {:?}", env!("CARGO_PKG_VERSION"), self.report().identity(), self.kernel_config())
    }
}

/// A hash of the WGSL files.
fn shaders() -> String {
    let mut kernels = Sha256::new();
    FILES.iter().for_each(|file| kernels.update(file.text));
    kernels.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
