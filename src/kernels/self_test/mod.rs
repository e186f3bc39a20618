//! Whether the kernels compute on this device what they should: every family, in the layouts and sizes of heads that a model
//! uses, against [`crate::reference`] and through the very pipelines that will run. One submission, one read: milliseconds.
//!
//! Drivers differ, and a wrong number is not an error to any of them. A model that answers nonsense is worse than one that
//! refuses to start.

mod bench;
mod cases;
mod decoder;
mod sampling;
mod steps;

use std::collections::BTreeSet;

use crate::config::{Activation, KvPrecision, RopePairs};
use crate::error::{Error, Result};
use crate::gpu::kernel_config::TUNING_GROUPS;
use crate::gpu::{Features, Gpu, KernelConfig};
use crate::weights::layout::Layout;
use bench::Bench;

/// Milliseconds since some fixed moment.
type Clock = fn() -> f64;

/// The kernels that a model needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Layouts of the matrices that rows of prompts and pictures are multiplied by.
    pub products: BTreeSet<Layout>,
    /// Layouts of the matrices that the row of a step is multiplied by.
    pub step: BTreeSet<Layout>,
    /// Layout of the matrix that makes logits.
    pub head: Layout,
    /// Layout of the embedding.
    pub embedding: Layout,
    /// The decoder's heads.
    pub decoder: Heads,
    /// Query heads that share a key-value head.
    pub group: usize,
    /// Precisions of its cache.
    pub caches: Vec<KvPrecision>,
    /// The tower and the projector.
    pub vision: Option<Vision>,
}

/// What the heads of a transformer ask of attention and rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Width of a head.
    pub head_dim: usize,
    /// Which lanes of a head form a pair.
    pub pairs: RopePairs,
}

/// What a tower asks besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vision {
    /// Its heads.
    pub heads: Heads,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Patches along a side of the square that becomes a token.
    pub merge: usize,
    /// Its gate.
    pub gate: Activation,
    /// The projector's activation.
    pub projector: Activation,
}

/// What one kernel made of a known input.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Name with layout or head width.
    pub kernel: String,
    /// Optional features it used.
    pub uses: Features,
    /// Largest difference to the reference, relative to the reference's largest number; not a number where the kernel's is not.
    pub worst: f64,
    /// The worst number and what it should have been.
    pub detail: String,
}

/// Largest difference allowed. Kernels that are right stay below 1e-5; half precision where 32 bits were asked for is off by 1e-3.
const TOLERANCE: f64 = 1e-4;
/// The same for kernels that may round to half precision.
const HALF_TOLERANCE: f64 = 2e-3;

impl Outcome {
    /// Whether the numbers can be used.
    pub fn passed(&self) -> bool {
        self.worst <= if self.uses.f16 { HALF_TOLERANCE } else { TOLERANCE }
    }
}

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

/// Weighs the outcomes: features with a wrong kernel are given up, what needs none must be right.
///
/// # Errors
/// [`Error::SelfTestFailed`] for a wrong kernel that uses no optional feature.
pub fn evaluate(outcomes: Vec<Outcome>, kernel_config: KernelConfig) -> Result<SelfTestReport> {
    let mut report = SelfTestReport { kernel_config, ..SelfTestReport::default() };
    for outcome in outcomes {
        let passed = outcome.passed();
        let Outcome { kernel, uses, detail, .. } = outcome;
        match uses {
            _ if passed => report.passed += 1,
            Features::NONE => return Err(Error::SelfTestFailed { kernel, tier: uses.name(), detail }),
            _ => {
                report.kernel_config.features = report.kernel_config.features.without(uses);
                report.failed.push(Failure { kernel, tier: uses.name(), detail });
            }
        }
    }
    Ok(report)
}

/// Runs the kernel that few answers need and that takes long to compile.
///
/// # Errors
/// As [`self_test`].
pub async fn self_test_filter(gpu: &Gpu) -> Result<()> {
    let mut bench = Bench::new(gpu);
    sampling::filtered(&mut bench)?;
    evaluate(bench.finish(&mut |_, _| ()).await?, gpu.kernel_config()).map(drop)
}

/// Runs the kernels that steps of so many rows need, and that judges them.
///
/// # Errors
/// As [`self_test`].
pub async fn self_test_rows(gpu: &Gpu, needs: &Needs, rows: usize) -> Result<()> {
    let mut bench = Bench::new(gpu);
    cases::step(&mut bench, needs, rows)?;
    sampling::drafts(&mut bench, rows)?;
    evaluate(bench.finish(&mut |_, _| ()).await?, gpu.kernel_config()).map(drop)
}

/// Runs every kernel that is needed on known inputs, computed as the device is to compute from now on. Where one with an optional
/// feature is wrong, or is refused by the driver, the device goes on without the feature, and what takes its place is tested; so
/// it does without what was picked, where that is wrong. `on_compiled` is told how many kernels are compiled, of how many.
///
/// # Errors
/// [`Error::SelfTestFailed`], or what the device complains about.
pub async fn self_test(
    gpu: &Gpu,
    needs: &Needs,
    clock: Clock,
    on_compiled: &mut dyn FnMut(usize, usize),
) -> Result<SelfTestReport> {
    let started = clock();
    let mut failed = Vec::new();
    loop {
        let mut report = run(gpu, needs, on_compiled).await?;
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

/// Runs them once. What the device can do without is not an error.
async fn run(gpu: &Gpu, needs: &Needs, on_compiled: &mut dyn FnMut(usize, usize)) -> Result<SelfTestReport> {
    let mut bench = Bench::new(gpu);
    cases::all(&mut bench, needs)?;
    let kernels = bench.recording.dispatches().map(|dispatch| &dispatch.kernel);
    let optional: Vec<_> = kernels.filter(|kernel| kernel.needs() != Features::NONE).cloned().collect();
    let kernel_config = gpu.kernel_config();
    let outcome = match bench.finish(on_compiled).await {
        Ok(outcomes) => evaluate(outcomes, kernel_config),
        Err(error) => Err(error),
    };
    let without = |kernel_config: KernelConfig, kernel: String, tier: String, detail: String| {
        Ok(SelfTestReport {
            kernel_config,
            failed: vec![Failure { kernel, tier, detail }],
            ..SelfTestReport::default()
        })
    };
    match outcome {
        Err(Error::Gpu { stage, detail }) => {
            let refused = optional.into_iter().find(|kernel| stage.ends_with(&format!(" {}", kernel.name())));
            match refused {
                Some(kernel) => {
                    let needs = kernel.needs();
                    let features = kernel_config.features.without(needs);
                    without(KernelConfig { features, ..kernel_config }, kernel.name().into(), needs.name(), detail)
                }
                None if kernel_config.variants != PLAIN => {
                    without(KernelConfig { variants: PLAIN, ..kernel_config }, stage, "tuned".into(), detail)
                }
                None => Err(Error::Gpu { stage, detail }),
            }
        }
        Err(Error::SelfTestFailed { kernel, detail, .. }) if kernel_config.variants != PLAIN => {
            without(KernelConfig { variants: PLAIN, ..kernel_config }, kernel, "tuned".into(), detail)
        }
        outcome => outcome,
    }
}
