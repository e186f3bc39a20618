//! wgpu, and nothing about models: a device, buffers counted by a ledger, compiled kernels, recordings and their runs.

pub mod buffer;
pub mod counters;
pub mod device;
mod health;
pub mod injection;
pub mod ledger;
pub mod pipeline;
pub mod read;
pub mod recording;
pub mod run;

pub use buffer::{Buffer, Slice};
pub use counters::Counters;
pub use device::{DeviceReport, Gpu, GpuOptions};
pub use injection::Injection;
pub use ledger::{Ledger, Purpose};
pub use pipeline::{Access, Kernel};
pub use read::Readback;
pub use recording::{DeviceClass, Dispatch, Recording};
pub use run::Prepared;
