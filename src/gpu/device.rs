//! Finds a GPU, opens it, and remembers what it complains about.

use std::sync::{Arc, Mutex};

use super::ledger::Ledger;
use super::pipeline::Pipelines;
use crate::error::{Error, Result};

/// An opened GPU. Clones share it.
#[derive(Debug, Clone)]
pub struct Gpu(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    device: wgpu::Device,
    queue: wgpu::Queue,
    limits: wgpu::Limits,
    report: DeviceReport,
    fault: Arc<Mutex<Option<Error>>>,
    ledger: Arc<Ledger>,
    pipelines: Pipelines,
}

/// What the device is, for people and bug reports.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceReport {
    /// The adapter's name; browsers may hide it.
    pub name: String,
    /// Vulkan, Metal, DX12 or the browser's WebGPU.
    pub backend: String,
    /// The driver, as far as it says.
    pub driver: String,
    /// Largest storage binding in bytes.
    pub max_storage_buffer_binding_size: u64,
    /// Largest buffer in bytes.
    pub max_buffer_size: u64,
}

/// How a GPU is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct GpuOptions {
    /// Bytes that one binding, and so one buffer, may hold at most, if less than the device allows: what a lesser device would
    /// make of a model.
    pub max_binding: Option<u64>,
}

impl Gpu {
    /// Opens the adapter that the platform prefers for speed.
    ///
    /// # Errors
    /// [`Error::WebgpuUnavailable`] if there is none or it refuses to open.
    pub async fn open() -> Result<Self> {
        Self::open_with(GpuOptions::default()).await
    }

    /// As [`Gpu::open`], by `options`.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub async fn open_with(options: GpuOptions) -> Result<Self> {
        let unavailable = |reason: String| Error::WebgpuUnavailable { reason };
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let preferred = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let adapter = instance.request_adapter(&preferred).await.map_err(|e| unavailable(e.to_string()))?;
        let offered = adapter.limits();
        let limits = wgpu::Limits {
            max_buffer_size: offered.max_buffer_size,
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
            ..wgpu::Limits::default()
        };
        let descriptor =
            wgpu::DeviceDescriptor { label: Some("ocelli"), required_limits: limits.clone(), ..Default::default() };
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(|e| unavailable(e.to_string()))?;
        let info = adapter.get_info();
        let report = DeviceReport {
            name: info.name,
            backend: format!("{:?}", info.backend),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            max_buffer_size: limits.max_buffer_size,
        };
        let cap = options.max_binding.unwrap_or(u64::MAX);
        let limits = wgpu::Limits {
            max_buffer_size: limits.max_buffer_size.min(cap),
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size.min(cap),
            ..limits
        };
        let fault = remember_faults(&device);
        let (ledger, pipelines) = (Arc::default(), Pipelines::default());
        Ok(Self(Arc::new(Opened { device, queue, limits, report, fault, ledger, pipelines })))
    }

    /// What the device is.
    pub fn report(&self) -> &DeviceReport {
        &self.0.report
    }

    /// Bytes that one buffer, bound as a whole, may hold.
    pub fn max_binding(&self) -> u64 {
        self.0.limits.max_storage_buffer_binding_size.min(self.0.limits.max_buffer_size)
    }

    /// The limits the device was opened with.
    pub fn limits(&self) -> &wgpu::Limits {
        &self.0.limits
    }

    /// The account of all buffers.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.0.ledger
    }

    /// The first complaint since the last call, if there was any. A lost device stays lost.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`] or [`Error::Gpu`].
    pub fn check(&self) -> Result<()> {
        let mut fault = self.0.fault.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &*fault {
            None => Ok(()),
            Some(lost @ Error::DeviceLost { .. }) => Err(lost.clone()),
            Some(_) => fault.take().map_or(Ok(()), Err),
        }
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    pub(super) fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    pub(super) fn pipelines(&self) -> &Pipelines {
        &self.0.pipelines
    }
}

fn remember_faults(device: &wgpu::Device) -> Arc<Mutex<Option<Error>>> {
    let fault: Arc<Mutex<Option<Error>>> = Arc::default();
    let remember = |fault: &Mutex<Option<Error>>, error: Error| {
        let mut slot = fault.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // A lost device explains everything that follows; otherwise the first complaint is the telling one.
        if slot.is_none() || matches!(error, Error::DeviceLost { .. }) {
            *slot = Some(error);
        }
    };
    let slot = fault.clone();
    device.on_uncaptured_error(Arc::new(move |error| remember(&slot, from_wgpu("the device", error))));
    let slot = fault.clone();
    device.set_device_lost_callback(move |_, reason| remember(&slot, Error::DeviceLost { reason }));
    fault
}

/// The crate's error for one of wgpu's.
pub(super) fn from_wgpu(stage: &str, error: wgpu::Error) -> Error {
    match error {
        wgpu::Error::OutOfMemory { source } => Error::OutOfMemory { detail: source.to_string() },
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            Error::Gpu { stage: stage.into(), detail: description }
        }
    }
}
