//! Identification of the numerics of a device.

use sha2::{Digest, Sha256};

use super::device::Gpu;
use crate::shader::FILES;

impl Gpu {
    /// Device, driver, kernel configuration and kernels as a string. Results are identical where these are.
    pub fn numerics(&self) -> String {
        let mut kernels = Sha256::new();
        FILES.iter().for_each(|file| kernels.update(file.text));
        let kernels: String = kernels.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} {kernels} {} {:?}", env!("CARGO_PKG_VERSION"), self.report().identity(), self.kernel_config())
    }
}
