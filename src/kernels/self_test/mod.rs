//! Whether the kernels compute on this device what they should: the very variants that will run, on the known inputs of
//! [`cases`] against [`crate::reference`]. A few submissions, each with one read: milliseconds.
//!
//! Drivers differ, and a wrong number is not an error to any of them. A model that answers nonsense is worse than one that
//! refuses to start.

use std::collections::HashSet;

use super::cases::{self, Harness, Outcome};
use crate::error::{Error, Result};
use crate::gpu::kernel_config::TUNING_GROUPS;
use crate::gpu::{Features, Gpu, Kernel, KernelConfig};

/// Milliseconds since some fixed moment.
type Clock = fn() -> f64;

/// Largest difference allowed at least, whatever the case: kernels that are right stay below 1e-5, half precision where 32 bits were asked for is
/// off by 1e-3.
const TOLERANCE: f64 = 1e-4;

/// Bytes on the device after which what has been recorded is run, so that a test takes less memory than the smallest model.
const BATCH_BYTES: u64 = 128 << 10;

/// A kernel that is not used because it computes wrongly.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Name with layout or head width.
    pub kernel: String,
    /// The optional features that are switched off with it, such as `f16` or `subgroups+dot`; `tuned` for what was picked.
    pub tier: String,
    /// The worst number and what it should have been.
    pub detail: String,
}

/// What came of a self-test that the engine can go on after.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SelfTestReport {
    /// Kernels that compute rightly.
    pub passed: usize,
    /// Those with optional features that do not. Their work is done without.
    pub failed: Vec<Failure>,
    /// How kernels are computed, now that it is known which may be.
    pub kernel_config: KernelConfig,
    /// How long it took, compiling included.
    pub ms: f64,
}

/// Judges the outcomes: features with a wrong kernel are given up, a kernel that needs none must be right.
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

/// What kernels make of known inputs: each variant once. `on_compiled` is told how many are compiled, of how many.
///
/// # Errors
/// What the device complains about; [`Error::Internal`] for a kernel that is none of this room's.
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

/// Tests kernels that take part from now on, computed as the device computes.
///
/// # Errors
/// [`Error::SelfTestFailed`] for one that is wrong, or as [`outcomes`].
pub async fn check(gpu: &Gpu, kernels: &[Kernel]) -> Result<()> {
    let outcomes = outcomes(gpu, kernels, &mut |_, _| ()).await?;
    match outcomes.into_iter().find(|outcome| !outcome.is_right()) {
        None => Ok(()),
        Some(Outcome { kernel, uses, detail, .. }) => Err(Error::SelfTestFailed { kernel, tier: uses.name(), detail }),
    }
}

/// Tests every kernel that will run. `kernels` lists those of a way to compute, as recordings dispatch them; some may come more than once. Where one
/// with an optional feature is wrong, or is refused by the driver, the device goes on without the feature, and what takes its place
/// is tested; the same with a tuning that was picked. `on_compiled` is told how many kernels are compiled, of how many.
///
/// # Errors
/// [`Error::SelfTestFailed`], or what the device complains about.
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

/// What suits the class of a device.
const PLAIN: [u8; TUNING_GROUPS] = [0; TUNING_GROUPS];

/// Tests them once. What the device can do without is not an error.
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
