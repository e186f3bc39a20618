//! Ways to compute are tried while loading: within a budget, over several loads, and only what computes rightly is taken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ocelli::engine::{Arithmetic, BUDGET_MS, Engine, LoadOptions, Tune, Tuned};
use ocelli::gpu::ways::FAMILIES;
use ocelli::gpu::{DeviceClass, Features, Gpu, GpuOptions, Injection, Ways};
use ocelli::kernels::Family;
use ocelli::weights::layout::Layout;

use crate::{CHECKPOINT, about_a_picture, fresh_answer, packages};

fn milliseconds() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1e3
}

/// Half of what a load may spend, every time somebody looks.
fn hurrying() -> f64 {
    static NOW: AtomicU64 = AtomicU64::new(0);
    NOW.fetch_add(1, Ordering::Relaxed) as f64 * BUDGET_MS / 2.0
}

async fn device(order: impl Fn(&Injection)) -> Gpu {
    let injection = Injection::default();
    order(&injection);
    Gpu::open_with(GpuOptions { injection, ..GpuOptions::default() }).await.expect("a device")
}

async fn load(gpu: &Gpu, files: &packages::Contents, options: LoadOptions) -> Engine {
    let options = LoadOptions { context: Some(256), ..options };
    packages::try_load(gpu, files, options).await.expect("load")
}

/// What a device may be computed on with, beside what suits it.
fn candidates(ways: Ways) -> usize {
    [Family::FewRows, Family::Matmul].map(|family| family.candidates(ways).len()).iter().sum()
}

#[test]
fn loads_try_all_ways_in_turn_and_the_model_says_the_same() {
    pollster::block_on(async {
        let files = packages::pack(CHECKPOINT, Layout::Q8_0).await;
        let gpu = device(|_| ()).await;
        let question = about_a_picture(10, "What is this?");
        let mut plain = load(&gpu, &files, LoadOptions::new(milliseconds)).await;
        assert_eq!(plain.tuned(), Tuned::default(), "what suits a processor is known");
        let said = fresh_answer(&mut plain, &question).await.tokens;
        let all = candidates(gpu.ways());
        let (mut tuned, mut loads) = (Tuned::default(), 0);
        while tuned.tried < all {
            let options = LoadOptions { tune: Tune::Always, tuned, ..LoadOptions::new(milliseconds) };
            let mut engine = load(&gpu, &files, options).await;
            assert!(engine.tuned().tried > tuned.tried, "every load tries something");
            tuned = engine.tuned();
            loads += 1;
            assert_eq!((gpu.ways().picks, engine.self_test().ways.picks), (tuned.picks, tuned.picks));
            assert!(engine.self_test().failed.is_empty(), "{:?}", engine.self_test());
            assert_eq!(fresh_answer(&mut engine, &question).await.tokens, said, "with {tuned:?}");
        }
        println!("{all} ways tried in {loads} loads: {tuned:?}");
        let options = LoadOptions { tune: Tune::Always, tuned, ..LoadOptions::new(milliseconds) };
        assert_eq!(load(&gpu, &files, options).await.tuned(), tuned, "there is nothing left to try");
    });
}

#[test]
fn trials_end_with_their_time() {
    pollster::block_on(async {
        let files = packages::pack("untied", Layout::Q4_0).await;
        let options = LoadOptions { tune: Tune::Always, ..LoadOptions::new(hurrying) };
        let engine = load(&device(|_| ()).await, &files, options).await;
        assert_eq!(engine.tuned().tried, 1);
    });
}

/// A way that computes wrongly, and is quick: it leaves out half of the work.
#[test]
fn what_was_picked_and_is_wrong_is_not_used() {
    pollster::block_on(async {
        let files = packages::pack(CHECKPOINT, Layout::Q8_0).await;
        let question = about_a_picture(10, "What is this?");
        let mut plain = load(&device(|_| ()).await, &files, LoadOptions::new(milliseconds)).await;
        let said = fresh_answer(&mut plain, &question).await.tokens;
        let all = candidates(plain.gpu().ways());
        let last = all - 1;
        assert!(all > 1);
        // What suits this device reads its lanes from elsewhere.
        let ways = plain.gpu().ways();
        let pick = Family::FewRows.candidates(ways)[0];
        let gpu = device(|injection| injection.spoil("matvec<q8_0", "team * LANES + 3u", "team * LANES + 2u")).await;
        let mut tuned = Tuned { tried: last + 1, ..Tuned::default() };
        tuned.picks[Family::FewRows as usize] = pick;
        let mut engine = load(&gpu, &files, LoadOptions { tuned, ..LoadOptions::new(milliseconds) }).await;
        let report = engine.self_test();
        assert_eq!((report.failed.len(), report.failed[0].tier.as_str()), (1, "tuned"), "{report:?}");
        assert!(report.failed[0].kernel.contains("matvec<q8_0"), "{report:?}");
        assert_eq!((gpu.ways().picks, engine.tuned().picks), ([0; FAMILIES], [0; FAMILIES]));
        assert_eq!(fresh_answer(&mut engine, &question).await.tokens, said);
    });
}

#[test]
fn answers_are_right_with_subgroups_and_where_subgroups_are_not() {
    pollster::block_on(async {
        let files = packages::pack(CHECKPOINT, Layout::Q8_0).await;
        let question = about_a_picture(10, "What is this?");
        let spoil = |injection: &Injection| injection.spoil("matvec<q8_0", "return subgroupAdd(x);", "return x;");
        let as_hardware = |gpu: Gpu| {
            gpu.compute_in(Ways { features: gpu.features(), ..Ways::of(DeviceClass::Hardware) });
            gpu
        };
        let mut said = Vec::new();
        for gpu in [device(|_| ()).await, as_hardware(device(|_| ()).await), as_hardware(device(spoil).await)] {
            let options = LoadOptions { tune: Tune::Never, ..LoadOptions::new(milliseconds) };
            let mut engine = load(&gpu, &files, options).await;
            let failed: Vec<_> = engine.self_test().failed.iter().map(|failure| failure.tier.clone()).collect();
            let is_spoiled = said.len() == 2;
            assert_eq!((failed.is_empty(), gpu.ways().features.subgroups), (!is_spoiled, !is_spoiled), "{failed:?}");
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
        assert_eq!(exact.self_test().ways.features, gpu.features().and(Features::SUBGROUPS));
        let fast = LoadOptions { arithmetic: Arithmetic::Fast, ..LoadOptions::new(milliseconds) };
        assert_eq!(load(&gpu, &files, fast).await.self_test().ways.features, gpu.features());
    });
}

#[test]
fn a_device_that_is_lost_computes_as_before_when_it_is_back() {
    pollster::block_on(async {
        let gpu = device(|_| ()).await;
        let picks = [1, 0, 2, 0];
        gpu.compute_in(Ways { picks, features: Features::SUBGROUPS, ..gpu.ways() });
        let again = gpu.reopen().await.expect("a device");
        assert_eq!((again.ways().picks, again.ways().features), (picks, Features::SUBGROUPS));
    });
}
