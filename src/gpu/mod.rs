//! wgpu, and nothing about models: a device, buffers counted by a ledger, compiled kernels, recordings and their runs.

pub mod buffer;
pub mod device;
mod health;
pub mod injection;
pub mod ledger;
pub mod pipeline;
pub mod recording;
pub mod run;

pub use buffer::{Buffer, Slice};
pub use device::{DeviceReport, Gpu, GpuOptions};
pub use injection::Injection;
pub use ledger::{Ledger, Purpose};
pub use pipeline::{Access, Kernel};
pub use recording::{Dispatch, Recording};
