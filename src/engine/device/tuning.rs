//! Autotuning: finds the fastest kernel variants on this device with the model's own weights, a few trials per load.

use crate::engine::events::Clock;
use crate::engine::tuned::Tuned;
use crate::error::{Error, Result};
use crate::gpu::{DeviceClass, Features, Gpu, Kernel, KernelConfig, Recording};
use crate::kernels::TuningGroup;
use crate::kernels::self_test::check;
use crate::model::{LanguageModel, Model};
use crate::package::hash::sha256_hex;

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
/// Longest wait for an idle device with which trials can be told apart: some browsers look for finished work only ten times a second.
const COARSE_MS: f64 = 5.0;
/// Waits of which the shortest counts.
const WAITS: usize = 4;

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
    Error::request("tune", format!("invalid value {name:?}; expected auto, always or never"))
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
    let text = format!("{} {} {arithmetic:?}", env!("CARGO_PKG_VERSION"), gpu.report().identity());
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
    best: Option<Best>,
}

/// The best variant of a group.
#[derive(Debug, Clone, Copy)]
struct Best {
    group: TuningGroup,
    /// Its time in this load.
    ms: f64,
    /// Most FLOP of a submission, with which the whole group is timed.
    most_flops: u64,
}

impl Search {
    /// The best variant of `group`, if it was timed in this load.
    fn best_of(&self, group: TuningGroup) -> Option<Best> {
        self.best.filter(|best| best.group == group)
    }

    /// Counts the next trial, before anything of it runs.
    fn begin(&mut self) -> Tuned {
        self.tuned.tried += 1;
        self.tuned
    }

    /// Records the time of a trial; `None` if it could not run or its results are wrong.
    fn tell(&mut self, pick: u8, ms: Option<f64>) {
        let Some(best) = &mut self.best else { return };
        if let Some(ms) = ms.filter(|ms| *ms < GAIN * best.ms) {
            self.tuned.variants[best.group as usize] = pick;
            best.ms = ms;
        }
    }
}

/// Runs trials until `clock` reaches `until`, and selects the fastest variants for the device, of those whose kernels pass their self-test. Runs none
/// if times of this device are too coarse. `on_trial` receives the results before each trial. Fails with [`Error::DeviceLost`] and
/// [`Error::OutOfMemory`]; variants that fail otherwise are skipped.
pub(in crate::engine) async fn tune(
    gpu: &Gpu,
    model: &mut Model,
    known: Tuned,
    (clock, until): (Clock, f64),
    on_trial: &mut dyn FnMut(Tuned),
) -> Result<Tuned> {
    if wait_ms(gpu, clock).await? > COARSE_MS {
        return Ok(known);
    }
    // A state of no conversation, for results that are discarded.
    let state = &mut model.new_state()?;
    let kernel_config = gpu.kernel_config();
    let mut search = Search { tuned: known, best: None };
    for (group, pick) in trials(kernel_config).into_iter().skip(known.tried) {
        if clock() >= until {
            break;
        }
        on_trial(Tuned { gflops: gpu.gflops(), ..search.begin() });
        let mut tried = KernelConfig { variants: search.tuned.variants, ..kernel_config };
        let best = match search.best_of(group) {
            Some(best) => best,
            None => {
                // The first measurement learns the rate, and with it how the work is divided.
                let work = model.trial(state, group, tried, gpu.most_flops()).await?;
                time(gpu, work, clock).await?;
                let most_flops = gpu.most_flops();
                let work = model.trial(state, group, tried, most_flops).await?;
                Best { group, ms: time(gpu, work, clock).await?, most_flops }
            }
        };
        search.best = Some(best);
        tried.variants[group as usize] = pick;
        let trial = async {
            let work = model.trial(state, group, tried, best.most_flops).await?;
            let kernels: Vec<Kernel> = work.dispatches().map(|dispatch| dispatch.kernel.clone()).collect();
            check(gpu, &kernels).await?;
            time(gpu, work, clock).await
        };
        let ms = match trial.await {
            Err(Error::Gpu { .. } | Error::LimitsTooSmall { .. } | Error::SelfTestFailed { .. }) => None,
            outcome => Some(outcome?),
        };
        search.tell(pick, ms);
    }
    gpu.set_kernel_config(KernelConfig { variants: search.tuned.variants, ..kernel_config });
    Ok(search.tuned)
}

/// Submissions in a measurement of work that takes `once` milliseconds.
fn repeats(once: f64) -> usize {
    let repeats = (LEAST_MS / once).ceil().min(MOST_REPEATS) as usize;
    repeats.max(1)
}

/// Shortest wait for an idle device, in milliseconds.
async fn wait_ms(gpu: &Gpu, clock: Clock) -> Result<f64> {
    gpu.wait_idle().await?;
    let mut least = f64::INFINITY;
    for _ in 0..WAITS {
        let start = clock();
        gpu.wait_idle().await?;
        least = least.min(clock() - start);
    }
    Ok(least)
}

/// Shortest of some measurements of `work` in submissions that it fits, in milliseconds.
async fn time(gpu: &Gpu, mut work: Recording, clock: Clock) -> Result<f64> {
    let (flops, most) = (work.flops(), work.most_flops());
    let pieces = std::iter::from_fn(|| work.take_piece(most)).map(|piece| gpu.prepare("trial", &piece));
    let pieces = pieces.collect::<Result<Vec<_>>>()?;
    let run = async |repeats: usize| {
        let start = clock();
        for piece in std::iter::repeat_n(&pieces, repeats).flatten() {
            gpu.submit(&[piece], None)?;
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
    gpu.learn(flops * repeats as u64, least);
    Ok(least / repeats as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::kernel_config::TUNING_GROUPS;

    /// Result of trials that take `times`, the first of which is the time of the current variant.
    fn search(times: &[Option<f64>]) -> Tuned {
        let best = Best { group: TuningGroup::Matmul, ms: times[0].expect("a time"), most_flops: 0 };
        let mut search = Search { tuned: Tuned::default(), best: Some(best) };
        for (pick, &ms) in (1..).zip(&times[1..]) {
            search.begin();
            search.tell(pick, ms);
        }
        search.tuned
    }

    #[test]
    fn the_quickest_is_taken_if_it_is_quicker_by_more_than_noise() {
        let variants = |times: &[Option<f64>]| search(times).variants;
        assert_eq!(variants(&[Some(10.0), Some(9.0), Some(5.0), Some(6.0)]), [0, 0, 2, 0]);
        assert_eq!(variants(&[Some(10.0), Some(9.9), Some(10.1)]), [0; TUNING_GROUPS]);
        assert_eq!(variants(&[Some(10.0), Some(9.0), Some(8.9)]), [0, 0, 1, 0]);
        assert_eq!(
            search(&[Some(10.0), None, Some(5.0)]),
            Tuned { variants: [0, 0, 2, 0], tried: 2, ..Tuned::default() }
        );
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
        assert!(search.best_of(TuningGroup::Gemv).is_none());
        search.best = Some(Best { group: TuningGroup::Gemv, ms: 1.0, most_flops: 0 });
        assert!(search.best_of(TuningGroup::Gemv).is_some() && search.best_of(TuningGroup::Matmul).is_none());
    }

    #[test]
    fn what_is_exact_uses_no_short_numbers() {
        assert_eq!(Arithmetic::Exact.features(), Features::SUBGROUPS | Features::LARGE_WORKGROUPS);
        assert!(Arithmetic::Fast.features().contains(Features::F16 | Features::DOT));
    }
}
