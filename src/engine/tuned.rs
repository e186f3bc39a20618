//! Results of autotuning.

use crate::gpu::Features;
use crate::gpu::kernel_config::TUNING_GROUPS;
use crate::kernels::self_test::Proof;

/// Results of tuning and of tests in earlier loads, after which the next load continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Tuned {
    /// The chosen [`KernelConfig::variants`](crate::gpu::KernelConfig::variants).
    pub variants: [u8; TUNING_GROUPS],
    /// Trials that have begun, in their fixed order. One that takes the device down is not repeated.
    pub tried: usize,
    /// Speed of the device, [`Gpu::gflops`](crate::gpu::Gpu::gflops).
    #[serde(default)]
    pub gflops: u32,
    /// Optional features that the device has and that compute wrong results.
    #[serde(default)]
    pub wrong: Features,
    /// Kernels that passed all tests, which are not repeated.
    #[serde(default)]
    pub proof: Proof,
}
