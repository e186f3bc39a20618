//! Test of the kernels on the present device: the very variants that will run, on the known inputs of [`cases`], against
//! [`crate::reference`]. A few submissions, each with one read, which take milliseconds.
//!
//! Drivers differ, and none of them reports a wrong number as an error. A model that answers nonsense is worse than one that refuses to
//! start.

mod proof;

use std::collections::HashSet;

use super::cases::{self, Harness, Outcome};
use super::{TuningGroup, subgroup_probe};
use crate::error::{Error, Result};
use crate::gpu::kernel_config::TUNING_GROUPS;
use crate::gpu::{DeviceClass, Features, Gpu, Kernel, KernelConfig};
pub use proof::Proof;

/// Milliseconds since some fixed moment.
type Clock = fn() -> f64;

/// Lower bound of the tolerance of all cases: correct kernels stay below 1e-5; half precision in place of 32 bits differs by 1e-3.
const TOLERANCE: f64 = 1e-4;

/// Bytes on the device after which the recording is submitted, so that a test takes less memory than the smallest model.
const BATCH_BYTES: u64 = 128 << 10;

/// Default tunings of the class of a device.
const PLAIN: [u8; TUNING_GROUPS] = [0; TUNING_GROUPS];

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
    /// True if nothing was run, because the same kernels had passed on this device in an earlier load.
    pub earlier: bool,
    /// Identifies the kernels that passed, for later loads.
    #[serde(skip)]
    pub proof: Proof,
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

/// Compiles kernels and runs each variant on known numbers. `on_compiled` receives the number of compiled kernels and their total.
///
/// # Errors
/// Errors of the device; [`Error::Internal`] for a kernel without a case.
pub async fn outcomes<'a>(
    gpu: &Gpu,
    kernels: impl IntoIterator<Item = &'a Kernel>,
    on_compiled: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Outcome>> {
    let kernels = distinct(kernels);
    gpu.compile(kernels.iter().copied(), on_compiled).await?;
    let before = gpu.ledger().total().0;
    // An emulated GPU does not compute differently under load, and takes long for it.
    let is_hardware = gpu.kernel_config().class == DeviceClass::Hardware;
    let (mut harness, mut outcomes) = (Harness::lean(gpu), Vec::new());
    for kernel in kernels {
        let large = cases::large(kernel).filter(|_| is_hardware);
        for case in cases::of(kernel)?.into_iter().chain(large) {
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

/// Each kernel once.
fn distinct<'a>(kernels: impl IntoIterator<Item = &'a Kernel>) -> Vec<&'a Kernel> {
    let mut known = HashSet::new();
    kernels.into_iter().filter(|kernel| known.insert(*kernel)).collect()
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
/// choice. Kernels that `known` proves are only compiled. `on_compiled` receives the number of compiled kernels and their total.
///
/// # Errors
/// [`Error::SelfTestFailed`], or errors of the device.
pub async fn self_test(
    gpu: &Gpu,
    mut kernels: impl FnMut(KernelConfig) -> Result<Vec<Kernel>>,
    clock: Clock,
    known: Proof,
    on_compiled: &mut dyn FnMut(usize, usize),
) -> Result<SelfTestReport> {
    let started = clock();
    let mut failed = Vec::new();
    loop {
        let mut kernels = kernels(gpu.kernel_config())?;
        if kernels.iter().any(|kernel| kernel.needs().contains(Features::SUBGROUPS)) {
            kernels.extend(subgroup_probe::THREADS.map(subgroup_probe::kernel));
        }
        let mut report = run(gpu, &kernels, known, on_compiled).await?;
        let is_last = report.failed.is_empty();
        failed.append(&mut report.failed);
        if is_last {
            return Ok(SelfTestReport { ms: clock() - started, failed, ..report });
        }
        gpu.set_kernel_config(report.kernel_config);
    }
}

/// Tests the kernels once. A failure is not an error if the device can run without the kernel.
async fn run(
    gpu: &Gpu,
    kernels: &[Kernel],
    known: Proof,
    on_compiled: &mut dyn FnMut(usize, usize),
) -> Result<SelfTestReport> {
    let kernel_config = gpu.kernel_config();
    let proof = Proof::of(gpu, &distinct(kernels))?;
    let tested = if proof == known {
        let compiled = gpu.compile(kernels, on_compiled).await;
        let passed = distinct(kernels).len();
        compiled.map(|()| SelfTestReport { passed, kernel_config, earlier: true, ..SelfTestReport::default() })
    } else {
        outcomes(gpu, kernels, on_compiled).await.and_then(|outcomes| evaluate(outcomes, kernel_config))
    };
    match tested {
        Ok(report) => Ok(SelfTestReport { proof, ..report }),
        Err(error) => without_the_faulty(error, kernels, kernel_config),
    }
}

/// The configuration without the feature or the autotuned choice of the kernel that `error` names; the error itself if the kernel has neither.
fn without_the_faulty(error: Error, kernels: &[Kernel], config: KernelConfig) -> Result<SelfTestReport> {
    let (refused, name, detail) = match &error {
        Error::Gpu { stage, detail } => (true, stage.strip_prefix("compiling ").unwrap_or(stage), detail),
        Error::SelfTestFailed { kernel, detail, .. } => (false, kernel.as_str(), detail),
        _ => return Err(error),
    };
    let named = || kernels.iter().filter(|kernel| kernel.name() == name);
    let report = |kernel_config, tier| {
        let failed = vec![Failure { kernel: name.to_owned(), tier, detail: detail.clone() }];
        Ok(SelfTestReport { kernel_config, failed, ..SelfTestReport::default() })
    };
    if let Some(optional) = named().find(|kernel| refused && kernel.needs() != Features::NONE) {
        let needs = optional.needs();
        return report(KernelConfig { features: config.features - needs, ..config }, needs.name());
    }
    if config.variants == PLAIN {
        return Err(error);
    }
    let group = TuningGroup::ALL.into_iter().find(|group| named().any(|kernel| group.computes(kernel)));
    let mut variants = config.variants;
    match group.and_then(|group| variants.get_mut(group as usize)).filter(|variant| **variant != 0) {
        Some(variant) => *variant = 0,
        None => variants = PLAIN,
    }
    report(KernelConfig { variants, ..config }, "tuned".into())
}
