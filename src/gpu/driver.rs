//! The two kinds of devices: a GPU through WebGPU, and a processor that carries launches out itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::host::Host;
use super::kernel::{Kernel, Pipeline};

/// The parts of a device.
#[derive(Debug)]
pub(super) enum Driver {
    WebGpu(WebGpu),
    Host(Arc<dyn Host>),
}

/// A GPU through WebGPU.
#[derive(Debug)]
pub(super) struct WebGpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) pipelines: Mutex<HashMap<Kernel, Arc<Pipeline>>>,
    /// True if a browser compiles the shaders.
    pub(super) is_browser: bool,
}
