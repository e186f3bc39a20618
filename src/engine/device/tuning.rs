//! Autotuning: finds the fastest kernel variants on this device with the model's own weights, a few trials per load.

use crate::engine::events::Clock;
use crate::error::{Error, Result};
use crate::gpu::kernel_config::TUNING_GROUPS;
use crate::gpu::{DeviceClass, Features, Gpu, KernelConfig};
use crate::kernels::TuningGroup;
use crate::model::{LanguageModel, Model};
use crate::package::hash::sha256_hex;
use crate::state::State;

/// Milliseconds by which tuning may prolong a load.
pub const BUDGET_MS: f64 = 200.0;
/// Relative duration below which a variant replaces the best one; smaller gains are noise.
const GAIN: f64 = 0.97;
/// Measurements of each variant, once it is compiled and warm.
const RUNS: usize = 2;
/// Least duration of a measurement in milliseconds, so that the round trip to the device does not dominate.
const LEAST_MS: f64 = 20.0;
/// Most submissions per measurement.
const MOST_REPEATS: f64 = 256.0;

/// Tuning results of earlier loads, after which the next load continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Tuned {
    /// The chosen [`KernelConfig::variants`].
    pub variants: [u8; TUNING_GROUPS],
    /// Completed trials, in their fixed order.
    pub tried: usize,
    /// Speed of the device, [`Gpu::gflops`].
    #[serde(default)]
    pub gflops: u32,
}

/// Condition for tuning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = Error, parse_err_fn = no_tune)]
pub enum Tune {
    /// On GPUs. For CPUs good variants are known, and compiling others takes longer than a bad choice costs.
    #[default]
    Auto,
    /// On every device.
    Always,
    /// Never: the defaults of the device class or earlier results apply.
    Never,
}

fn no_tune(name: &str) -> Error {
    Error::request("tune", format!("{name:?} is none of auto, always and never"))
}

/// Accuracy of kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = Error, parse_err_fn = no_arithmetic)]
pub enum Arithmetic {
    /// Accuracy of 32-bit floats.
    #[default]
    Exact,
    /// Also 16-bit floats and 8-bit inputs, if faster; answers differ slightly between devices.
    Fast,
}

impl Arithmetic {
    /// Device features that kernels may use.
    pub fn features(self) -> Features {
        match self {
            Self::Exact => Features::SUBGROUPS | Features::LARGE_WORKGROUPS,
            Self::Fast => Features::all(),
        }
    }
}

fn no_arithmetic(name: &str) -> Error {
    Error::request("arithmetic", format!("{name:?} is neither exact nor fast"))
}

impl Tune {
    pub(in crate::engine) fn tunes(self, class: DeviceClass) -> bool {
        self == Self::Always || self == Self::Auto && class == DeviceClass::Hardware
    }
}

/// Key under which [`Tuned`] is stored: results apply to one device, driver, model and version of the kernels.
pub fn tuning_key(gpu: &Gpu, manifest: &[u8], arithmetic: Arithmetic) -> String {
    let report = gpu.report();
    let device = format!("{} {} {} {:?}", report.backend, report.name, report.driver, report.class);
    let text = format!("{} {device} {:?} {arithmetic:?}", env!("CARGO_PKG_VERSION"), report.features);
    sha256_hex(&[text.as_bytes(), manifest].concat())
}

/// All trials, those with the greatest effect first. Attention takes little time in short conversations.
fn trials(kernel_config: KernelConfig) -> Vec<(TuningGroup, u8)> {
    let of_group =
        |group: TuningGroup| group.candidates(kernel_config).into_iter().map(move |variant| (group, variant));
    let groups = [TuningGroup::Gemv, TuningGroup::Matmul, TuningGroup::Attention, TuningGroup::AttentionStep];
    groups.into_iter().flat_map(of_group).collect()
}

/// The trials of one load.
#[derive(Debug)]
struct Search {
    tuned: Tuned,
    /// A group, and the time of its best variant in this load.
    best: Option<(TuningGroup, f64)>,
}

impl Search {
    /// Returns true if the best variant of `group` must be timed first.
    fn needs_best(&self, group: TuningGroup) -> bool {
        self.best.is_none_or(|(of, _)| of != group)
    }

    /// Records the time of the next trial; `None` if it could not run.
    fn tell(&mut self, (group, pick): (TuningGroup, u8), ms: Option<f64>) {
        self.tuned.tried += 1;
        let is_better = |ms: &f64| self.best.is_none_or(|(_, best)| *ms < GAIN * best);
        if let Some(ms) = ms.filter(is_better) {
            self.tuned.variants[group as usize] = pick;
            self.best = Some((group, ms));
        }
    }
}

/// Runs trials until `clock` reaches `until`, and selects the fastest variants for the device. They may compute wrong results, so the
/// caller must run the self-test. Fails with [`Error::DeviceLost`] and [`Error::OutOfMemory`]; variants that fail otherwise are skipped.
pub(in crate::engine) async fn tune(
    gpu: &Gpu,
    model: &mut Model,
    known: Tuned,
    (clock, until): (Clock, f64),
) -> Result<Tuned> {
    // A state of no conversation, for results that are discarded.
    let state = &mut model.new_state()?;
    let kernel_config = gpu.kernel_config();
    let mut search = Search { tuned: known, best: None };
    for (group, pick) in trials(kernel_config).into_iter().skip(known.tried) {
        if clock() >= until {
            break;
        }
        let best = KernelConfig { variants: search.tuned.variants, ..kernel_config };
        if search.needs_best(group) {
            search.best = Some((group, time(gpu, (model, state), group, best, clock).await?));
        }
        let mut tried = best;
        tried.variants[group as usize] = pick;
        let ms = match time(gpu, (model, state), group, tried, clock).await {
            Err(Error::Gpu { .. } | Error::LimitsTooSmall { .. }) => None,
            outcome => Some(outcome?),
        };
        search.tell((group, pick), ms);
    }
    gpu.set_kernel_config(KernelConfig { variants: search.tuned.variants, ..kernel_config });
    Ok(search.tuned)
}

/// Submissions in a measurement of work that takes `once` milliseconds.
fn repeats(once: f64) -> usize {
    let repeats = (LEAST_MS / once).ceil().min(MOST_REPEATS) as usize;
    repeats.max(1)
}

/// Shortest of some measurements of work for `group`, in milliseconds.
async fn time(
    gpu: &Gpu,
    (model, state): (&mut Model, &mut State),
    group: TuningGroup,
    kernel_config: KernelConfig,
    clock: Clock,
) -> Result<f64> {
    let work = model.trial(state, group, kernel_config).await?;
    let run = async |repeats: usize| {
        let start = clock();
        for _ in 0..repeats {
            gpu.submit(&[&work], None)?;
        }
        gpu.wait_idle().await?;
        Ok::<f64, Error>(clock() - start)
    };
    // The first run warms caches and clocks, and runs deferred work of drivers.
    run(1).await?;
    let repeats = repeats(run(1).await?);
    let mut least = f64::INFINITY;
    for _ in 0..RUNS {
        least = least.min(run(repeats).await?);
    }
    gpu.learn(work.flops() * repeats as u64, least);
    Ok(least / repeats as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Result of trials that take `times`, the first of which is the time of the current variant.
    fn search(times: &[Option<f64>]) -> Tuned {
        let mut search =
            Search { tuned: Tuned::default(), best: Some((TuningGroup::Matmul, times[0].expect("a time"))) };
        for (pick, &ms) in (1..).zip(&times[1..]) {
            search.tell((TuningGroup::Matmul, pick), ms);
        }
        search.tuned
    }

    #[test]
    fn the_quickest_is_taken_if_it_is_quicker_by_more_than_noise() {
        let variants = |times: &[Option<f64>]| search(times).variants;
        assert_eq!(variants(&[Some(10.0), Some(9.0), Some(5.0), Some(6.0)]), [0, 0, 2, 0]);
        assert_eq!(variants(&[Some(10.0), Some(9.9), Some(10.1)]), [0; TUNING_GROUPS]);
        assert_eq!(variants(&[Some(10.0), Some(9.0), Some(8.9)]), [0, 0, 1, 0]);
        assert_eq!(search(&[Some(10.0), None, Some(5.0)]), Tuned { variants: [0, 0, 2, 0], tried: 2, gflops: 0 });
    }

    #[test]
    fn short_work_is_repeated_until_it_can_be_measured() {
        assert_eq!([30.0, 20.0, 5.0, 0.3].map(repeats), [1, 1, 4, 67]);
        assert_eq!([1e-6, 0.0, f64::NAN].map(repeats), [256; 3], "clocks that stand still");
    }

    #[test]
    fn a_number_that_is_none_wins_nothing() {
        assert_eq!(search(&[Some(10.0), Some(f64::NAN), Some(f64::INFINITY)]).variants, [0; TUNING_GROUPS]);
    }

    #[test]
    fn each_group_begins_with_what_it_has() {
        let mut search = Search { tuned: Tuned::default(), best: None };
        assert!(search.needs_best(TuningGroup::Gemv));
        search.best = Some((TuningGroup::Gemv, 1.0));
        assert!(!search.needs_best(TuningGroup::Gemv) && search.needs_best(TuningGroup::Matmul));
    }

    #[test]
    fn what_is_exact_uses_no_short_numbers() {
        assert_eq!(Arithmetic::Exact.features(), Features::SUBGROUPS | Features::LARGE_WORKGROUPS);
        assert!(Arithmetic::Fast.features().contains(Features::F16 | Features::DOT));
    }
}
