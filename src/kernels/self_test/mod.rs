//! Test of the kernels on the present device: the very variants that will run, on the known inputs of [`cases`], against
//! [`crate::reference`]. A few submissions, each with one read, which take milliseconds.
//!
//! Drivers differ, and none of them reports a wrong number as an error. A model that answers nonsense is worse than one that refuses to
//! start.

use std::collections::HashSet;

use super::cases::{self, Harness, Outcome};
use crate::error::{Error, Result};
use crate::gpu::kernel_config::TUNING_GROUPS;
use crate::gpu::{Features, Gpu, Kernel, KernelConfig};

/// Milliseconds since some fixed moment.
type Clock = fn() -> f64;

/// Lower bound of the tolerance of all cases: correct kernels stay below 1e-5; half precision in place of 32 bits differs by 1e-3.
const TOLERANCE: f64 = 1e-4;

/// Bytes on the device after which the recording is submitted, so that a test takes less memory than the smallest model.
const BATCH_BYTES: u64 = 128 << 10;

/// A kernel that is disabled because its results are wrong.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Name with layout or head width.
    pub kernel: String,
    /// The optional features that are switched off with it, such as `f16` or `subgroups+dot`; `tuned` for an autotuned choice.
    pub tier: String,
    /// The worst number and its expected value.
    pub detail: String,
}

/// Result of a self-test after which the engine can start.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SelfTestReport {
    /// Kernels with correct results.
    pub passed: usize,
    /// Kernels with optional features whose results are wrong. They are replaced by kernels without these features.
    pub failed: Vec<Failure>,
    /// The configuration without the failed features.
    pub kernel_config: KernelConfig,
    /// Duration in milliseconds, including compilation.
    pub ms: f64,
}

/// Evaluates the outcomes: features with a wrong kernel are switched off; a kernel that needs no feature must be correct.
///
/// # Errors
/// [`Error::SelfTestFailed`] for a wrong kernel that uses no optional feature.
pub fn evaluate(outcomes: Vec<Outcome>, kernel_config: KernelConfig) -> Result<SelfTestReport> {
    let mut report = SelfTestReport { kernel_config, ..SelfTestReport::default() };
    for outcome in outcomes {
        let passed = outcome.is_right();
        let Outcome { kernel, uses, detail, .. } = outcome;
        match uses {
            _ if passed => report.passed += 1,
            Features::NONE => return Err(Error::SelfTestFailed { kernel, tier: uses.name(), detail }),
            _ => {
                report.kernel_config.features -= uses;
                report.failed.push(Failure { kernel, tier: uses.name(), detail });
            }
        }
    }
    Ok(report)
}

/// Results of kernels on known inputs, each variant once. `on_compiled` receives the number of compiled kernels and their total.
///
/// # Errors
/// Errors of the device; [`Error::Internal`] for a kernel without a case.
pub async fn outcomes<'a>(
    gpu: &Gpu,
    kernels: impl IntoIterator<Item = &'a Kernel>,
    on_compiled: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Outcome>> {
    let mut known = HashSet::new();
    let kernels: Vec<&Kernel> = kernels.into_iter().filter(|kernel| known.insert(*kernel)).collect();
    gpu.compile(kernels.iter().copied(), on_compiled).await?;
    let before = gpu.ledger().total().0;
    let (mut harness, mut outcomes) = (Harness::lean(gpu), Vec::new());
    for kernel in kernels {
        for case in cases::of(kernel)? {
            let tolerance = case.tolerance.max(TOLERANCE);
            case.within(tolerance).record(&mut harness)?;
            if gpu.ledger().total().0 > before + BATCH_BYTES {
                outcomes.extend(std::mem::replace(&mut harness, Harness::lean(gpu)).finish().await?);
            }
        }
    }
    outcomes.extend(harness.finish().await?);
    Ok(outcomes)
}

/// Tests kernels that are used from now on, with the present configuration.
///
/// # Errors
/// [`Error::SelfTestFailed`] for a wrong kernel, or the errors of [`outcomes`].
pub async fn check(gpu: &Gpu, kernels: &[Kernel]) -> Result<()> {
    let outcomes = outcomes(gpu, kernels, &mut |_, _| ()).await?;
    match outcomes.into_iter().find(|outcome| !outcome.is_right()) {
        None => Ok(()),
        Some(Outcome { kernel, uses, detail, .. }) => Err(Error::SelfTestFailed { kernel, tier: uses.name(), detail }),
    }
}

/// Tests every kernel that will run. `kernels` lists the kernels of a configuration, possibly with duplicates. If one with an optional
/// feature is wrong or rejected by the driver, the feature is switched off and the replacements are tested; likewise for an autotuned
/// choice. `on_compiled` receives the number of compiled kernels and their total.
///
/// # Errors
/// [`Error::SelfTestFailed`], or errors of the device.
pub async fn self_test(
    gpu: &Gpu,
    mut kernels: impl FnMut(KernelConfig) -> Result<Vec<Kernel>>,
    clock: Clock,
    on_compiled: &mut dyn FnMut(usize, usize),
) -> Result<SelfTestReport> {
    let started = clock();
    let mut failed = Vec::new();
    loop {
        let mut report = run(gpu, &kernels(gpu.kernel_config())?, on_compiled).await?;
        let is_last = report.failed.is_empty();
        failed.append(&mut report.failed);
        if is_last {
            return Ok(SelfTestReport { ms: clock() - started, failed, ..report });
        }
        gpu.set_kernel_config(report.kernel_config);
    }
}

/// Default tunings of the class of a device.
const PLAIN: [u8; TUNING_GROUPS] = [0; TUNING_GROUPS];

/// Tests the kernels once. A failure is not an error if the device can run without the kernel.
async fn run(gpu: &Gpu, kernels: &[Kernel], on_compiled: &mut dyn FnMut(usize, usize)) -> Result<SelfTestReport> {
    let config = gpu.kernel_config();
    let without = |kernel_config: KernelConfig, kernel: String, tier: String, detail: String| {
        let failed = vec![Failure { kernel, tier, detail }];
        Ok(SelfTestReport { kernel_config, failed, ..SelfTestReport::default() })
    };
    let tested = outcomes(gpu, kernels, on_compiled).await.and_then(|outcomes| evaluate(outcomes, config));
    if let Err(Error::Gpu { stage, detail }) = &tested {
        let mut optional = kernels.iter().filter(|kernel| kernel.needs() != Features::NONE);
        if let Some(refused) = optional.find(|kernel| stage.ends_with(&format!(" {}", kernel.name()))) {
            let (name, needs) = (refused.name().to_owned(), refused.needs());
            let rest = KernelConfig { features: config.features - needs, ..config };
            return without(rest, name, needs.name(), detail.clone());
        }
    }
    match tested {
        Err(Error::Gpu { stage: kernel, detail } | Error::SelfTestFailed { kernel, detail, .. })
            if config.variants != PLAIN =>
        {
            without(KernelConfig { variants: PLAIN, ..config }, kernel, "tuned".into(), detail)
        }
        tested => tested,
    }
}
