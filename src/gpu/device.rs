//! Finding and opening a GPU.

use std::sync::{Arc, Mutex};

use super::counters::Counters;
use super::device_errors::{self, DeviceErrors};
use super::driver::{Driver, WebGpu};
use super::features::{Features, LARGE_BYTES, LARGE_THREADS};
use super::host::Host;
use super::kernel_config::{DeviceClass, KernelConfig};
use super::ledger::Ledger;
use super::lock;
use super::options::{BrowserNames, DeviceChoice, DeviceReport, GpuOptions};
use super::pace::Pace;
use crate::error::{Error, Result};

/// Most storage bindings requested from a device. No kernel uses more.
const MOST_BINDINGS: u32 = 10;
/// Most storage bindings of a launch on a processor.
const HOST_BINDINGS: usize = 16;

/// An opened GPU. Clones share it.
#[derive(Debug, Clone)]
pub struct Gpu(pub(super) Arc<Opened>);

#[derive(Debug)]
pub(super) struct Opened {
    pub(super) driver: Driver,
    pub(super) max_binding: u64,
    pub(super) max_bindings: usize,
    report: DeviceReport,
    pub(super) options: GpuOptions,
    pub(super) errors: DeviceErrors,
    pub(super) ledger: Arc<Ledger>,
    counters: Mutex<Counters>,
    kernel_config: Mutex<KernelConfig>,
    pub(super) pace: Mutex<Pace>,
}

impl Gpu {
    /// Opens the high-performance adapter of the platform.
    ///
    /// # Errors
    /// [`Error::WebgpuUnavailable`] if there is none or it cannot be opened.
    pub async fn open() -> Result<Self> {
        Self::open_with(GpuOptions::default()).await
    }

    /// Opens a device with options; see [`Self::open`].
    ///
    /// # Errors
    /// See [`Self::open`].
    pub async fn open_with(options: GpuOptions) -> Result<Self> {
        let falls_back = options.falls_back || options.device == DeviceChoice::Auto;
        Self::open_into((GpuOptions { falls_back, ..options }, Arc::default(), Pace::default())).await
    }

    /// Drops the device with all its buffers and opens a new one, which receives less work per submission. The
    /// ledger is kept.
    ///
    /// # Errors
    /// See [`Self::open`].
    pub async fn reopen(&self) -> Result<Self> {
        self.lose();
        let pace = lock(&self.0.pace).after_loss();
        let opening = (self.0.options.clone(), self.0.ledger.clone(), pace);
        // A processor that replaces a GPU stays the device.
        let again = match self.host() {
            Some(_) => Self::open_host(opening, self.0.report.reason.clone()).await?,
            None => Self::open_into(opening).await?,
        };
        again.set_kernel_config(self.kernel_config());
        Ok(again)
    }

    /// Returns true for a GPU that the processor can replace.
    pub fn has_fallback(&self) -> bool {
        let GpuOptions { falls_back, host, .. } = self.0.options;
        falls_back && host.is_some() && self.host().is_none()
    }

    /// Drops a GPU with all its buffers and opens the processor in its place, which gives `reason` in its report. The ledger is kept.
    ///
    /// # Errors
    /// [`Error::WebgpuUnavailable`] if the processor cannot be opened.
    pub async fn fall_back(&self, reason: String) -> Result<Self> {
        self.lose();
        let pace = lock(&self.0.pace).of_another_device();
        let opening = (self.0.options.clone(), self.0.ledger.clone(), pace);
        let processor = Self::replace_by_host(opening, reason).await?;
        let features = self.kernel_config().features;
        processor.set_kernel_config(KernelConfig { features, ..processor.kernel_config() });
        Ok(processor)
    }

    /// Destroys the device. Later operations fail with [`Error::DeviceLost`].
    pub fn lose(&self) {
        match &self.0.driver {
            Driver::WebGpu(webgpu) => webgpu.device.destroy(),
            Driver::Host(_) => self.0.errors.remember(Error::DeviceLost { reason: "destroyed".into() }),
        }
        // A destroyed device runs nothing.
        drop(self.0.ledger.settling());
    }

    async fn open_into(opening: Opening) -> Result<Self> {
        let (options, ledger, pace) = &opening;
        if options.device == DeviceChoice::Cpu {
            return Self::open_host(opening, None).await;
        }
        let fallback = options.falls_back.then(|| (options.clone(), ledger.clone(), pace.of_another_device()));
        match (Self::open_gpu(opening).await, fallback) {
            (Err(Error::WebgpuUnavailable { reason }), Some(fallback)) => {
                Self::replace_by_host(fallback, unusable(&reason)).await
            }
            (opened, _) => opened,
        }
    }

    /// Opens a GPU, of hardware if the choice is automatic.
    async fn open_gpu(opening: Opening) -> Result<Self> {
        may_open(&opening.0)?;
        let adapter = adapter().await?;
        let info = adapter.get_info();
        if opening.0.device == DeviceChoice::Auto && class_of(&info, &opening.0) != DeviceClass::Hardware {
            return Err(unavailable(&format!("the only one is emulated by the processor ({})", info.name)));
        }
        Self::open_adapter(adapter, opening).await
    }

    /// Opens the processor in place of a GPU.
    async fn replace_by_host(opening: Opening, reason: String) -> Result<Self> {
        let processor = Self::open_host(opening, Some(reason)).await?;
        lock(&processor.0.pace).forget_shared_rate();
        Ok(processor)
    }

    /// Opens the processor, for a reason if the platform chose it.
    async fn open_host((options, ledger, pace): Opening, reason: Option<String>) -> Result<Self> {
        may_open(&options)?;
        let open = options.host.ok_or_else(|| unavailable("the processor cannot be a device here"))?;
        if let Some(prepare) = options.prepare_host {
            prepare().await?;
        }
        let host = open(options.threads)?;
        let report = DeviceReport { reason, ..DeviceReport::of_host(&host.report()) };
        let opened = Opened {
            driver: Driver::Host(host),
            max_binding: report.max_buffer_size.min(options.max_binding.unwrap_or(u64::MAX)),
            max_bindings: HOST_BINDINGS,
            errors: DeviceErrors::default(),
            ledger,
            counters: Mutex::default(),
            kernel_config: Mutex::new(KernelConfig::of(report.class)),
            pace: Mutex::new(pace),
            report,
            options,
        };
        Ok(Self(Arc::new(opened)))
    }

    async fn open_adapter(adapter: wgpu::Adapter, (options, ledger, pace): Opening) -> Result<Self> {
        let offered = adapter.limits();
        let info = adapter.get_info();
        let (features, asked) = features_of(&adapter, &info, &options);
        let limits = limits_of(&offered, features);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("ocelli"),
            required_features: asked,
            required_limits: limits.clone(),
            ..Default::default()
        };
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(|e| unavailable(&e.to_string()))?;
        let BrowserNames { adapter: own, renderer, browser } = &options.browser_caps.names;
        let gpu = if own.is_empty() { renderer } else { own };
        let class = class_of(&info, &options);
        let is_browser = info.backend == wgpu::Backend::BrowserWebGpu;
        let sizes = options.browser_caps.subgroup_sizes.unwrap_or([info.subgroup_min_size, info.subgroup_max_size]);
        let few_registers = class.has_few_registers(&format!("{} {gpu}", info.name), sizes);
        let report = DeviceReport {
            name: info.name,
            backend: format!("{:?}", info.backend),
            driver: format!("{} {} {own} {renderer} {browser}", info.driver, info.driver_info).trim().to_owned(),
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            max_buffer_size: limits.max_buffer_size,
            max_memory: None,
            class,
            features,
            subgroup_sizes: sizes,
            threads: None,
            reason: None,
        };
        let max_binding = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let opened = Opened {
            errors: device_errors::listen(&device),
            driver: Driver::WebGpu(WebGpu { device, queue, pipelines: Mutex::default(), is_browser }),
            max_binding: max_binding.min(options.max_binding.unwrap_or(u64::MAX)),
            max_bindings: limits.max_storage_buffers_per_shader_stage as usize,
            report,
            options,
            ledger,
            counters: Mutex::default(),
            kernel_config: Mutex::new(KernelConfig { features, few_registers, ..KernelConfig::of(class) }),
            pace: Mutex::new(pace),
        };
        Ok(Self(Arc::new(opened)))
    }

    /// The device's description.
    pub fn report(&self) -> &DeviceReport {
        &self.0.report
    }

    /// The device's class, which kernel tunings depend on.
    pub fn class(&self) -> DeviceClass {
        self.0.report.class
    }

    /// Optional features of the device that kernels use.
    pub fn features(&self) -> Features {
        self.0.report.features
    }

    /// The configuration of kernels; all features of the device are on by default.
    pub fn kernel_config(&self) -> KernelConfig {
        *lock(&self.0.kernel_config)
    }

    /// Changes the configuration of kernels, within the features of the device.
    pub fn set_kernel_config(&self, kernel_config: KernelConfig) {
        let features = kernel_config.features & self.features();
        *lock(&self.0.kernel_config) = KernelConfig { features, ..kernel_config };
    }

    /// The ledger of all buffers.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.0.ledger
    }

    /// Operations of this device so far.
    pub fn counters(&self) -> Counters {
        *lock(&self.0.counters)
    }

    pub(super) fn count(&self, add: impl FnOnce(&mut Counters)) {
        add(&mut lock(&self.0.counters));
    }

    /// The GPU of WebGPU.
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

    /// Counts a write.
    pub(super) fn begin_write(&self) {
        if self.0.options.faults.as_ref().is_some_and(|faults| faults.lose_at_write()) {
            self.lose();
        }
        self.count(|counters| counters.writes += 1);
    }

    /// Returns the queue and counts a write.
    pub(super) fn queue_to_write(&self) -> Result<&wgpu::Queue> {
        self.begin_write();
        Ok(&self.webgpu()?.queue)
    }

    /// Counts a submission.
    pub(super) fn begin_submission(&self) {
        if self.0.options.faults.as_ref().is_some_and(|faults| faults.lose_at_submission()) {
            self.lose();
        }
        self.count(|counters| counters.submits += 1);
        self.0.ledger.submitted();
    }

    /// Submits the commands of an encoder.
    pub(super) fn submit_encoder(&self, encoder: wgpu::CommandEncoder) -> Result<wgpu::SubmissionIndex> {
        let queue = &self.webgpu()?.queue;
        self.begin_submission();
        Ok(queue.submit([encoder.finish()]))
    }
}

/// Options of a device that is being opened, its ledger and its pace.
type Opening = (GpuOptions, Arc<Ledger>, Pace);

/// Fails if a test wants this attempt to open a device to fail.
fn may_open(options: &GpuOptions) -> Result<()> {
    let is_refused = options.faults.as_ref().is_some_and(|faults| faults.refuse_to_open());
    if is_refused { Err(unavailable("refused on order")) } else { Ok(()) }
}

/// The reason for the processor in place of a GPU, for people.
pub(crate) fn unusable(reason: &str) -> String {
    format!("the GPU cannot be used: {reason}")
}

fn unavailable(reason: &str) -> Error {
    Error::WebgpuUnavailable { reason: reason.into() }
}

/// The high-performance adapter of the platform.
async fn adapter() -> Result<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let request =
        wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
    instance.request_adapter(&request).await.map_err(|e| unavailable(&e.to_string()))
}

/// The optional features of a device, and the wgpu features to request for them. Apple's GPUs compute packed dot
/// products one by one, so they are not used there.
fn features_of(adapter: &wgpu::Adapter, info: &wgpu::AdapterInfo, options: &GpuOptions) -> (Features, wgpu::Features) {
    let asked = adapter.features() & (wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP);
    let is_native = info.backend != wgpu::Backend::BrowserWebGpu;
    let offered = adapter.limits();
    let has_large_workgroups = offered.max_compute_invocations_per_workgroup >= LARGE_THREADS
        && offered.max_compute_workgroup_size_x >= LARGE_THREADS
        && offered.max_compute_workgroup_storage_size >= LARGE_BYTES;
    let own = [
        (asked.contains(wgpu::Features::SHADER_F16), Features::F16),
        (asked.contains(wgpu::Features::SUBGROUP), Features::SUBGROUPS),
        (is_native && info.backend != wgpu::Backend::Metal, Features::DOT),
        (has_large_workgroups, Features::LARGE_WORKGROUPS),
    ];
    let own: Features = own.into_iter().filter(|(has, _)| *has).map(|(_, feature)| feature).collect();
    (own | options.browser_caps.features, asked)
}

/// The limits to request for these features, out of those that the device offers.
fn limits_of(offered: &wgpu::Limits, features: Features) -> wgpu::Limits {
    let limits = wgpu::Limits {
        max_buffer_size: offered.max_buffer_size,
        max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
        max_storage_buffers_per_shader_stage: offered.max_storage_buffers_per_shader_stage.min(MOST_BINDINGS),
        ..wgpu::Limits::default()
    };
    if !features.contains(Features::LARGE_WORKGROUPS) {
        return limits;
    }
    wgpu::Limits {
        max_compute_invocations_per_workgroup: LARGE_THREADS,
        max_compute_workgroup_size_x: LARGE_THREADS,
        max_compute_workgroup_storage_size: LARGE_BYTES,
        ..limits
    }
}

/// A browser does not report every device's type, but its name tells.
fn class_of(info: &wgpu::AdapterInfo, options: &GpuOptions) -> DeviceClass {
    let own = &options.browser_caps.names.adapter;
    let named = format!("{} {} {} {own}", info.name, info.driver, info.driver_info).to_lowercase();
    let is_any_of = |names: &[&str]| names.iter().any(|name| named.contains(name));
    match info.device_type {
        _ if is_any_of(&["llvmpipe"]) => DeviceClass::SlowCompiler,
        wgpu::DeviceType::Cpu => DeviceClass::Software,
        _ if is_any_of(&["swiftshader", "warp", "basic render"]) => DeviceClass::Software,
        _ => DeviceClass::Hardware,
    }
}
