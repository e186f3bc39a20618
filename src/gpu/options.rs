//! Description of a device, and options for opening one.

use std::pin::Pin;
use std::sync::Arc;

use super::command_lists::CommandLists;
use super::features::Features;
use super::host::{HostReport, OpenHost, PrepareHost};
use super::kernel::Access;
use super::kernel_config::DeviceClass;

/// Description of a device for users and bug reports.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceReport {
    /// The adapter's name; a browser may hide it.
    pub name: String,
    /// Vulkan, Metal, DX12, the browser's WebGPU, or Cpu.
    pub backend: String,
    /// The driver, if known; in a browser its version and everything that it tells of the GPU; the instruction set of a processor.
    pub driver: String,
    /// Largest storage binding in bytes.
    pub max_storage_buffer_binding_size: u64,
    /// Largest buffer in bytes.
    pub max_buffer_size: u64,
    /// Most bytes of all buffers together, if the platform limits them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<u64>,
    /// Hardware or software.
    pub class: DeviceClass,
    /// Optional features of the device that kernels use.
    pub features: Features,
    /// Fewest and most lanes of a subgroup, if the platform reports them.
    pub subgroup_sizes: [u32; 2],
    /// Threads of a processor. Results do not depend on their number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Reason for the processor in place of a GPU, if the choice was left to the platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Choice between a GPU and the processor itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, strum::EnumString, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum DeviceChoice {
    /// A GPU of hardware if there is one, else the processor. Never a GPU emulated by software.
    Auto,
    /// A GPU, even an emulated one. The default of the library, whose callers choose.
    #[default]
    Gpu,
    /// The processor.
    Cpu,
}

/// Options for opening a device and for reopening it after a loss. By default, a native process reads `OCELLI_DEVICE` and `OCELLI_THREADS`.
#[derive(Debug, Clone)]
#[cfg_attr(target_arch = "wasm32", derive(Default))]
pub struct GpuOptions {
    /// The kind of device.
    pub device: DeviceChoice,
    /// Replaces a GPU that cannot be opened, computes wrong numbers or is lost repeatedly by the processor. [`DeviceChoice::Auto`] always does.
    pub falls_back: bool,
    /// Opens the processor, where the platform has that.
    pub host: Option<OpenHost>,
    /// Prepares the processor before it is opened, where that takes a download.
    pub prepare_host: Option<PrepareHost>,
    /// Threads of the processor; all by default.
    pub threads: Option<usize>,
    /// Largest binding in bytes, if less than the device allows. Simulates a smaller device.
    pub max_binding: Option<u64>,
    /// Most FLOP in a submission of many rows, if less than the device's rate allows. Simulates a slower device.
    pub max_flops: Option<u64>,
    /// Capabilities that the platform knows and wgpu does not report.
    pub browser_caps: BrowserCaps,
    /// Compiles shaders asynchronously on platforms that can, because wgpu cannot.
    pub compile_ahead: Option<CompileAhead>,
    /// Keeps the commands of prepared recordings, on platforms where a call for each is slow.
    pub command_lists: Option<&'static dyn CommandLists>,
    /// Injected faults, for tests.
    pub faults: Option<Arc<dyn Faults>>,
}

/// Compiles a shader, given its name, its WGSL and its storage bindings from 1 on, for the device opened last. wgpu
/// then finds the pipeline cached. If the shader is refused, wgpu compiles it again and receives the error.
pub type CompileAhead = fn(&str, &str, &[Access]) -> Pin<Box<dyn Future<Output = ()>>>;

/// Rare driver faults that tests trigger on purpose.
pub trait Faults: std::fmt::Debug + Send + Sync {
    /// Returns true if the device is lost before this submission.
    fn lose_at_submission(&self) -> bool;

    /// Returns true if the device is lost before this write.
    fn lose_at_write(&self) -> bool;

    /// Returns true if the launches of the submission that is being encoded do nothing.
    fn leave_out_launches(&self) -> bool;

    /// Returns true if this attempt to open a device fails.
    fn refuse_to_open(&self) -> bool;

    /// Returns the WGSL to compile for a kernel.
    fn source(&self, kernel: &str, source: String) -> String;
}

/// Capabilities of a browser's device: wgpu 30 neither requests subgroups nor reports language features there
/// (<https://github.com/gfx-rs/wgpu/issues/10146>).
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrowserCaps {
    /// Features that the device will have.
    pub features: Features,
    /// Fewest and most lanes of a subgroup.
    pub subgroup_sizes: Option<[u32; 2]>,
    /// Names of the GPU and of the browser.
    pub names: BrowserNames,
}

/// Names that tell GPUs and drivers apart; empty where the browser hides them.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub struct BrowserNames {
    /// Vendor, architecture, device and description of the adapter.
    pub adapter: String,
    /// The renderer of WebGL, usually the same GPU.
    pub renderer: String,
    /// The browser with its major version, which changes the shader compiler.
    pub browser: String,
}

impl DeviceReport {
    /// Everything that tells this device and its driver from others.
    pub(crate) fn identity(&self) -> String {
        format!("{} {} {} {:?} {:?}", self.backend, self.name, self.driver, self.class, self.features)
    }

    /// The description of a processor.
    pub(super) fn of_host(host: &HostReport) -> Self {
        Self {
            name: host.name.clone(),
            backend: "Cpu".into(),
            driver: host.instructions.clone(),
            max_storage_buffer_binding_size: host.max_buffer,
            max_buffer_size: host.max_buffer,
            max_memory: host.max_memory,
            class: DeviceClass::Processor,
            features: Features::DOT,
            subgroup_sizes: [0, 0],
            threads: Some(host.threads),
            reason: None,
        }
    }
}
