//! The two kinds of devices: a GPU behind WebGPU, and a processor that carries launches out itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::device::Gpu;
use super::host::Host;
use super::kernel::{Kernel, Pipeline};
use crate::error::{Error, Result};

/// What a device consists of.
#[derive(Debug)]
pub(super) enum Driver {
    WebGpu(WebGpu),
    Host(Arc<dyn Host>),
}

/// A GPU behind WebGPU.
#[derive(Debug)]
pub(super) struct WebGpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) pipelines: Mutex<HashMap<Kernel, Arc<Pipeline>>>,
    /// True if a browser compiles the shaders.
    pub(super) is_browser: bool,
}

impl Gpu {
    /// The GPU behind the device.
    ///
    /// # Errors
    /// [`Error::Internal`] on a processor.
    pub(super) fn webgpu(&self) -> Result<&WebGpu> {
        match &self.0.driver {
            Driver::WebGpu(webgpu) => Ok(webgpu),
            Driver::Host(_) => Err(Error::Internal { detail: "a processor was used as a GPU".into() }),
        }
    }

    /// The processor, if that is the device.
    pub(super) fn host(&self) -> Option<&Arc<dyn Host>> {
        match &self.0.driver {
            Driver::WebGpu(_) => None,
            Driver::Host(host) => Some(host),
        }
    }

    /// Returns true if submissions have run when [`Self::submit`] returns, so that nothing is gained by submitting work ahead.
    pub fn runs_at_once(&self) -> bool {
        self.host().is_some()
    }
}
