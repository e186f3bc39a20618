//! Memory plans: the ledger never exceeds the plan, the plan never exceeds the budget, and answers do not change.

mod full_size;
mod shapes;
mod talk;

use crate::packages;
use ocelli::config::KvPrecision;
use ocelli::engine::{Engine, LoadOptions};
use ocelli::gpu::{Gpu, Purpose};
use ocelli::layout::Layout;
use ocelli::memory::{Plan, Residency};
use talk::answers;

const CHECKPOINT: &str = "tied_two_images";

fn options() -> LoadOptions {
    LoadOptions {
        context: Some(300),
        // The precision of the cache may change the answers of a random model; nothing else may.
        kv_precision: Some(KvPrecision::F32),
        ..LoadOptions::new(|| 0.0)
    }
}

/// A device of this test, whose ledger counts nothing else.
fn device() -> Gpu {
    pollster::block_on(Gpu::open()).expect("GPU tests need a device")
}

async fn load(gpu: &Gpu, files: &packages::Contents, options: LoadOptions) -> ocelli::Result<Engine> {
    gpu.wait_idle().await?;
    gpu.ledger().restart_peaks();
    packages::try_load(gpu, files, options).await
}

/// Peak memory of a talk, and the weights of the vision tower at its end.
struct Taken {
    plan: Plan,
    peak: u64,
    tower_after: u64,
    answers: Vec<Vec<u32>>,
}

async fn run(gpu: &Gpu, files: &packages::Contents, options: LoadOptions) -> ocelli::Result<Taken> {
    let mut engine = load(gpu, files, options).await?;
    let answers = answers(&mut engine).await?;
    let tower = engine.memory().into_iter().find(|row| row.purpose == Purpose::VisionWeights);
    let plan = engine.plan().clone();
    Ok(Taken { plan, peak: gpu.ledger().total().1, tower_after: tower.map_or(0, |row| row.current), answers })
}

async fn everything_is_given_back(gpu: &Gpu) {
    gpu.wait_idle().await.expect("settle");
    assert_eq!(gpu.ledger().total().0, 0, "{:?}", gpu.ledger().rows());
}

#[test]
fn within_every_budget_the_same_is_said_or_the_numbers_are() {
    pollster::block_on(async {
        let (gpu, files) = (device(), packages::pack(CHECKPOINT, Layout::Q8_0).await);
        let generous = run(&gpu, &files, options()).await.expect("a talk");
        assert_eq!((generous.plan.vision, generous.plan.budget), (Residency::Resident, None));
        assert!(generous.peak <= generous.plan.peak, "{} of {:?}", generous.peak, generous.plan);
        everything_is_given_back(&gpu).await;

        let least = least_budget(&gpu, &files).await;
        assert!(least < generous.plan.peak, "{least} of {}", generous.plan.peak);
        let (mut seen, steps) = (Vec::new(), 4);
        for step in 0..=steps {
            let budget = least + (generous.plan.peak - least) * step / steps;
            let options = LoadOptions { gpu_memory_budget: Some(budget), ..options() };
            let taken = run(&gpu, &files, options).await.expect("a talk");
            let Plan { peak, vision, rows, .. } = taken.plan;
            println!("{budget}: plan {peak}, took {}, tower {vision:?}, {rows:?}", taken.peak);
            assert!(taken.peak <= peak && peak <= budget, "{} of {peak} of {budget}", taken.peak);
            if taken.plan.longest_edge == generous.plan.longest_edge {
                assert_eq!(taken.answers, generous.answers, "{:?}", taken.plan);
            }
            assert_eq!(taken.tower_after > 0, vision == Residency::Resident);
            seen.push(vision);
            everything_is_given_back(&gpu).await;
        }
        assert!(seen.contains(&Residency::Streamed) && seen.contains(&Residency::Resident), "{seen:?}");
    });
}

/// The smallest budget that is not refused, from the error of a refusal.
async fn least_budget(gpu: &Gpu, files: &packages::Contents) -> u64 {
    let options = LoadOptions { gpu_memory_budget: Some(1), ..options() };
    match load(gpu, files, options).await.expect_err("no memory at all") {
        ocelli::Error::BudgetTooSmall { budget: 1, needed, parts, .. } => {
            assert_eq!(gpu.ledger().total().1, 0, "refused before anything was allocated");
            assert_eq!(parts.iter().map(|(_, bytes)| bytes).sum::<u64>(), needed, "{parts:?}");
            let less = LoadOptions { gpu_memory_budget: Some(needed - 1), ..options };
            let error = load(gpu, files, less).await.expect_err("a byte less");
            assert_eq!(error.code(), "budget-too-small");
            needed
        }
        error => panic!("{error}"),
    }
}

/// A plan that counted far more than the peak would refuse possible configurations.
#[test]
fn a_plan_is_tight() {
    pollster::block_on(async {
        let (gpu, files) = (device(), packages::pack(CHECKPOINT, Layout::F16).await);
        for vision in Residency::ALL {
            let wish = LoadOptions { vision: Some(vision), gpu_memory_budget: Some(1), ..options() };
            let Err(ocelli::Error::BudgetTooSmall { needed, .. }) = load(&gpu, &files, wish).await else {
                panic!("no memory at all")
            };
            let taken =
                run(&gpu, &files, LoadOptions { gpu_memory_budget: Some(needed), ..wish }).await.expect("a talk");
            println!("{vision:?}: plan {}, took {}", taken.plan.peak, taken.peak);
            assert!(taken.peak <= taken.plan.peak, "{vision:?}");
            assert!(taken.plan.peak * 10 <= taken.peak * 11, "{vision:?}: {} took {}", taken.plan.peak, taken.peak);
        }
    });
}

#[test]
fn wherever_the_tower_is_it_sees_the_same() {
    pollster::block_on(async {
        let gpu = device();
        for checkpoint in ["untied", "merge1", "mllama", "smolvlm", "gemma4", "minicpmv4_6"] {
            let files = packages::pack(checkpoint, Layout::Q4_0).await;
            let mut said = Vec::new();
            for vision in Residency::ALL {
                let options = LoadOptions { vision: Some(vision), ..options() };
                let taken = run(&gpu, &files, options).await.expect("a talk");
                assert_eq!(taken.plan.vision, vision);
                assert_eq!(taken.tower_after > 0, vision == Residency::Resident);
                assert!(taken.peak <= taken.plan.peak, "{checkpoint} {vision:?}: {} of {:?}", taken.peak, taken.plan);
                said.push(taken.answers);
            }
            assert!(said.iter().all(|answers| *answers == said[0]), "{checkpoint}: {said:?}");
        }
    });
}

/// A rehearsal takes the peak memory of a talk, and does not change the following talk.
#[test]
fn a_rehearsal_takes_the_memory_of_a_talk_and_changes_no_answer() {
    pollster::block_on(async {
        let (gpu, files) = (device(), packages::pack(CHECKPOINT, Layout::Q8_0).await);
        for vision in Residency::ALL {
            let options = LoadOptions { vision: Some(vision), ..options() };
            let taken = run(&gpu, &files, options).await.expect("a talk");
            let mut engine = load(&gpu, &files, options).await.expect("load");
            engine.preallocate(2000, 1000).await.expect("as planned");
            let peak = gpu.ledger().total().1;
            assert!(peak <= engine.plan().peak, "{vision:?}: {peak} of {:?}", engine.plan());
            assert!(peak * 4 >= taken.peak * 3, "{vision:?}: {peak} where a talk took {}", taken.peak);
            assert_eq!(engine.preallocate(0, 5).await.expect_err("no picture").code(), "invalid-request");

            gpu.ledger().set_limit(Some(gpu.ledger().total().0 + 1000));
            assert_eq!(engine.preallocate(2000, 1000).await.expect_err("too little").code(), "out-of-memory");
            gpu.ledger().set_limit(None);
            assert_eq!(answers(&mut engine).await.expect("a talk"), taken.answers, "{vision:?}");
            drop(engine);
            everything_is_given_back(&gpu).await;
        }
    });
}
