//! A device for dry runs: its buffers have sizes but no memory, so that allocations and launches of a model can be
//! counted before anything is allocated.

use std::sync::Arc;

use super::buffer::{Allocator, Buffer, allocated, check_binding};
use super::device::Gpu;
use super::ledger::{Ledger, Purpose};
use crate::error::Result;

/// The device limits that recordings depend on, and a ledger of the requested buffers.
#[derive(Debug, Clone)]
pub struct DryDevice {
    max_binding: u64,
    max_bindings: usize,
    ledger: Arc<Ledger>,
}

impl DryDevice {
    /// A device with at most `max_bindings` storage bindings for each kernel, of at most `max_binding` bytes each.
    pub fn new(max_binding: u64, max_bindings: usize) -> Self {
        Self { max_binding, max_bindings, ledger: Arc::default() }
    }

    /// Bytes allocated for a purpose.
    pub fn bytes(&self, purpose: Purpose) -> u64 {
        self.ledger.rows()[purpose as usize].current
    }

    /// Releases staging bytes from the ledger, like waiting for a real device.
    pub fn wait_idle(&self) {
        drop(self.ledger.settling());
    }

    /// The ledger of all buffers.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Gpu {
    /// A dry device with the limits of this one.
    pub fn dry_device(&self) -> DryDevice {
        DryDevice::new(self.max_binding(), self.max_bindings())
    }
}

impl Allocator for DryDevice {
    fn alloc(&self, label: &str, purpose: Purpose, bytes: u64) -> Result<Buffer> {
        let bytes = allocated(bytes);
        check_binding(label, bytes, self.max_binding)?;
        Ok(Buffer::dry(purpose, bytes, &self.ledger))
    }

    fn upload_with(&self, label: &str, purpose: Purpose, bytes: u64, _: &dyn Fn() -> Vec<u8>) -> Result<Buffer> {
        let buffer = self.alloc(label, purpose, bytes)?;
        self.ledger.pass(Purpose::Staging, bytes);
        Ok(buffer)
    }

    fn max_binding(&self) -> u64 {
        self.max_binding
    }

    fn max_bindings(&self) -> usize {
        self.max_bindings
    }
}
