//! Identification of the numerics of a device.

use sha2::{Digest, Sha256};

use super::device::Gpu;
use crate::shader::FILES;

impl Gpu {
    /// Device, driver, kernel configuration and kernels as a string. Results are identical where these are
    /// identical.
    pub fn numerics(&self) -> String {
        let report = self.report();
        let mut kernels = Sha256::new();
        FILES.iter().for_each(|file| kernels.update(file.text));
        let kernels: String = kernels.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let device = format!("{} {} {} {:?}", report.backend, report.name, report.driver, report.class);
        format!("{} {kernels} {device} {:?} {:?}", env!("CARGO_PKG_VERSION"), report.features, self.kernel_config())
    }
}
