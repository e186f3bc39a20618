//! Tests and tuning of a loaded model, before its first answer.

use super::Resident;
use super::tuning::{BUDGET_MS, tune};
use crate::engine::events::{Clock, LoadEvent};
use crate::engine::tuned::Tuned;
use crate::error::{Error, Result};
use crate::gpu::kernel_config::TUNING_GROUPS;
use crate::gpu::{DeviceClass, Features, Gpu, KernelConfig};
use crate::kernels::self_test::{Failure, Proof, SelfTestReport, self_test};
use crate::memory::Plan;
use crate::model::DryModel;
use crate::package::manifest::Manifest;

/// The work that is repeated, in reports.
const REPEATED: &str = "a layer and a step";
/// The fault that repetition finds.
const DIFFERS: &str = "they computed something else when they were repeated";

/// A loaded model's device and description.
#[derive(Debug, Clone, Copy)]
pub(super) struct Test<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) manifest: &'a Manifest,
    pub(super) plan: &'a Plan,
    pub(super) clock: Clock,
    /// Features with which the load began.
    pub(super) features: Features,
}

impl Test<'_> {
    /// Tunes the model if the first part of `tuning` is set, and clears it; continues the second part. Then repeats some of the model's own work,
    /// unless that passed in an earlier load. The last result is for the next load.
    pub(super) async fn finish(
        self,
        (mut resident, report): (Resident, SelfTestReport),
        tuning: &mut (bool, Tuned),
        on_event: &mut dyn FnMut(LoadEvent),
    ) -> Result<(Resident, SelfTestReport, Tuned)> {
        let before = tuning.1;
        let (report, tuned) = self.tuned(&mut resident, report, tuning, on_event).await?;
        let is_proved = report.proof == before.proof;
        let mut report = if is_proved { report } else { self.repeated(&mut resident, report).await? };
        let config = self.gpu.kernel_config();
        if before.wrong != Features::NONE {
            let (kernel, detail) = ("several".into(), "wrong in an earlier load".into());
            report.failed.insert(0, Failure { kernel, tier: before.wrong.name(), detail });
        }
        let wrong = before.wrong | (self.features - config.features);
        let tuned = Tuned { variants: config.variants, wrong, proof: report.proof, ..tuned };
        Ok((resident, report, tuned))
    }

    /// Runs the self-test on the variants that tuning chose, so that wrong ones are rejected.
    async fn tuned(
        self,
        resident: &mut Resident,
        report: SelfTestReport,
        (tunes, known): &mut (bool, Tuned),
        on_event: &mut dyn FnMut(LoadEvent),
    ) -> Result<(SelfTestReport, Tuned)> {
        let (gpu, before) = (self.gpu, self.gpu.kernel_config());
        if !std::mem::take(tunes) {
            return Ok((report, *known));
        }
        let (earlier, until) = (*known, (self.clock)() + BUDGET_MS);
        let mut on_trial = |trial| {
            *known = trial;
            on_event(LoadEvent::Trial(trial));
        };
        let tuned = tune(gpu, &mut resident.model, earlier, (self.clock, until), &mut on_trial).await?;
        resident.model.release();
        let report = if gpu.kernel_config() == before { report } else { self.tested(report).await? };
        Ok((report, tuned))
    }

    /// Repeats work of the model with less and less of what may be at fault, until its results are the same.
    async fn repeated(self, resident: &mut Resident, mut report: SelfTestReport) -> Result<SelfTestReport> {
        let gpu = self.gpu;
        // An emulated GPU runs in a fixed order.
        while gpu.kernel_config().class == DeviceClass::Hardware && !resident.model.repeats_exactly().await? {
            let config = gpu.kernel_config();
            let (tier, less) = if config.features.contains(Features::SUBGROUPS) {
                let features = config.features - Features::SUBGROUPS;
                (Features::SUBGROUPS.name(), KernelConfig { features, ..config })
            } else if config.variants != [0; TUNING_GROUPS] {
                ("tuned".into(), KernelConfig { variants: [0; TUNING_GROUPS], ..config })
            } else {
                let (kernel, tier) = (REPEATED.into(), Features::NONE.name());
                return Err(Error::SelfTestFailed { kernel, tier, detail: DIFFERS.into() });
            };
            report.failed.push(Failure { kernel: REPEATED.into(), tier, detail: DIFFERS.into() });
            gpu.set_kernel_config(less);
            report = self.tested(report).await?;
        }
        Ok(report)
    }

    /// Tests the kernels of the present configuration. Failures of `before` are part of the report.
    async fn tested(self, before: SelfTestReport) -> Result<SelfTestReport> {
        let Self { gpu, manifest, plan, clock, .. } = self;
        let mut dry = DryModel::new(manifest, gpu.dry_device(), gpu.kernel_config())?;
        let precisions = [plan.kv, plan.vision_kv];
        let kernels = |config| dry.kernels(config, precisions);
        let mut report = self_test(gpu, kernels, clock, Proof::default(), &mut |_, _| ()).await?;
        report.failed.splice(0..0, before.failed);
        Ok(report)
    }
}
