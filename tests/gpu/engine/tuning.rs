//! Autotuning while loading: within a budget, over several loads, and without variants that compute wrong results.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ocelli::config::KvPrecision;
use ocelli::engine::{Arithmetic, BUDGET_MS, Engine, LoadEvent, LoadOptions, Tune, Tuned, tuning_key};
use ocelli::gpu::kernel_config::TUNING_GROUPS;
use ocelli::gpu::{BrowserCaps, BrowserNames, DeviceClass, Features, Gpu, GpuOptions, KernelConfig};
use ocelli::kernels::{TuningGroup, gemv};
use ocelli::layout::Layout;
use ocelli::model::LanguageModel;

use super::{CHECKPOINT, about_a_picture, fresh_answer};
use crate::injection::Injection;
use crate::packages;

pub(super) fn milliseconds() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1e3
}

/// A clock at a tenth of the speed. Nothing is tried if an idle device is waited for 5 ms, as it can be on a busy machine.
fn slowed() -> f64 {
    milliseconds() / 10.0
}

/// A clock that advances by `STEP` milliseconds at every reading.
fn hurrying<const STEP: u64>() -> f64 {
    static NOW: AtomicU64 = AtomicU64::new(0);
    NOW.fetch_add(STEP, Ordering::Relaxed) as f64
}

async fn device(order: impl Fn(&Injection)) -> Gpu {
    let injection = Injection::default();
    order(&injection);
    injection.open().await.expect("a device")
}

async fn load(gpu: &Gpu, files: &packages::Contents, options: LoadOptions) -> Engine {
    let options = LoadOptions { context: Some(256), ..options };
    packages::try_load(gpu, files, options).await.expect("load")
}

/// Tunings that a device may use besides the defaults.
fn candidates(kernel_config: KernelConfig) -> usize {
    let groups = [TuningGroup::Gemv, TuningGroup::Matmul, TuningGroup::Attention, TuningGroup::AttentionStep];
    groups.map(|group| group.candidates(kernel_config).len()).iter().sum()
}

#[test]
fn loads_try_all_ways_in_turn_and_the_model_says_the_same() {
    pollster::block_on(async {
        let files = packages::pack(CHECKPOINT, Layout::Q8_0).await;
        let gpu = as_emulated(device(|_| ()).await);
        let question = about_a_picture(10, "What is this?");
        let mut plain = load(&gpu, &files, LoadOptions::new(milliseconds)).await;
        assert_eq!(
            (plain.tuned().tried, plain.tuned().variants),
            (0, [0; TUNING_GROUPS]),
            "what suits a processor is known"
        );
        let said = fresh_answer(&mut plain, &question).await.tokens;
        let all = candidates(gpu.kernel_config());
        let (mut tuned, mut loads) = (Tuned::default(), 0);
        while tuned.tried < all {
            let options = LoadOptions { tune: Tune::Always, tuned, ..LoadOptions::new(slowed) };
            let mut engine = load(&gpu, &files, options).await;
            assert!(engine.tuned().tried > tuned.tried, "every load tries something");
            tuned = engine.tuned();
            loads += 1;
            assert_eq!(
                (gpu.kernel_config().variants, engine.self_test().kernel_config.variants),
                (tuned.variants, tuned.variants)
            );
            assert!(engine.self_test().failed.is_empty(), "{:?}", engine.self_test());
            assert_eq!(fresh_answer(&mut engine, &question).await.tokens, said, "with {tuned:?}");
        }
        println!("{all} ways tried in {loads} loads: {tuned:?}");
        let options = LoadOptions { tune: Tune::Always, tuned, ..LoadOptions::new(slowed) };
        assert_eq!(load(&gpu, &files, options).await.tuned(), tuned, "there is nothing left to try");
    });
}

/// At the end of a context long enough to be split, so that the join of the splits is included.
#[test]
fn trials_of_attention_launch_attention_alone_and_trials_of_products_are_divided() {
    pollster::block_on(async {
        let files = packages::pack("untied", Layout::Q8_0).await;
        let gpu = device(|_| ()).await;
        let config = KernelConfig::of(DeviceClass::Hardware);
        let mut model = packages::decoder(&gpu, &files, (2048, KvPrecision::F16));
        let (mut state, layers) = (model.new_state().expect("a state"), model.config().layers.len() as u64);
        for (group, launches) in [(TuningGroup::Attention, 1), (TuningGroup::AttentionStep, 2 * layers)] {
            let work = model.trial(&mut state, group, config, u64::MAX).await.expect("a trial");
            let before = gpu.counters();
            gpu.run("trial", &work).expect("a submission");
            gpu.wait_idle().await.expect("an end");
            assert_eq!((gpu.counters() - before).dispatches, launches, "{group:?}");
        }
        let most = 4 << 20;
        let mut work = model.trial(&mut state, TuningGroup::Matmul, config, most).await.expect("a trial");
        let pieces: Vec<u64> = std::iter::from_fn(|| work.take_piece(most)).map(|piece| piece.flops()).collect();
        assert!(pieces.len() > 1 && pieces.iter().all(|flops| *flops <= most), "{pieces:?}");
    });
}

#[test]
fn models_of_every_family_are_tried() {
    pollster::block_on(async {
        for checkpoint in ["qwen3_vl", "qwen3_5", "mllama"] {
            let files = packages::pack(checkpoint, Layout::Q8_0).await;
            let gpu = device(|_| ()).await;
            let mut tuned = Tuned::default();
            loop {
                let options = LoadOptions { tune: Tune::Always, tuned, ..LoadOptions::new(slowed) };
                let engine = load(&gpu, &files, options).await;
                assert!(engine.tuned().tried > tuned.tried, "{checkpoint}");
                tuned = engine.tuned();
                if tuned.tried == candidates(gpu.kernel_config()) {
                    break;
                }
            }
            println!("{checkpoint}: {tuned:?}");
        }
    });
}

#[test]
fn trials_end_with_their_time() {
    pollster::block_on(async {
        let files = packages::pack("untied", Layout::Q4_0).await;
        let tried = async |clock: fn() -> f64| {
            let options = LoadOptions { tune: Tune::Always, ..LoadOptions::new(clock) };
            load(&device(|_| ()).await, &files, options).await.tuned().tried
        };
        let few = tried(hurrying::<4>).await;
        assert!((1..BUDGET_MS as usize / 8).contains(&few), "{few} trials");
        assert_eq!(tried(hurrying::<100>).await, 0, "the clock is too coarse to compare times");
    });
}

#[test]
fn a_trial_that_loses_the_device_is_not_repeated() {
    pollster::block_on(async {
        let files = packages::pack("untied", Layout::Q4_0).await;
        let quiet = Injection::default();
        let never = LoadOptions { tune: Tune::Never, ..LoadOptions::new(slowed) };
        let gpu = quiet.open().await.expect("a device");
        load(&gpu, &files, never).await;
        let all = candidates(gpu.kernel_config());
        let injection = Injection::default();
        // The waits for an idle device, then the first measurement.
        injection.lose_at_submission(quiet.submissions() + 6);
        let gpu = injection.open().await.expect("a device");
        let (mut tuned, mut stored) = (Tuned::default(), Vec::new());
        let mut load = async |tuned| {
            let options = LoadOptions { context: Some(256), tune: Tune::Always, tuned, ..never };
            let mut on_event =
                |event| stored.extend(if let LoadEvent::Trial(trial) = event { Some(trial) } else { None });
            packages::load_telling(&gpu, &files, options, &mut on_event).await.expect("load").tuned()
        };
        tuned = load(tuned).await;
        assert_eq!((tuned.tried, tuned.variants), (1, [0; TUNING_GROUPS]));
        tuned = load(tuned).await;
        assert!((2..=all).contains(&tuned.tried), "{tuned:?}");
        let tried: Vec<usize> = stored.iter().map(|trial| trial.tried).collect();
        assert_eq!(tried, (1..=tuned.tried).collect::<Vec<_>>(), "each trial was told before it ran, and once");
    });
}

/// Variants with subgroups that do nothing, and are therefore the fastest.
#[test]
fn a_variant_that_writes_nothing_does_not_win() {
    pollster::block_on(async {
        let files = packages::pack("untied", Layout::Q8_0).await;
        let spoiled = device(|injection| {
            injection.corrupt("matvec<q8_0", "first < pieces;", "first < 0u;");
            injection.corrupt("gated_matvec<q8_0", "first < pieces;", "first < 0u;");
            injection.corrupt("qkv_matvec<q8_0", "first < pieces;", "first < 0u;");
        });
        let gpu = as_emulated(spoiled.await);
        let (mut tuned, of_products) = (Tuned::default(), TuningGroup::Gemv.candidates(gpu.kernel_config()).len());
        while tuned.tried < of_products {
            let options = LoadOptions { tune: Tune::Always, tuned, ..LoadOptions::new(slowed) };
            let engine = load(&gpu, &files, options).await;
            assert!(engine.self_test().failed.is_empty(), "{:?}", engine.self_test());
            tuned = engine.tuned();
        }
        let picked = tuned.variants[TuningGroup::Gemv as usize];
        let uses = usize::from(picked).checked_sub(1).map(|index| gemv::Tuning::ALL[index].uses);
        assert!(!uses.unwrap_or_default().contains(Features::SUBGROUPS), "variant {picked}");
    });
}

/// A variant that is wrong and fast: it skips half of the work.
#[test]
fn a_wrong_autotuned_variant_is_not_used() {
    pollster::block_on(async {
        let files = packages::pack(CHECKPOINT, Layout::Q8_0).await;
        let question = about_a_picture(10, "What is this?");
        let mut plain = load(&as_emulated(device(|_| ()).await), &files, LoadOptions::new(milliseconds)).await;
        let said = fresh_answer(&mut plain, &question).await.tokens;
        let all = candidates(plain.gpu().kernel_config());
        let last = all - 1;
        assert!(all > 1);
        // The default for this device gets its lane numbers from another function.
        let kernel_config = plain.gpu().kernel_config();
        let pick = TuningGroup::Gemv.candidates(kernel_config)[0];
        let spoiled =
            device(|injection| injection.corrupt("matvec<q8_0", "lane_group * LANES + 3u", "lane_group * LANES + 2u"));
        let gpu = as_emulated(spoiled.await);
        let mut tuned = Tuned { tried: last + 1, ..Tuned::default() };
        tuned.variants[TuningGroup::Gemv as usize] = pick;
        let right = TuningGroup::Matmul.candidates(kernel_config)[0];
        tuned.variants[TuningGroup::Matmul as usize] = right;
        let mut engine = load(&gpu, &files, LoadOptions { tuned, ..LoadOptions::new(milliseconds) }).await;
        let report = engine.self_test();
        assert_eq!((report.failed.len(), report.failed[0].tier.as_str()), (1, "tuned"), "{report:?}");
        assert!(report.failed[0].kernel.contains("matvec<q8_0"), "{report:?}");
        let mut left = [0; TUNING_GROUPS];
        left[TuningGroup::Matmul as usize] = right;
        assert_eq!((gpu.kernel_config().variants, engine.tuned().variants), (left, left), "of one group alone");
        assert_eq!(fresh_answer(&mut engine, &question).await.tokens, said);
    });
}

/// Browsers hide much, but not everything.
#[test]
fn gpus_and_browsers_have_keys_and_numerics_of_their_own() {
    pollster::block_on(async {
        let names = [
            ["intel xe", "", "Chrome 156"],
            ["nvidia lovelace", "", "Chrome 156"],
            ["nvidia lovelace", "", "Chrome 157"],
            ["", "Mali-G78", "Firefox 153"],
            ["", "Apple GPU", "Firefox 153"],
            ["", "", ""],
        ];
        let mut keys = BTreeSet::new();
        for [adapter, renderer, browser] in names.map(|names| names.map(String::from)) {
            let names = BrowserNames { adapter, renderer, browser };
            let browser_caps = BrowserCaps { names, ..BrowserCaps::default() };
            let gpu = Gpu::open_with(GpuOptions { browser_caps, ..GpuOptions::default() }).await.expect("a device");
            keys.insert((tuning_key(&gpu, b"model", Arithmetic::Exact), gpu.numerics()));
        }
        let distinct = |part: fn(&(String, String)) -> &String| keys.iter().map(part).collect::<BTreeSet<_>>().len();
        assert_eq!([distinct(|(key, _)| key), distinct(|(_, numerics)| numerics)], [names.len(); 2]);
    });
}

/// The device with the defaults of an emulated GPU, whatever it is. A processor stays one.
fn as_emulated(gpu: Gpu) -> Gpu {
    if gpu.kernel_config().class == DeviceClass::Hardware {
        let features = gpu.kernel_config().features;
        gpu.set_kernel_config(KernelConfig { features, ..KernelConfig::of(DeviceClass::Software) });
    }
    gpu
}

fn as_hardware(gpu: Gpu) -> Gpu {
    gpu.set_kernel_config(KernelConfig { features: gpu.features(), ..KernelConfig::of(DeviceClass::Hardware) });
    gpu
}

#[test]
fn a_second_load_on_a_device_repeats_no_test() {
    pollster::block_on(async {
        let files = packages::pack("untied", Layout::Q8_0).await;
        let options = LoadOptions { tune: Tune::Never, ..LoadOptions::new(milliseconds) };
        let corrupt = |injection: &Injection| injection.corrupt("matvec<q8_0", "return subgroupAdd(x);", "return x;");
        for (wrong, order) in [(Features::NONE, None), (Features::SUBGROUPS, Some(corrupt))] {
            let open =
                async || as_hardware(device(|injection| order.into_iter().for_each(|order| order(injection))).await);
            let gpu = open().await;
            let first = load(&gpu, &files, options).await;
            assert!(!first.self_test().earlier);
            assert_eq!(first.tuned().wrong, wrong);
            let gpu = open().await;
            let second = load(&gpu, &files, LoadOptions { tuned: first.tuned(), ..options }).await;
            let report = second.self_test();
            assert!(report.earlier && report.passed > 10, "{report:?}");
            let failed: Vec<&str> = report.failed.iter().map(|failure| failure.tier.as_str()).collect();
            assert_eq!(failed, if wrong == Features::NONE { vec![] } else { vec!["subgroups"] });
            assert_eq!((second.tuned(), gpu.counters().dispatches), (first.tuned(), 0));
        }
    });
}

/// A driver that computes something else when a step is repeated.
#[test]
fn subgroups_are_given_up_where_a_step_cannot_be_repeated() {
    pollster::block_on(async {
        let files = packages::pack("untied", Layout::Q8_0).await;
        let options = LoadOptions { tune: Tune::Never, ..LoadOptions::new(milliseconds) };
        let quiet = Injection::default();
        load(&as_hardware(quiet.open().await.expect("a device")), &files, options).await;
        let injection = Injection::default();
        // Before the last read of the load.
        injection.leave_out_at_submission(quiet.submissions() - 2);
        let gpu = as_hardware(injection.open().await.expect("a device"));
        let engine = load(&gpu, &files, options).await;
        let [failure] = &engine.self_test().failed[..] else { panic!("{:?}", engine.self_test()) };
        assert_eq!((failure.kernel.as_str(), failure.tier.as_str()), ("a layer and a step", "subgroups"));
        assert_eq!(engine.tuned().wrong, Features::SUBGROUPS);
        assert!(!gpu.kernel_config().features.contains(Features::SUBGROUPS));
    });
}

#[test]
fn answers_are_right_with_subgroups_and_where_subgroups_are_not() {
    pollster::block_on(async {
        let files = packages::pack(CHECKPOINT, Layout::Q8_0).await;
        let question = about_a_picture(10, "What is this?");
        let corrupt = |injection: &Injection| injection.corrupt("matvec<q8_0", "return subgroupAdd(x);", "return x;");
        let mut said = Vec::new();
        for gpu in [device(|_| ()).await, as_hardware(device(|_| ()).await), as_hardware(device(corrupt).await)] {
            let options = LoadOptions { tune: Tune::Never, ..LoadOptions::new(milliseconds) };
            let mut engine = load(&gpu, &files, options).await;
            let failed: Vec<_> = engine.self_test().failed.iter().map(|failure| failure.tier.clone()).collect();
            let is_spoiled = said.len() == 2;
            assert_eq!(
                (failed.is_empty(), gpu.kernel_config().features.contains(Features::SUBGROUPS)),
                (!is_spoiled, !is_spoiled),
                "{failed:?}"
            );
            assert!(failed.iter().all(|tier| tier == "subgroups"), "{failed:?}");
            said.push(fresh_answer(&mut engine, &question).await.tokens);
        }
        assert!(said.iter().all(|tokens| *tokens == said[0]), "{said:?}");
    });
}

#[test]
fn exact_arithmetic_leaves_short_numbers_alone() {
    pollster::block_on(async {
        let files = packages::pack("untied", Layout::Q4_0).await;
        let gpu = device(|_| ()).await;
        let exact = load(&gpu, &files, LoadOptions::new(milliseconds)).await;
        let left = Features::SUBGROUPS | Features::LARGE_WORKGROUPS;
        assert_eq!(exact.self_test().kernel_config.features, gpu.features() & left);
        let fast = LoadOptions { arithmetic: Arithmetic::Fast, ..LoadOptions::new(milliseconds) };
        assert_eq!(load(&gpu, &files, fast).await.self_test().kernel_config.features, gpu.features());
    });
}

#[test]
fn a_device_that_is_lost_computes_as_before_when_it_is_back() {
    pollster::block_on(async {
        let gpu = device(|_| ()).await;
        let variants = [1, 0, 2, 0];
        gpu.set_kernel_config(KernelConfig { variants, features: Features::SUBGROUPS, ..gpu.kernel_config() });
        let again = gpu.reopen().await.expect("a device");
        assert_eq!((again.kernel_config().variants, again.kernel_config().features), (variants, Features::SUBGROUPS));
    });
}
