//! The device layer, which knows nothing about models: a GPU or a processor, buffers with a ledger, kernels, recordings, submission.

pub mod buffer;
mod command_lists;
mod compile;
pub mod counters;
pub mod device;
mod device_errors;
mod driver;
pub mod dry_device;
pub mod features;
mod health;
pub mod host;
pub mod kernel;
pub mod kernel_config;
pub mod ledger;
mod numerics;
mod options;
mod pace;
pub mod read;
pub mod recording;
pub mod run;
mod threads;

pub use buffer::{Allocator, Buffer, Slice};
pub use command_lists::{BufferCopy, CommandLists};
pub use counters::Counters;
pub use device::Gpu;
pub(crate) use device::unusable;
pub use dry_device::DryDevice;
pub use features::Features;
pub use host::{Host, HostReport, OpenHost, PrepareHost};
pub use kernel::{Access, Kernel, Origin};
pub use kernel_config::{DeviceClass, KernelConfig};
pub use ledger::{Ledger, Purpose};
pub use options::{BrowserCaps, BrowserNames, CompileAhead, DeviceChoice, DeviceReport, Faults, GpuOptions};
pub use pace::MeasuredRate;
pub use read::Readback;
pub use recording::{Dispatch, Recording};
pub use run::Prepared;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, even one poisoned by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
