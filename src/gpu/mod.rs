//! wgpu, and nothing about models: a device, buffers counted by a ledger, compiled kernels, recordings and their runs.

pub mod buffer;
pub mod counters;
pub mod device;
mod device_errors;
pub mod features;
mod health;
pub mod injection;
pub mod kernel_config;
pub mod ledger;
pub mod paper;
pub mod pipeline;
pub mod read;
pub mod recording;
pub mod run;

pub use buffer::{Allocator, Buffer, Slice};
pub use counters::Counters;
pub use device::{BrowserCaps, DeviceReport, Gpu, GpuOptions};
pub use features::Features;
pub use injection::Injection;
pub use kernel_config::{DeviceClass, KernelConfig};
pub use ledger::{Ledger, Purpose};
pub use paper::Paper;
pub use pipeline::{Access, Kernel};
pub use read::Readback;
pub use recording::{Dispatch, Recording};
pub use run::Prepared;
